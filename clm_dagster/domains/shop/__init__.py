"""Totals of the shop: chart and run summary. SQL computes the totals."""
