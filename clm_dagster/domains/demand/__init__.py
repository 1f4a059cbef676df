"""Demand: forecasts of units, orders and revenue with honest bands, reorder points, the calendar."""
