"""Actions: what to do about each customer, with a holdout that measures it."""
