"""Recommendations: what each customer will want next, what goes with what, and how well that is known."""
