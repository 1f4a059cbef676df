"""Trained models: evaluation, MLflow, promotion, the table of trainings, scores."""
