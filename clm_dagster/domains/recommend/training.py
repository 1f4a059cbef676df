"""Training as a Dagster step: read the purchases, hold the contest, tell MLflow, write one row.

Belongs here: what `models.recommender_model` does and says. Does not: the contest (`model`), SQL (`reading`), words of
checks (`checks`).
"""

import json
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg
import pandas as pd
from threadpoolctl import threadpool_limits

from clm_dagster.domains.recommend import checks, pictures
from clm_dagster.domains.recommend.candidates import LISTS
from clm_dagster.domains.recommend.interactions import Interactions
from clm_dagster.domains.recommend.judging import BASELINES
from clm_dagster.domains.recommend.metrics import METRICS, K
from clm_dagster.domains.recommend.model import RANKER, ContestResult, Entrant, hold_contest
from clm_dagster.domains.recommend.ranking import RankerSettings
from clm_dagster.domains.recommend.reading import MODEL, read_past, read_products, read_segments
from clm_dagster.domains.recommend.served import PACKAGES, TRUSTED, example, served
from clm_dagster.domains.recommend.settings import RecommendSettings
from clm_dagster.platform.charts import make_figure, pictures_of
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.partitions import as_of_of_key
from clm_dagster.platform.python_tables.tables import Computed, Read, Request
from clm_dagster.platform.tracking import LoggedModel, TrackedRun, Tracking, data_hash, training_tags
from clm_dagster.platform.trained_models.champions import has_model_at, read_models, row_without_model
from clm_dagster.platform.trained_models.checks import check_no_contest
from clm_dagster.platform.trained_models.snapshots import judged_snapshot
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings
from clm_dagster.statistics.evaluation import ContestError, Difference, Verdict


def ranker_settings(settings: Settings) -> RankerSettings:
    """What the user chose of the ranker."""
    own = settings.of(RecommendSettings)
    return RankerSettings(horizon_days=own.horizon_days, active_days=own.active_days)


@dataclass(frozen=True)
class Given:
    """What a training reads: purchases before as_of (None where there is none), what products were called, segments at
    the judged instant."""

    settings: RankerSettings
    has_model: bool
    past: Interactions | None
    products: pd.DataFrame
    segments: pd.Series


def reader(project: Project, settings: Settings) -> Read:
    """Reads the purchases of the contest of one as_of."""
    chosen = ranker_settings(settings)

    def read(connection: Connection, request: Request) -> Given:
        as_of = as_of_of_key(request.key)
        trained = read_models(connection, MODEL, as_of.date())
        return Given(
            chosen,
            has_model_at(trained, as_of),
            read_past(connection, as_of),
            read_products(connection, project, as_of),
            read_segments(connection, judged_snapshot(as_of.date(), chosen.horizon_days)),
        )

    return read


def train(context: dg.AssetExecutionContext, request: Request, given: Given) -> Computed:
    """Hold the contest of one as_of."""
    tracking: Tracking = context.resources.tracking
    tracking.open()  # a store that is away is said before the work, not after it
    as_of = as_of_of_key(request.key).date()
    if given.past is None:
        return _without_contest(given, f"no customer bought anything before {as_of}", request, as_of)
    try:
        with threadpool_limits(limits=1):
            result = hold_contest(given.past, given.products, given.settings, given.segments)
    except ContestError as error:
        return _without_contest(given, str(error), request, as_of)
    return _judge_and_log(context, tracking, request, given, result, _hashed(given.past, given.products))


def _without_contest(given: Given, problem: str, request: Request, as_of: date) -> Computed:
    """A row that says why there is no model; a model that is there already is not thrown away for it."""
    said = f"{problem}. Until there is a model, lists go by the dumb rule buy_again."
    row = row_without_model(MODEL, COLUMNS, request.key, given.settings.horizon_days, said, given.has_model)
    return Computed(row, {"said": said}, check_no_contest(f"{as_of}: {said}"))


