"""Recommendations: product lists for customers and visitors, similar products and basket rules."""
