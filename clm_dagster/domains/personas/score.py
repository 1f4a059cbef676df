"""Assignment of customers to personas at a snapshot, and persona profiles.

Belongs here: the rows of `marts.personas` and `marts.persona_profiles`. Does not belong here: training (`training`),
SQL (`queries`).
"""

from typing import Any

import pandas as pd

from clm_dagster.domains.personas import checks, plots
from clm_dagster.domains.personas.model import profile
from clm_dagster.domains.personas.queries import AssignmentInputs
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Work


def assign(work: Work[Any], inputs: AssignmentInputs) -> TableOutput:
    """Assign every customer with an order to a persona. Return no rows if there is no model."""
    snapshot = work.label
    if inputs.model is None or inputs.row is None:
        return TableOutput(pd.DataFrame(columns=work.columns), {}, checks.check_coverage(False, snapshot))
    frame = inputs.model.assign(inputs.habits(inputs.model)).reset_index()
    model = {
        "model_name": inputs.row["model_name"],
        "model_version": inputs.row["model_version"],
        "model_as_of": inputs.row["as_of"],
    }
    sizes = frame["persona"].value_counts()
    return TableOutput(
        frame.assign(horizon_days=0, **model)[work.columns],
        {name: str(value) for name, value in model.items()}
        | {"customers": {str(name): int(count) for name, count in sizes.items()}},
        checks.check_coverage(True, snapshot),
    )


def describe(work: Work[Any], inputs: AssignmentInputs) -> TableOutput:
    """Profile every persona by the habits of its customers."""
    if inputs.model is None or inputs.assigned.empty:
        return TableOutput(pd.DataFrame(columns=work.columns))
    frame = inputs.habits(inputs.model)
    assigned = inputs.assigned.set_index("customer_id").loc[frame.index]
    revenue = inputs.customers.set_index("customer_id")["net_revenue"].loc[frame.index]
    rows = profile(inputs.model, frame, assigned, revenue)
    height = 1.8 + 0.5 * rows["persona_id"].nunique()
    width = 9.0 + 0.35 * max(rows["measure"].nunique() - 8, 0)
    return TableOutput(
        rows[work.columns], work.pictures({"personas": (plots.profile_chart(rows), width, height)})
    )
