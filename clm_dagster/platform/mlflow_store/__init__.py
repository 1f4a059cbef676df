"""Upkeep of an MLflow store: files of a moved data folder, runs and versions that killed processes left."""
