"""`dbt_like_sql/` as Dagster assets: dbt's folder and vocabulary without dbt's runtime.

`project` reads and checks the folder, `rendering` turns a model into SQL, `building` runs it in
DuckDB, `versions` says what is up to date, `lineage` follows columns, `assets` makes it Dagster's.
Nothing here knows what any model is about.
"""
