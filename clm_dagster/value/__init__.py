"""What each customer will spend in the days after as_of: an amount, an interval, a tier, checked against what he did."""
