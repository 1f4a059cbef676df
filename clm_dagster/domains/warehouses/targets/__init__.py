"""The databases that get tables. Each replaces the changed partitions of a table in one step for readers."""
