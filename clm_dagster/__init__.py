"""Customer lifecycle management for e-commerce, as a Dagster project on DuckDB."""
