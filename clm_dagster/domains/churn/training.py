"""Training as a Dagster step: read the snapshots, hold the contest, tell MLflow, write one row.

Belongs here: what `models.churn_model` does and says. Does not: the contest (`model`), SQL (`reading`), words of
checks (`checks`).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
from scipy.special import expit
from threadpoolctl import threadpool_limits

from clm_dagster.domains.churn import checks, pictures
from clm_dagster.domains.churn.contestants import BLENDS, Contestant, contestants, log_odds
from clm_dagster.domains.churn.diagnostics import importance, learning_curve
from clm_dagster.domains.churn.model import ContestResult, Standing, hold_contest
from clm_dagster.domains.churn.monitoring import age_band, fairness
from clm_dagster.domains.churn.plan import ContestSettings
from clm_dagster.domains.churn.reading import (
    MODEL,
    active,
    contest_settings,
    read_labels,
    read_people,
    suggested_horizon,
)
from clm_dagster.domains.churn.served import PACKAGES, TRUSTED, example, served, to_model
from clm_dagster.platform.charts import make_figure, pictures_of
from clm_dagster.platform.partitions import as_of_of_key
from clm_dagster.platform.python_tables.tables import Computed, Read, Request
from clm_dagster.platform.tracking import LoggedModel, TrackedRun, Tracking, data_hash, training_tags
from clm_dagster.platform.trained_models.champions import champion_row, read_models, row_without_model
from clm_dagster.platform.trained_models.snapshots import Material, held, read_material
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings
from clm_dagster.statistics.evaluation import Verdict

GROUPS = ("country", "gender", "age_band", "acquisition_channel")
PROMISED = (
    "roc_auc",
    "brier",
    "log_loss",
    "calibration_error",
    "lift_at_10",
    "base_rate",
    "mean_probability",
)
_DIAGNOSED_ROWS, _SHUFFLES = 1_500, 5


@dataclass(frozen=True)
class Given:
    """What a training reads: the contest's material, the horizon the shop suggests, groups of its customers."""

    material: Material[ContestSettings]
    suggestion: tuple[int, str]
    people: pd.DataFrame


def reader(settings: Settings) -> Read:
    """Reads the snapshots of the contest of one as_of."""
    chosen = contest_settings(settings)

    def read(connection: Connection, request: Request) -> Given:
        as_of = as_of_of_key(request.key)
        trained = read_models(connection, MODEL, as_of.date())
        return Given(
            read_material(
                connection, request, trained, chosen, active(chosen), settings.train_customers, read_labels
            ),
            suggested_horizon(connection, as_of),
            read_people(connection),
        )

    return read


def train(context: dg.AssetExecutionContext, request: Request, given: Given) -> Computed:
    """Hold the contest of one as_of."""
    tracking: Tracking = context.resources.tracking
    tracking.open()  # a store that is away is said before the work, not after it
    result, problem = held(given.material, hold_contest)
    if result is None:
        return _without_contest(given, problem, request)
    return _judge_and_log(context, tracking, request, given, result)


def _without_contest(given: Given, problem: str, request: Request) -> Computed:
    """A row that says why there is no model; a model that is there already is not thrown away for it."""
    as_of = as_of_of_key(request.key)
    row = row_without_model(
        MODEL, COLUMNS, request.key, given.material.settings.horizon_days, problem, given.material.has_model
    )
    return Computed(
        row,
        {"said": problem, "suggested_horizon": given.suggestion[1]},
        checks.check_no_contest(f"{as_of:%Y-%m-%d}: {problem}"),
    )


