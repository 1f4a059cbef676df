"""The SQL project and the scores on Apache Spark, with the rows of DuckDB. Needs the extra `spark` and Java 17.

Belongs here: the translation of the project's SQL, the engine for `clm verify`, scoring in blocks of customers. Does
not: any model, and any function that scores.
"""
