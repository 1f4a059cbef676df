"""Benchmarks of run time and memory: `python -m clm_dagster_tests.benchmarks`. They are not tests."""
