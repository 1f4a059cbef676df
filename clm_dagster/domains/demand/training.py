"""Functions that the engine of trained models calls to train demand, and the rows of `models.demand_model`.

Belongs here: the functions that determine rows. Does not: the definition of the model (`tables`), the evaluation
(`model`, `evaluation`), metadata and plots (`notes`), SQL (`queries`), the wording of checks (`checks`).
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace

import pandas as pd
from threadpoolctl import threadpool_limits

from clm_dagster.domains.demand.baseline import baseline_policies
from clm_dagster.domains.demand.checkpoints import checkpointed_fit, checkpointed_run
from clm_dagster.domains.demand.evaluation import KEPT, DemandEvaluation, records
from clm_dagster.domains.demand.gates import demand_verdict
from clm_dagster.domains.demand.model import evaluate_candidates, fit_policies, panels_of
from clm_dagster.domains.demand.names import DAY, METRICS
from clm_dagster.domains.demand.policy import ForecastPolicy
from clm_dagster.domains.demand.queries import SeriesInputs
from clm_dagster.domains.demand.series import KEYS
from clm_dagster.domains.demand.served import example
from clm_dagster.domains.demand.table_settings import DemandSettings
from clm_dagster.platform.python_tables.partition import Work
from clm_dagster.platform.tracking import data_hash
from clm_dagster.platform.trained_models.metrics import Metric, metrics_of, ten_decimals
from clm_dagster.platform.trained_models.training import Report
from clm_dagster.statistics.evaluation import Verdict

# Starting a process takes seconds, so processes pay off only for many series.
MIN_SERIES_FOR_PROCESSES = 60

Policies = Mapping[str, ForecastPolicy]
DemandWork = Work[DemandSettings]


def evaluate(work: DemandWork, inputs: SeriesInputs) -> DemandEvaluation:
    """Evaluate the candidates. Checkpoints let an interrupted run resume."""
    start = time.perf_counter()
    series = len(inputs.series[KEYS].drop_duplicates())
    settings = replace(work.settings, jobs=processes(series, work.threads))
    folder = work.checkpoint_dir / work.code_version
    with threadpool_limits(limits=1):
        panels = panels_of(inputs.series, work.day, settings, inputs.promotions)
        evaluations = evaluate_candidates(panels, settings, checkpointed_run(folder))
        policies = fit_policies(evaluations, settings, checkpointed_fit(folder)) | baseline_policies(
            evaluations
        )
    return DemandEvaluation(panels, evaluations, policies, settings, time.perf_counter() - start)


def processes(series: int, threads: int) -> int:
    """Return the number of processes for a number of series. threads: the setting, 0 for one per processor."""
    return (threads or os.cpu_count() or 1) if series >= MIN_SERIES_FOR_PROCESSES else 1


def verdict(inputs: SeriesInputs, result: DemandEvaluation, champion: None, is_newest: bool) -> Verdict:
    """Return whether the policy becomes champion, for days and weeks each for itself.

    It is compared with a baseline, not with the previous champion.
    """
    days = pd.to_datetime(inputs.series["day"])
    weeks = ((days.max() - days.min()).days + 1) // 7 if len(days) else 0
    return demand_verdict(result.gains, weeks, is_newest)


def report(work: DemandWork, inputs: SeriesInputs, result: DemandEvaluation) -> Report[Policies]:
    """Return the table row, the fitted model and the metrics of a training."""
    kept = result.table[result.table["method"].isin(KEPT)]
    return Report(
        fitted=result.policies,
        example=example(inputs.series, result.policies),
        data_hash=data_hash(inputs.series),
        trained_as_of=work.day,
        row={
            "horizon_weeks": result.settings.horizon_weeks,
            "learnt_from": result.panels[DAY].dates[0].date(),
            "series": len(result.panels[DAY]),
            "origins": result.origins,
            **result.summary,
            "combined": json.dumps(result.combined),
            "seconds": round(result.seconds, 1),
            "accuracy": kept.to_json(orient="records"),
        },
        metrics=[metric for row in records(result.means) for metric in _metrics(row)],
    )


def _metrics(row: Mapping[str, float]) -> list[Metric]:
    """Return the metrics of one method for one period and hierarchy level."""
    values = {name: ten_decimals(row[name]) for name in METRICS}
    return metrics_of(str(row["method"]), values, f"{row['period']}/{row['level']}")
