"""The tables of the personas, in the order in which they are computed."""

from clm_dagster.domains.personas import checks
from clm_dagster.domains.personas.queries import MODEL, PERSONAS, read_assigned, read_customers
from clm_dagster.domains.personas.score import assign, describe
from clm_dagster.domains.personas.training import persona_model
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.tables import AnyTable, PythonTable

PROFILES = "marts.persona_profiles"


def persona_tables(project: Project) -> list[AnyTable]:
    """Return the trained model, who is which persona, and what sets each apart."""
    reads = ("customer_features", "customer_categories")
    return [
        persona_model().table(project),
        PythonTable.of(
            project, PERSONAS, reads, read_customers, assign, None, MODEL, checks=checks.ASSIGNMENT
        ),
        PythonTable.of(project, PROFILES, (*reads, PERSONAS), read_assigned, describe, None, MODEL),
    ]
