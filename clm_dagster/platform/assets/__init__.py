"""Nodes of the SQL project as Dagster assets.

Belongs here: keys, partitions, documentation, checks and runs of models and seeds.
Does not: tables written by Python (`platform.python_tables`).
"""
