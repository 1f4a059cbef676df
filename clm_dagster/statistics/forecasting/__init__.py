"""Forecasts of single series and of series that add up."""
