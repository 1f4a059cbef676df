"""Customer value: what each customer will spend within the horizon, as an amount, an interval and a tier."""
