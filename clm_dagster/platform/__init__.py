"""The ground that every domain stands on: Dagster, DuckDB and MLflow.

Belongs here: what a domain needs and does not decide. Does not: anything that names a domain or one of its tables.
"""