def _judge_and_log(
    context: dg.AssetExecutionContext, tracking: Tracking, request: Request, given: Given, result: ContestResult
) -> Computed:  # fmt: skip
    champion = _champion_before(tracking, given, result)
    then = result.verdict(given.material.settings, champion)
    now = result.verdict(given.material.settings, champion, request.is_newest)
    hashed = f"{data_hash(given.material.features)}{data_hash(given.material.labels)}"
    split = result.split
    tags = training_tags(context, request.version.hash, hashed, split.training[-1])
    with tracking.run(context, request.key, tags) as run:
        logged = _log(run, context, given, result, now)
    if now.accepted:
        tracking.promote(MODEL, logged.version)
    best = result.standings[result.winner]
    groups = _groups(given, result)
    row = {
        "model_name": MODEL,
        "model_version": logged.version,
        "mlflow_run_id": run.run_id,
        "model_uri": logged.uri,
        "training_data_hash": hashed,
        "horizon_days": given.material.settings.horizon_days,
        "trained_as_of": split.training[-1],
        "tested_as_of": split.test,
        "training_snapshots": len(split.training),
        "customers": len(result.test_probabilities),
        "winner": result.winner,
        "accepted": then.accepted,
        "suspected_leak": bool(result.leaks),
        **{f"test_{name}": best.test[name] for name in PROMISED},
        "recency_roc_auc": result.standings["recency"].test["roc_auc"],
        "level_method": result.level.method,
        "said": str(now),
        "contest": json.dumps([_told(s, result) for s in result.standings.values()]),
        "fairness": groups.to_json(orient="records"),
    }
    shown = {name: value for name, value in row.items() if name not in ("contest", "fairness")}
    shown |= {name: str(shown[name]) for name in ("trained_as_of", "tested_as_of")}
    return Computed(
        pd.DataFrame([row], columns=COLUMNS),
        pictures_of(_draws(result))
        | {"standings": dg.MetadataValue.md(_standings(result))}
        | shown
        | _suggestion(given),
        checks.check_training(str(as_of_of_key(request.key).date()), result, then, now, given.suggestion),
    )


def _champion_before(tracking: Tracking, given: Given, result: ContestResult) -> np.ndarray | None:
    """The probabilities that the champion of then says of the customers of the test snapshot, at the same level."""
    row = champion_row(given.material.before, given.material.settings.horizon_days)
    if row is None:
        return None
    model = to_model(tracking.sklearn_model(MODEL, row["model_version"], TRUSTED))
    frame = result.given.frames[result.split.test]
    return model.scores(frame, result.level.rate, reasons=0)["churn_probability"].to_numpy()


# ---------------------------------------------------------------------------------------- MLflow


def _log(
    run: TrackedRun,
    context: dg.AssetExecutionContext,
    given: Given,
    result: ContestResult,
    verdict: Verdict,
) -> LoggedModel:
    split, best = result.split, result.standings[result.winner]
    run.params(
        {
            "winner": result.winner, "horizon_days": split.horizon_days,
            "active_days": given.material.settings.active_days,
            "spacing_days": split.spacing_days, "training_snapshots": len(split.training),
            "trained_as_of": split.training[-1], "tested_as_of": split.test, "level": result.level.method,
            "shape": best.shape.kind, "threshold": f"{best.threshold:.4f}",
        }
    )  # fmt: skip
    run.metrics(_metrics(best))
    run.document(
        {
            "said": str(verdict), "leaks": list(result.leaks), "level": asdict(result.level),
            "contest": [_told(s, result) for s in result.standings.values()],
        },
        "contest.json",
    )  # fmt: skip
    for name, (draw, width, height) in _draws(result).items():
        run.figure(make_figure(draw, width, height), f"{name}.png")
    entries = {entry.name: entry for entry in contestants()}
    with threadpool_limits(limits=1):
        for number, standing in enumerate(result.standings.values(), 1):
            context.log.info(f"{standing.name}, {number} of {len(result.standings)}: diagnostics")
            with run.child(standing.name) as child:
                _log_contestant(child, standing, entries.get(standing.name), result)
    frame = result.given.frames[split.test]
    return run.sklearn_model(MODEL, served(result.model), example(frame, 1_000), PACKAGES, TRUSTED)


def _log_contestant(
    child: TrackedRun, standing: Standing, entry: Contestant | None, result: ContestResult
) -> None:
    split, given = result.split, result.given
    members = {"members": ", ".join(BLENDS[standing.name])} if standing.name in BLENDS else {}
    child.params(
        {
            **standing.parameters,
            **members,
            "exact_reasons": standing.exact,
            "shape": standing.shape.kind,
            "threshold": f"{standing.threshold:.4f}",
        }
    )
    child.metrics(_metrics(standing))
    model, x, y = result.fitted[standing.name], given.x[split.test], given.y[split.test]
    used = list(x.columns)
    if entry is not None and entry.columns is not None:
        used = [name for name in used if name in entry.columns]
    rows = np.sort(np.random.default_rng(0).permutation(len(y))[:_DIAGNOSED_ROWS])
    needed = importance(model, x.iloc[rows][used].reset_index(drop=True), y[rows], _SHUFFLES)
    curve = None if entry is None else learning_curve(entry, standing.parameters, given, split)
    if curve is not None:
        for record in curve.to_dict("records"):
            child.metrics(
                {f"learning/{k}": record[k] for k in ("roc_auc", "log_loss")}, step=int(record["snapshots"])
            )
    child.document({"importance": needed.to_dict("records")}, "importance.json")
    looks = pictures.Looks(
        standing.name, y, expit(log_odds(model, x)), result.test_probabilities[standing.name].to_numpy(),
        standing.threshold, needed, curve,
    )  # fmt: skip
    child.figure(make_figure(pictures.contestant_page(looks), 15, 7, fitted=False), "contestant.png")


