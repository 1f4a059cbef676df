"""Trained models: evaluation, MLflow, promotion, tables of trainings, scores."""
