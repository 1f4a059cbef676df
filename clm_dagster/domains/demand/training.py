"""Training as a Dagster step: read the series, hold the contests, tell MLflow, write one row.

Belongs here: what `models.demand_model` does and says. Does not: the contest (`model`), SQL (`reading`), words of
checks (`checks`).
"""

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from threadpoolctl import threadpool_limits

from clm_dagster.domains.demand import checks, pictures
from clm_dagster.domains.demand.backtest import BASELINES, MEASURES
from clm_dagster.domains.demand.checkpoints import keeping, learning
from clm_dagster.domains.demand.diagnostics import explain
from clm_dagster.domains.demand.gates import RULE, gain_over, judge_demand
from clm_dagster.domains.demand.model import (
    DAY,
    WEEK,
    Contest,
    DemandSettings,
    by_period,
    hold_contests,
    panels_of,
    rules_of,
)
from clm_dagster.domains.demand.reading import MODEL, demand_settings, read_promotions, read_series
from clm_dagster.domains.demand.rules import Rules
from clm_dagster.domains.demand.series import KEYS, Panel
from clm_dagster.domains.demand.served import PACKAGES, TRUSTED, example, served
from clm_dagster.platform.charts import make_figure, pictures_of
from clm_dagster.platform.partitions import as_of_of_key
from clm_dagster.platform.python_tables.tables import Compute, Computed, Request
from clm_dagster.platform.tracking import LoggedModel, TrackedRun, Tracking, data_hash, training_tags
from clm_dagster.platform.trained_models.champions import has_model_at, read_models, row_without_model
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings
from clm_dagster.statistics.evaluation import Verdict

BANDS = ("coverage_80", "coverage_95", "interval_score_80", "interval_score_95")
KEPT = ("chosen", *BASELINES)
"""Of every series, whose measures are kept as a table; those of all methods are an artefact in MLflow."""


@dataclass(frozen=True)
class Given:
    """What a training reads: series before as_of, promotions, whether a model is stored for it."""

    series: pd.DataFrame
    promotions: pd.DataFrame
    has_model: bool


