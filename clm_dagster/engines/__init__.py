"""Other engines than one DuckDB file that can run the SQL project, and the proof that they give the same rows.

Belongs here: engines, and comparing their rows (`clm verify`). Does not: the SQL project (`platform.dbt_project`).
"""
