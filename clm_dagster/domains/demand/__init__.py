"""Demand: forecasts of units, orders and revenue with prediction intervals, reorder points, and the sales calendar."""
