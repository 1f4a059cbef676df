"""The part of the build that pyproject.toml cannot say: the SQL folder becomes a folder of the package.

Belongs here: the list of packages. Does not: metadata, or which files are shipped (both are in pyproject.toml).
"""

from setuptools import find_packages, setup

# pyproject.toml maps clm_dagster.dbt_like_sql to the folder dbt_like_sql at the top of the repository. It can find
# packages or list them, but not both, and a list would have to name every new domain.
setup(packages=[*find_packages(include=["clm_dagster", "clm_dagster.*"]), "clm_dagster.dbt_like_sql"])