def _judge_and_log(
    context: dg.AssetExecutionContext, tracking: Tracking, request: Request, given: Given, result: ContestResult,
    hashed: str,
) -> Computed:  # fmt: skip
    then, now = result.verdict(), result.verdict(request.is_newest)
    tags = training_tags(context, request.version.hash, hashed, result.ranker.days[-1])
    with tracking.run(context, request.key, tags) as run:
        logged = _log(run, result, now)
    if now.accepted:
        tracking.promote(MODEL, logged.version)
    row = {
        "model_name": MODEL,
        "model_version": logged.version,
        "mlflow_run_id": run.run_id,
        "model_uri": logged.uri,
        "training_data_hash": hashed,
        "horizon_days": given.settings.horizon_days,
        "trained_as_of": result.ranker.days[-1],
        "tested_as_of": result.judged_at,
        "training_snapshots": len(result.ranker.days),
        "customers": result.customers,
        "products": result.products,
        "accepted": then.accepted,
        "suspected_leak": False,
        **{f"test_{name}_{list_}": float(result.measure(list_)[name]) for list_ in LISTS for name in METRICS},
        **{
            f"baseline_ndcg_{list_}": float(result.measure(list_, BASELINES[list_])["ndcg"])
            for list_ in LISTS
        },
        "said": str(now),
        "contest": json.dumps(_told(result)),
        "by_segment": json.dumps(_told_segments(result)),
    }
    shown = {name: value for name, value in row.items() if name not in ("contest", "by_segment")}
    shown |= {name: str(shown[name]) for name in ("trained_as_of", "tested_as_of")}
    return Computed(
        pd.DataFrame([row], columns=COLUMNS),
        pictures_of(_draws(result)) | {"standings": dg.MetadataValue.md(_standings(result))} | shown,
        checks.check_training(str(result.as_of), result, then, now),
    )


def _hashed(past: Interactions, products: pd.DataFrame) -> str:
    """Hash of what a training learnt from: purchases and words."""
    numbers = {name: getattr(past, name) for name in ("customer", "product", "age", "quantity")}
    parts = [pd.DataFrame(numbers), pd.DataFrame({"id": past.customers}), pd.DataFrame({"id": past.products})]
    return "".join(map(data_hash, [*parts, products]))


# ---------------------------------------------------------------------------------------- MLflow


def _log(run: TrackedRun, result: ContestResult, verdict: Verdict) -> LoggedModel:
    ranker = result.ranker
    run.params(
        {
            **result.entrants[RANKER].parameters,
            "trained_at": ", ".join(map(str, ranker.days)),
            "judged_at": result.judged_at,
            "judged_ranker_trained_at": ", ".join(map(str, result.judged_days)),
            "features": len(ranker.columns),
            "left_out": ", ".join(result.left_out) or "nobody",
        }
    )
    run.metrics(_metrics(result, result.entrants[RANKER]))
    run.document(
        {
            "said": str(verdict), "left_out": dict(result.left_out), "contest": _told(result),
            "by_segment": _told_segments(result), "features": ranker.columns,
        },
        "contest.json",
    )  # fmt: skip
    for name, (draw, width, height) in _draws(result).items():
        run.figure(make_figure(draw, width, height), f"{name}.png")
    for entrant in result.entrants.values():
        with run.child(entrant.name) as child:
            child.params(entrant.parameters)
            child.metrics(_metrics(result, entrant))
            page = pictures.method_page(result.judged.table, entrant.name)
            child.figure(make_figure(page, 9, 3.2), "method.png")
    return run.sklearn_model(MODEL, served(ranker), example(result.example, 1_000), PACKAGES, TRUSTED)