@dataclass(frozen=True)
class Held:
    """The contests of days and weeks, and what they say together."""

    panels: Mapping[str, Panel]
    contests: Mapping[str, Contest]
    rules: Mapping[str, Rules]
    settings: DemandSettings
    seconds: float

    @cached_property
    def held_out(self) -> pd.DataFrame:
        """The chosen and the baselines on origins not used to choose, days and weeks."""
        return by_period({period: contest.held_out for period, contest in self.contests.items()})

    @cached_property
    def accuracy(self) -> pd.DataFrame:
        """One row for each period and series: how its bands did."""
        return by_period({period: contest.accuracy for period, contest in self.contests.items()})

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each period, series and method, the chosen one as `chosen`, with the bands of the chosen."""
        measured = by_period({period: contest.table for period, contest in self.contests.items()})
        bands = self.accuracy[["period", *KEYS, "outcome", "origins", *BANDS]].assign(method="chosen")
        found = measured.merge(bands, on=["period", *KEYS, "method"], how="left")
        names = self.accuracy[["period", *KEYS, "method"]].rename(columns={"method": "model"})
        return found.merge(names, on=["period", *KEYS], how="left")

    @cached_property
    def contest(self) -> pd.DataFrame:
        """Means over the series of each level: period, level, method, series, measures."""
        table = self.table
        groups = table[table["mase"].notna()].groupby(["period", "level", "method"], as_index=False)
        return groups.agg(series=("mase", "size"), **{name: (name, "mean") for name in (*MEASURES, *BANDS)})

    @cached_property
    def coverage(self) -> pd.DataFrame:
        """Mean coverage of each period over its series."""
        return self.accuracy.groupby("period", as_index=False)[["coverage_80", "coverage_95"]].mean()

    @cached_property
    def promised(self) -> dict[str, float | None]:
        """Means over the series on origins not used to choose, and the coverage of the bands."""
        found: dict[str, float | None] = {}
        for period in (DAY, WEEK):
            rows = self.held_out[self.held_out["period"] == period]
            for name in ("mase", "rmsse"):
                found[f"{period}_{name}"] = _mean(rows[rows["method"] == "chosen"], name)
            found[f"{period}_mase_of_mean"] = _mean(rows[rows["method"] == RULE], "mase")
            for name in ("coverage_80", "coverage_95"):
                found[f"{period}_{name}"] = _mean(self.coverage[self.coverage["period"] == period], name)
        return found


def read(connection: Connection, request: Request) -> Given:
    """The series of the contest of one as_of."""
    as_of = as_of_of_key(request.key)
    trained = read_models(connection, MODEL, as_of.date())
    return Given(
        read_series(connection, as_of.date()), read_promotions(connection), has_model_at(trained, as_of)
    )


def trainer(settings: Settings) -> Compute:
    """Holds the contest of one as_of; what it has computed stays in the data folder until its row is made."""

    def train(context: dg.AssetExecutionContext, request: Request, given: Given) -> Computed:
        tracking: Tracking = context.resources.tracking
        tracking.open()  # a store that is away is said before the work, not after it
        if given.series.empty:
            return _without_contest(given, request)
        folder = settings.data_dir / "cache" / "demand" / request.key
        held = _hold(settings, request, given, folder)
        computed = _judge_and_log(context, tracking, request, given, held)
        shutil.rmtree(folder)
        return computed

    return train


def _hold(settings: Settings, request: Request, given: Given, folder: Path) -> Held:
    start = time.perf_counter()
    as_of = as_of_of_key(request.key).date()
    count = len(given.series[KEYS].drop_duplicates())
    chosen = demand_settings(settings, count)
    with threadpool_limits(limits=1):
        panels = panels_of(given.series, as_of, chosen, given.promotions)
        contests = hold_contests(panels, chosen, keeping(folder))
        rules = rules_of(contests, chosen, learning(folder))
    return Held(panels, contests, rules, chosen, time.perf_counter() - start)


def _without_contest(given: Given, request: Request) -> Computed:
    """A row that says why there is no model; a model that is there already is not thrown away for it."""
    as_of = as_of_of_key(request.key).date()
    problem = f"nothing was sold before {as_of}: there is no demand to learn from."
    horizon = DemandSettings().horizon_days
    row = row_without_model(MODEL, COLUMNS, request.key, horizon, problem, given.has_model)
    return Computed(row, {"said": problem}, checks.check_no_contest(problem))


def _judge_and_log(
    context: dg.AssetExecutionContext, tracking: Tracking, request: Request, given: Given, held: Held
) -> Computed:
    as_of = as_of_of_key(request.key).date()
    held_out = held.held_out
    days = held_out[held_out["period"] == DAY]
    gain, judged = gain_over(days, RULE), int(days["mase"].notna().sum() // len(KEPT))
    then, now = judge_demand(gain, judged), judge_demand(gain, judged, request.is_newest)
    hashed = data_hash(given.series)
    first = held.panels[DAY].dates[0].date()
    with tracking.run(
        context, request.key, training_tags(context, request.version.hash, hashed, as_of)
    ) as run:
        logged = _log(run, context, given, held, now)
    if now.accepted:
        tracking.promote(MODEL, logged.version)
    table, contest = held.table, held.contest
    backtest = held.contests[DAY].backtest
    combined = {period: held.contests[period].choice.good for period in held.contests}
    row: dict[str, Any] = {
        "model_name": MODEL,
        "model_version": logged.version,
        "mlflow_run_id": run.run_id,
        "model_uri": logged.uri,
        "training_data_hash": hashed,
        "horizon_days": held.settings.horizon_days,
        "horizon_weeks": held.settings.horizon_weeks,
        "learnt_from": first,
        "series": len(held.panels[DAY]),
        "origins": int(backtest.origins.size),
        "accepted": then.accepted,
        "suspected_leak": False,
        **held.promised,
        "combined": json.dumps(combined),
        "seconds": round(held.seconds, 1),
        "said": str(now),
        "contest": contest.to_json(orient="records"),
        "accuracy": table[table["method"].isin(KEPT)].to_json(orient="records"),
    }
    shown = {name: value for name, value in row.items() if name not in ("contest", "accuracy")}
    shown |= {"learnt_from": str(first)}
    draws = {"contest": (pictures.contest_page(contest), 11.0, 3.2)} if len(contest) else {}
    return Computed(
        pd.DataFrame([row], columns=COLUMNS),
        pictures_of(draws) | {"standings": dg.MetadataValue.md(_standings(contest))} | shown,
        checks.check_training(str(as_of), held.coverage, int(backtest.origins.size), then, now),
    )


def _mean(rows: pd.DataFrame, name: str) -> float | None:
    if name not in rows or rows[name].isna().all():
        return None
    return float(rows[name].mean())


# ---------------------------------------------------------------------------------------- MLflow


def _log(
    run: TrackedRun, context: dg.AssetExecutionContext, given: Given, held: Held, verdict: Verdict
) -> LoggedModel:
    days = held.contests[DAY]
    run.params(
        {
            "horizon_days": held.settings.horizon_days, "horizon_weeks": held.settings.horizon_weeks,
            "series": len(held.panels[DAY]), "origins": days.backtest.origins.size,
            "spacing_days": held.settings.spacing_days,
            **{f"combined_{period}s_{kind}": ", ".join(names) for period, contest in held.contests.items()
               for kind, names in contest.choice.good.items()},
        }
    )  # fmt: skip
    run.metrics(held.promised | {"seconds": held.seconds})
    run.text(held.table.to_csv(index=False), "series.csv")
    run.text(held.held_out.to_csv(index=False), "held_out.csv")
    contest = held.contest
    run.document(
        {"said": str(verdict), "contest": json.loads(contest.to_json(orient="records"))}, "contest.json"
    )
    if len(contest):
        run.figure(make_figure(pictures.contest_page(contest), 11, 3.2), "contest.png")
    for level, rows in contest.groupby("level"):
        with run.child(str(level)) as child:
            child.params({"series": int(rows["series"].max())})
            child.metrics(
                {
                    f"{row['period']}/{row['method']}/{name}": row[name]
                    for row in rows.to_dict("records")
                    for name in (*MEASURES, *BANDS)
                    if pd.notna(row[name])
                }
            )
    _explain(run, context, held, given.series)
    found = example(given.series, held.rules)
    return run.sklearn_model(MODEL, served(held.rules), found, PACKAGES, TRUSTED)


def _explain(run: TrackedRun, context: dg.AssetExecutionContext, held: Held, series: pd.DataFrame) -> None:
    """The ARIMA of the largest series: statsmodels' summary, tests and pictures of its residuals."""
    for period, panel in held.panels.items():
        for key in pictures.largest(series):
            row = int((panel.keys[KEYS] == list(key)).all(axis=1).to_numpy().argmax())
            name = f"{period}s of {key[2]} {'' if key[0] == 'shop' else ' '.join(key[:2])}".strip()
            try:
                explained = explain(panel, row)
            except ValueError as error:
                context.log.info(f"no ARIMA of the {name}: {error}")
                continue
            file = "".join(letter if letter.isalnum() else "_" for letter in name)
            tests = explained.ljung_box.to_string(index=False)
            run.text(f"{explained.text}\n\nLjung-Box\n{tests}\n", f"arima/{file}.txt")
            page = pictures.residual_page(name.capitalize(), explained)
            run.figure(make_figure(page, 14, 3.4), f"arima/{file}.png")


