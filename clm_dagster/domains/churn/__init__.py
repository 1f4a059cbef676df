"""Churn: which customers of the last year will not order in the next `horizon` days, and why."""
