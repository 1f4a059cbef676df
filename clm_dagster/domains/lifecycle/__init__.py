"""Lifecycle stages, migration, cohorts, funnel: the rows are SQL; here are their charts, checks and facts."""
