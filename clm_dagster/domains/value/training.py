"""Training as a Dagster step: read the snapshots, hold the contest, tell MLflow, write one row.

Belongs here: what `models.value_model` does and says. Does not: the contest (`model`), words of checks (`checks`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from clm_dagster.domains.value import checks, pictures
from clm_dagster.domains.value.gates import BASELINES
from clm_dagster.domains.value.model import ContestResult, Standing, hold_contest
from clm_dagster.domains.value.plan import ContestSettings
from clm_dagster.domains.value.scoring import SnapshotLevel
from clm_dagster.domains.value.served import PACKAGES, TRUSTED, example, served, to_model
from clm_dagster.domains.value.settings import ValueSettings
from clm_dagster.platform.charts import make_figure, pictures_of
from clm_dagster.platform.partitions import as_of_of_key
from clm_dagster.platform.python_tables.tables import Computed, Read, Request
from clm_dagster.platform.tracking import LoggedModel, TrackedRun, Tracking, data_hash, training_tags
from clm_dagster.platform.trained_models.champions import champion_row, read_models, row_without_model
from clm_dagster.platform.trained_models.snapshots import Material, held, read_material, read_mature
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings
from clm_dagster.statistics.evaluation import Verdict

MODEL = "models.value_model"
# Everybody with an order before as_of is asked about.
BUYERS = "order_days > 0"
PROMISED = ("bias", "mae", "rmse", "spearman", "gini", "catch", "best_catch")


def contest_settings(settings: Settings) -> ContestSettings:
    """What the user chose of the contest."""
    return ContestSettings(
        horizon_days=settings.of(ValueSettings).horizon_days,
        spacing_days=7 * settings.contest_spacing_weeks,
        snapshots=settings.contest_snapshots,
    )


def read_labels(connection: Connection, as_of: date, days: Sequence[date]) -> pd.DataFrame:
    """Labels at these snapshots that were mature at `as_of`."""
    return read_mature(
        connection, "core.value_labels", "net_revenue::double as net_revenue, orders", as_of, days
    )


Given = Material[ContestSettings]


def reader(settings: Settings) -> Read:
    """Reads the snapshots of the contest of one as_of."""
    chosen = contest_settings(settings)

    def read(connection: Connection, request: Request) -> Given:
        trained = read_models(connection, MODEL, as_of_of_key(request.key).date())
        return read_material(
            connection, request, trained, chosen, BUYERS, settings.train_customers, read_labels
        )

    return read


def train(context: dg.AssetExecutionContext, request: Request, given: Given) -> Computed:
    """Hold the contest of one as_of."""
    tracking: Tracking = context.resources.tracking
    tracking.open()  # a store that is away is said before the work, not after it
    result, problem = held(given, hold_contest)
    if result is None:
        return _without_contest(given, problem, request)
    return _judge_and_log(context, tracking, request, given, result)


def _without_contest(given: Given, problem: str, request: Request) -> Computed:
    """A row that says why there is no model; a model that is there already is not thrown away for it."""
    as_of = as_of_of_key(request.key)
    row = row_without_model(
        MODEL, COLUMNS, request.key, given.settings.horizon_days, problem, given.has_model
    )
    return Computed(row, {"said": problem}, checks.check_no_contest(f"{as_of:%Y-%m-%d}: {problem}"))


def _judge_and_log(
    context: dg.AssetExecutionContext, tracking: Tracking, request: Request, given: Given, result: ContestResult
) -> Computed:  # fmt: skip
    champion = _champion_before(tracking, given, result)
    then = result.verdict(champion)
    now = result.verdict(champion, request.is_newest)
    hashed = f"{data_hash(given.features)}{data_hash(given.labels)}"
    split = result.split
    tags = training_tags(context, request.version.hash, hashed, split.training[-1])
    with tracking.run(context, request.key, tags) as run:
        logged = _log(run, given, result, now)
    if now.accepted:
        tracking.promote(MODEL, logged.version)
    best = result.standings[result.winner]
    row = {
        "model_name": MODEL,
        "model_version": logged.version,
        "mlflow_run_id": run.run_id,
        "model_uri": logged.uri,
        "training_data_hash": hashed,
        "horizon_days": given.settings.horizon_days,
        "trained_as_of": split.training[-1],
        "tested_as_of": split.test,
        "training_snapshots": len(split.training),
        "customers": len(result.amounts),
        "winner": result.winner,
        "accepted": then.accepted,
        "suspected_leak": False,
        **{f"test_{name}": best.test[name] for name in PROMISED},
        "bias_before": best.before["bias"],
        "interval_coverage": result.coverage,
        "tier_method": result.model.tiers.method,
        "level_method": result.level.method,
        "said": str(now),
        "contest": json.dumps([_told(s, result) for s in result.standings.values()]),
        "tiers": result.tiers.to_json(orient="records"),
    }
    shown = {name: value for name, value in row.items() if name not in ("contest", "tiers")}
    shown |= {name: str(shown[name]) for name in ("trained_as_of", "tested_as_of")}
    return Computed(
        pd.DataFrame([row], columns=COLUMNS),
        pictures_of(_draws(result)) | {"standings": dg.MetadataValue.md(_standings(result))} | shown,
        checks.check_training(str(as_of_of_key(request.key).date()), result, then, now),
    )


def _champion_before(tracking: Tracking, given: Given, result: ContestResult) -> np.ndarray | None:
    """What the champion of then says the customers of the test snapshot spend, at the same level."""
    row = champion_row(given.before, given.settings.horizon_days)
    if row is None:
        return None
    model = to_model(tracking.sklearn_model(MODEL, row["model_version"], TRUSTED))
    test = given.features[pd.to_datetime(given.features["as_of"]).dt.date == result.split.test]
    said = model.scores(test, SnapshotLevel(result.level.factor, result.order_level.factor))
    amounts = said.set_index("customer_id")["expected_revenue"].reindex(result.amounts["customer_id"])
    return amounts.to_numpy(float)


# ---------------------------------------------------------------------------------------- MLflow


def _log(run: TrackedRun, given: Given, result: ContestResult, verdict: Verdict) -> LoggedModel:
    split = result.split
    run.params(
        {
            "winner": result.winner, "horizon_days": split.horizon_days, "spacing_days": split.spacing_days,
            "training_snapshots": len(split.training), "trained_as_of": split.training[-1],
            "tested_as_of": split.test, "level": result.level.method, "tiers": result.model.tiers.method,
            "cap": f"{result.model.cap:.2f}",
        }
    )  # fmt: skip
    run.metrics(_metrics(result.standings[result.winner]) | {"interval_coverage": result.coverage})
    run.document(
        {
            "said": str(verdict), "level": asdict(result.level),
            "contest": [_told(s, result) for s in result.standings.values()],
            "deciles": json.loads(result.deciles.to_json(orient="records")),
            "tiers": result.tiers.to_dict("records"),
            "interval_coverage_by_decile": list(result.coverage_by_decile),
        },
        "contest.json",
    )  # fmt: skip
    for name, (draw, width, height) in _draws(result).items():
        run.figure(make_figure(draw, width, height), f"{name}.png")
    actual = result.amounts["net_revenue"].to_numpy()
    for standing in result.standings.values():
        with run.child(standing.name) as child:
            members = standing.parameters.get("members")
            child.params(dict(standing.parameters) | ({"members": ", ".join(members)} if members else {}))
            child.metrics(_metrics(standing))
            page = pictures.contestant_page(standing.name, actual, result.amounts[standing.name].to_numpy())
            child.figure(make_figure(page, 13, 4, fitted=False), "contestant.png")
    frame = given.features[pd.to_datetime(given.features["as_of"]).dt.date == split.test]
    return run.sklearn_model(MODEL, served(result.model), example(frame, 1_000), PACKAGES, TRUSTED)


def _metrics(standing: Standing) -> dict[str, float]:
    found = {"seconds": standing.seconds, "validation/score": standing.score}
    parts: dict[str, Mapping[str, float]] = {
        "validation": standing.validation, "test_before": standing.before, "test": standing.test,
    }  # fmt: skip
    for part, values in parts.items():
        found |= {f"{part}/{name}": value for name, value in values.items()}
    for what, gaps in (("mae_over", standing.mae_over), ("catch_over", standing.catch_over)):
        for rule, gap in gaps.items():
            found |= {
                f"{what}_{rule}/value": gap.value,
                f"{what}_{rule}/low": gap.low,
                f"{what}_{rule}/high": gap.high,
            }
    return found


def _told(standing: Standing, result: ContestResult) -> dict[str, Any]:
    """One contestant as the table shows it."""
    told: dict[str, Any] = {
        "contestant": standing.name,
        "is_winner": standing.name == result.winner,
        "is_baseline": standing.name in BASELINES,
        "seconds": round(standing.seconds, 3),
        "validation_score": standing.score,
        "bias_before": standing.before["bias"],
        **{name: standing.test[name] for name in PROMISED},
    }
    for what, gaps in (
        ("mae_over_past_year", standing.mae_over),
        ("catch_over_past_year", standing.catch_over),
    ):
        gap = gaps["past_year"]
        told |= {what: gap.value, f"{what}_low": gap.low, f"{what}_high": gap.high}
    return told


# ---------------------------------------------------------------------------------- what people see


def _draws(result: ContestResult) -> dict[str, tuple[pictures.Draw, float, float]]:
    height = 1.2 + 0.22 * len(result.standings)
    return {
        "contest": (pictures.contest_page(result), 10.0, height),
        "level": (pictures.level_page(result), 8.0, 2.4),
    }


def _standings(result: ContestResult) -> str:
    """The contest as a markdown table, best by validation first."""
    lines = [
        "| contestant | validation score | MAE | over the last year's rate | bias before | bias | RMSE | Spearman "
        "| Gini | catch | s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for s in sorted(result.standings.values(), key=lambda s: s.score):
        name = f"**{s.name}**" if s.name == result.winner else s.name
        lines.append(
            f"| {name} | {s.score:.0f} | {s.test['mae']:.2f} | {s.mae_over['past_year']} | {s.before['bias']:+.1%} "
            f"| {s.test['bias']:+.1%} | {s.test['rmse']:.0f} | {s.test['spearman']:.3f} | {s.test['gini']:.3f} "
            f"| {s.test['catch']:.3f} | {s.seconds:.1f} |"
        )
    return "\n".join(lines)


COLUMNS = [
    "model_name", "model_version", "mlflow_run_id", "model_uri", "training_data_hash", "horizon_days",
    "trained_as_of", "tested_as_of", "training_snapshots", "customers", "winner", "accepted", "suspected_leak",
    *(f"test_{name}" for name in PROMISED), "bias_before", "interval_coverage", "tier_method", "level_method",
    "said", "contest", "tiers",
]  # fmt: skip
