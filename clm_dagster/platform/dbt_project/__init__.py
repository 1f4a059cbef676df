"""The SQL project: read a dbt folder, validate it, compile and run its models.

Belongs here: dbt's vocabulary without dbt's runtime.
Does not: Dagster (`platform.assets`), what is stale (`platform.build_ledger`).
"""
