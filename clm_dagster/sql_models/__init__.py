"""`dbt_like_sql/` as Dagster assets: dbt's folder and vocabulary without dbt's runtime.

`project` reads and checks the folder (`properties` and `yaml_lines` its YAML), `rendering` turns a
model into SQL, `building` runs it in DuckDB, `versions` says what is up to date, `lineage` follows
columns; `parts`, `seed_assets`, `model_assets` and `assets` make it Dagster's. Nothing here knows what
any model is about.
"""
