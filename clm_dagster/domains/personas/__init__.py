"""Personas: groups of customers with like habits, named, kept over retrainings, and profiled."""