def _metrics(standing: Standing) -> dict[str, float]:
    found = {"seconds": standing.seconds}
    parts: dict[str, Mapping[str, float]] = {
        "validation": standing.validation, "test_before": standing.before, "test": standing.test,
        "test_at_constant_pace": standing.test_rhythm,
    }  # fmt: skip
    for part, values in parts.items():
        found |= {f"{part}/{name}": value for name, value in values.items()}
    for name, gap in (
        ("auc_over_recency", standing.auc_over_recency),
        ("auc_over_winner", standing.auc_over_winner),
    ):
        found |= {f"{name}/value": gap.value, f"{name}/low": gap.low, f"{name}/high": gap.high}
    return found


def _told(standing: Standing, result: ContestResult) -> dict[str, Any]:
    """One contestant as the table shows it."""
    return {
        "contestant": standing.name,
        "is_winner": standing.name == result.winner,
        "exact_reasons": standing.exact,
        "seconds": round(standing.seconds, 3),
        "validation_log_loss": standing.validation["log_loss"],
        "calibration_error_before": standing.before["calibration_error"],
        **{name: standing.test[name] for name in TOLD},
        "auc_over_recency": standing.auc_over_recency.value,
        "auc_over_recency_low": standing.auc_over_recency.low,
        "auc_over_recency_high": standing.auc_over_recency.high,
        "auc_over_winner": standing.auc_over_winner.value,
        "auc_over_winner_low": standing.auc_over_winner.low,
        "auc_over_winner_high": standing.auc_over_winner.high,
    }


TOLD = (
    "roc_auc", "average_precision", "brier", "log_loss", "calibration_error", "precision", "recall", "f1",
    "lift_at_10",
)  # fmt: skip


# ---------------------------------------------------------------------------------- what people see


def _draws(result: ContestResult) -> dict[str, tuple[pictures.Draw, float, float]]:
    height = 1.2 + 0.22 * len(result.standings)
    return {
        "contest": (pictures.contest_page(result), 9.0, height),
        "level": (pictures.level_page(result), 8.0, 2.4),
    }


def _standings(result: ContestResult) -> str:
    """The contest as a markdown table, best by validation first."""
    lines = [
        "| contestant | validation log loss | AUC | over recency | Brier | ECE before | ECE | F1 | lift at 10% | s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for s in sorted(result.standings.values(), key=lambda s: s.validation["log_loss"]):
        name = f"**{s.name}**" if s.name == result.winner else s.name
        lines.append(
            f"| {name} | {s.validation['log_loss']:.4f} | {s.test['roc_auc']:.3f} | {s.auc_over_recency} "
            f"| {s.test['brier']:.3f} | {s.before['calibration_error']:.3f} | {s.test['calibration_error']:.3f} "
            f"| {s.test['f1']:.3f} | {s.test['lift_at_10']:.2f} | {s.seconds:.1f} |"
        )
    return "\n".join(lines)


def _suggestion(given: Given) -> dict[str, Any]:
    days, said = given.suggestion
    return {"suggested_horizon": said} | ({"suggested_horizon_days": days} if days else {})


def _groups(given: Given, result: ContestResult) -> pd.DataFrame:
    """The winner's probabilities on the test snapshot by country, gender, age band and acquisition channel."""
    frame = result.given.frames[result.split.test][["customer_id", "country"]]
    people = frame.merge(given.people, on="customer_id", how="left")
    people["age_band"] = age_band(people["birth_year"], result.split.test.year)
    scored = people.assign(
        churn_probability=result.test_probabilities[result.winner].to_numpy(),
        churned=result.test_probabilities["churned"].to_numpy(float),
    )
    return fairness(scored, GROUPS)


COLUMNS = [
    "model_name", "model_version", "mlflow_run_id", "model_uri", "training_data_hash", "horizon_days",
    "trained_as_of", "tested_as_of", "training_snapshots", "customers", "winner", "accepted", "suspected_leak",
    *(f"test_{name}" for name in PROMISED), "recency_roc_auc", "level_method", "said", "contest", "fairness",
]  # fmt: skip