def _metrics(result: ContestResult, entrant: Entrant) -> dict[str, float | None]:
    """Every measure by target and list, with intervals, and the gain over the list's baseline."""
    table = result.judged.table
    found: dict[str, float | None] = {"seconds": entrant.seconds}
    for row in table[table["method"] == entrant.name].to_dict("records"):
        where = f"{row['target']}/{row['list']}"
        found |= {f"{where}/{name}": _number(row[name]) for name in _MEASURES}
    for list_ in LISTS:
        gain: Difference = result.judged.gains[(list_, entrant.name)]
        where = f"ndcg_over_{BASELINES[list_]}/{list_}"
        found |= {f"{where}/value": gain.value, f"{where}/low": gain.low, f"{where}/high": gain.high}
    return found


_MEASURES = (
    *(f"{name}{end}" for name in METRICS for end in ("", "_low", "_high")), "coverage", "novelty",
)  # fmt: skip


def _told(result: ContestResult) -> list[dict[str, Any]]:
    """The contest as the table shows it: a row for each method, list and target."""
    rows = []
    for row in result.judged.table.to_dict("records"):
        gain = result.judged.gains[(row["list"], row["method"])]
        over = gain if row["target"] == "window" else None
        rows.append(
            {
                "contestant": row["method"],
                "list": row["list"],
                "target": row["target"],
                "is_ranker": row["method"] == RANKER,
                "is_baseline": row["method"] == BASELINES[row["list"]],
                "customers": int(row["customers"]),
                **{name: _number(row[name]) for name in _MEASURES},
                "ndcg_over_baseline": over.value if over else None,
                "ndcg_over_baseline_low": over.low if over else None,
                "ndcg_over_baseline_high": over.high if over else None,
                "seconds": round(result.entrants[row["method"]].seconds, 3),
            }
        )
    return rows


def _told_segments(result: ContestResult) -> list[dict[str, Any]]:
    columns = ["method", "list", "segment", "customers", *METRICS]
    ordered = result.judged.by_segment[columns].sort_values(["list", "segment", "method"])
    told: list[dict[str, Any]] = json.loads(ordered.to_json(orient="records", double_precision=15))
    return told


def _number(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


# ---------------------------------------------------------------------------------- what people see


def _draws(result: ContestResult) -> dict[str, tuple[pictures.Draw, float, float]]:
    judged = result.judged
    return {
        "contest": (pictures.contest_page(judged.table), 10.0, 1.2 + 0.24 * len(result.entrants)),
        "segments": (pictures.segment_page(judged.by_segment), 10.0, 3.6),
    }


def _standings(result: ContestResult) -> str:
    """The contest as a markdown table, best of next_best first."""
    names = (
        "NDCG all",
        "recall all",
        "hit all",
        "NDCG new",
        "recall new",
        "hit new",
        "coverage",
        "novelty",
        "s",
    )
    lines = [f"| method, at {K} | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    everything = {name: result.measure("next_best", name) for name in result.entrants}
    for name in sorted(everything, key=lambda name: (-everything[name]["ndcg"], name)):
        found, new = everything[name], result.measure("discover", name)
        shown = f"**{name}**" if name == RANKER else name
        lines.append(
            f"| {shown} | {found['ndcg']:.4f} ({found['ndcg_low']:.3f}-{found['ndcg_high']:.3f}) "
            f"| {found['recall']:.3f} | {found['hit']:.3f} "
            f"| {new['ndcg']:.4f} ({new['ndcg_low']:.3f}-{new['ndcg_high']:.3f}) | {new['recall']:.3f} "
            f"| {new['hit']:.3f} | {found['coverage']:.3f} | {found['novelty']:.1f} "
            f"| {result.entrants[name].seconds:.1f} |"
        )
    return "\n".join(lines)


COLUMNS = [
    "model_name", "model_version", "mlflow_run_id", "model_uri", "training_data_hash", "horizon_days",
    "trained_as_of", "tested_as_of", "training_snapshots", "customers", "products", "accepted", "suspected_leak",
    *(f"test_{name}_{list_}" for list_ in LISTS for name in METRICS),
    *(f"baseline_ndcg_{list_}" for list_ in LISTS), "said", "contest", "by_segment",
]  # fmt: skip
