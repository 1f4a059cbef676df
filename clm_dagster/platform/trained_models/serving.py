"""`models.serving`: what serves each scored snapshot, and why.

Belongs here: the rows of this table, and its asset. Does not: the rule (`champions`), scores (`scoring`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pandas as pd

from clm_dagster.platform.assets.node_assets import spec_without_step
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.naming import asset_key
from clm_dagster.platform.python_tables.output import SideRows
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.platform.trained_models.champions import WHOLE, Served
from clm_dagster.settings import Settings

SERVING = "models.serving"
# The name of the part of a model that is judged as a whole.
ALL = "all"


def serving_rows(
    project: Project, model: str, table: str, served: Mapping[str, Served[Any]], is_scored: bool
) -> SideRows:
    """Return the rows of one table of scores at one snapshot. is_scored: whether it has any scores."""
    rows = []
    for part, one in served.items():
        named = one.columns() if is_scored else {}
        rows.append(
            {
                "part": ALL if part == WHOLE else part,
                "table_name": table,
                "is_champion": one.choice.message is None,
                **{name: named.get(name) for name in ("model_name", "model_version", "model_as_of")},
                "reason": one.choice.message,
            }
        )
    return SideRows(project.sources[SERVING], model, pd.DataFrame(rows))


def serving_spec(project: Project, settings: Settings, tables: Sequence[AnyTable]) -> dg.AssetSpec:
    """Return the asset spec of the table. It has no step of its own: every table of scores writes its rows."""
    scores = [
        asset_key(settings, table.relation)
        for table in tables
        if table.model is not None and not table.is_trained
    ]
    return spec_without_step(project.sources[SERVING], settings, scores, "with_scores")
