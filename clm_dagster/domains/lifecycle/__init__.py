"""Lifecycle stages, migration, cohorts and funnel: charts, checks and metadata of tables that SQL makes."""
