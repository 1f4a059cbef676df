"""Warehouses that teams have: what is published to PostgreSQL, Snowflake or BigQuery, and what they hold already."""
