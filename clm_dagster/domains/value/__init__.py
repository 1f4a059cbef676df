"""What each customer will spend in the days after as_of: an amount, an interval, a tier, all checked later."""
