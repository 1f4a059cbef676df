"""What the product costs, measured: `python -m clm_dagster_tests.benchmarks`. Never a timed test."""
