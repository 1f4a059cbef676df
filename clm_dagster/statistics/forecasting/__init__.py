"""Time series forecasting: local models, reconciliation, intervals.

Belongs here: functions of arrays of series. Does not: which series are forecast, or the choice of a method.
"""
