"""Pure statistics: arrays and frames in, numbers and frames out.

Belongs here: methods that know nothing of a shop. Does not: Dagster, DuckDB, MLflow, anything of ours but statistics.
"""
