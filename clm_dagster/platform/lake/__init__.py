"""The lake: DuckLake in the place of the DuckDB file, for several processes and machines that write at once."""
