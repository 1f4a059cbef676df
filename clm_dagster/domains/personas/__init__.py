"""Personas: groups of customers with similar habits, with names that survive retraining, and with profiles."""
