"""The persona tables that Python writes, in order of computation.

Belongs here: which function reads and computes each table. Does not belong here: these functions.
"""

from clm_dagster.domains.personas import checks
from clm_dagster.domains.personas.queries import MODEL, PERSONAS, read_assigned, read_customers
from clm_dagster.domains.personas.score import assign, describe
from clm_dagster.domains.personas.settings import PersonaSettings
from clm_dagster.domains.personas.table_settings import TrainingSettings
from clm_dagster.domains.personas.training import persona_model
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.tables import AnyTable, PythonTable
from clm_dagster.platform.trained_models.samples import train_customers
from clm_dagster.settings import Settings

PROFILES = "marts.persona_profiles"


def persona_tables(project: Project, settings: Settings) -> list[AnyTable]:
    """Return the tables of the trained model, the assignment and the profiles."""
    own = settings.of(PersonaSettings)
    training = TrainingSettings(
        *train_customers(settings, own.train_customers, "CLM_PERSONAS_TRAIN_CUSTOMERS")
    )
    reads = ("customer_features", "customer_categories")
    return [
        persona_model(training).table(project),
        PythonTable.of(
            project,
            PERSONAS,
            reads,
            read_customers,
            assign,
            None,
            MODEL,
            checks=checks.ASSIGNMENT,
            grade_days=own.grade_days,
            in_shards=True,
        ),
        PythonTable.of(project, PROFILES, (*reads, PERSONAS), read_assigned, describe, None, MODEL),
    ]
