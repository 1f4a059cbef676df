#!/bin/sh
# Run by the image of PostgreSQL when its volume is empty: the second database, for MLflow.
set -eu
psql --no-password --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --command "create database mlflow"