def _standings(contest: pd.DataFrame) -> str:
    """The contest over all levels as a markdown table, best days first."""
    if contest.empty:
        return "The history is too short to judge any forecast."
    shown = [(name, period) for period in (DAY, WEEK) for name in ("mase", "rmsse", "wape", "bias")]
    rows = []
    for method, of_method in contest.groupby("method"):
        cells = [_weighed(of_method[of_method["period"] == period], name) for name, period in shown]
        name = "**chosen**" if method == "chosen" else str(of_method["method"].iloc[0])
        rows.append((cells[0], f"| {name} | {' | '.join(cells)} |"))
    lines = [
        "| method | MASE, days | RMSSE | WAPE | bias | MASE, weeks | RMSSE | WAPE | bias |",
        "|---|---|---|---|---|---|---|---|---|",
        *(line for _, line in sorted(rows)),
    ]
    return "\n".join(lines)


def _weighed(rows: pd.DataFrame, name: str) -> str:
    """The mean over all series of levels' means, as text."""
    known = rows[rows[name].notna()]
    return f"{(known[name] * known['series']).sum() / known['series'].sum():.3f}" if len(known) else ""


_PROMISED = [
    f"{period}_{name}"
    for period in (DAY, WEEK)
    for name in ("mase", "rmsse", "mase_of_mean", "coverage_80", "coverage_95")
]
COLUMNS = [
    "model_name", "model_version", "mlflow_run_id", "model_uri", "training_data_hash", "horizon_days",
    "horizon_weeks", "learnt_from", "series", "origins", "accepted", "suspected_leak", *_PROMISED, "combined",
    "seconds", "said", "contest", "accuracy",
]  # fmt: skip
