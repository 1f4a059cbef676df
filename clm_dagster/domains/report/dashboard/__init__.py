"""A dashboard beside the report: an Evidence project that people own and edit, and the aggregates that it shows.

Belongs here: writing the project (`project`), its data (`data`), its templates. Does not: the page (`page`).
"""
