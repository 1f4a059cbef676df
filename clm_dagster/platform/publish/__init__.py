"""The published copy of the warehouse, which users and dashboards read without blocking writers."""
