"""The platform shared by all domains: Dagster, DuckDB and MLflow.

Belongs here: infrastructure that more than one domain uses. Does not: anything that names a domain or one of its
tables.
"""
