"""Nodes of the SQL project as Dagster assets.

Belongs here: keys, partitions, docs, checks and runs of models and seeds.
Does not: tables that Python writes (`platform.python_tables`).
"""
