"""Pure statistics: functions of arrays and frames.

Belongs here: methods that are independent of any shop. Does not: Dagster, DuckDB, MLflow, or any other part of
this package.
"""
