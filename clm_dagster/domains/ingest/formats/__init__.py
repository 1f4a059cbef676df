"""How files are written: compression, encodings, delimiters, workbooks, JSON, archives.

Belongs here: turning any supported file into one that DuckDB reads exactly, in bounded memory, and what was decided on
the way. Does not: the meaning of columns (`adapter`), the values in them (`values`, `column_formats`).
"""
