"""The assets of the personas: the trained model, who is which persona, and their profiles."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import dagster as dg
import pandas as pd

from clm_dagster.domains.personas import charts, checks, features, identity
from clm_dagster.domains.personas import model as model_code
from clm_dagster.domains.personas.features import habits
from clm_dagster.domains.personas.model import Before, PersonaModel, Trained, profile, train
from clm_dagster.platform.assets.node_assets import asset_key
from clm_dagster.platform.charts import figure_markdown, make_figure, pictures_of
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.partitions import as_of_of_key
from clm_dagster.platform.python_tables.tables import Computed, FrameTable, Request, frame_asset, frame_table
from clm_dagster.platform.tracking import Tracking, data_hash, training_tags
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings
from clm_dagster.statistics import clustering as clusters

MODEL, PERSONAS, PROFILES = "models.persona_model", "marts.personas", "marts.persona_profiles"
_COLUMNS = (
    "customer_id", "orders", "gross_revenue", "net_revenue", "units", "distinct_products", "return_rate",
    "weekend_order_share", "evening_order_share", "visits",
)  # fmt: skip


@dataclass(frozen=True)
class _Given:
    """What a step reads: customers and categories of one as_of, the model, who is which persona."""

    customers: pd.DataFrame
    categories: pd.DataFrame
    model: PersonaModel | None = None
    row: pd.Series | None = None
    assigned: pd.DataFrame | None = None
    before: Before | None = None


def persona_tables(project: Project) -> list[FrameTable]:
    """The tables of this room, in the order in which they are computed."""
    code = [model_code, clusters, features, identity]
    reads = ["customer_features", "customer_categories"]
    return [
        frame_table(project, MODEL, reads, [*code, _train], model=MODEL),
        frame_table(project, PERSONAS, reads, [*code, _assign], model=MODEL),
        frame_table(project, PROFILES, [*reads, PERSONAS], [*code, _profile], model=MODEL),
    ]


def persona_assets(project: Project, settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of this room."""
    trained, assigned, profiled = persona_tables(project)
    return [
        frame_asset(
            project, settings, trained, _read_before, _train, checks.specs_of_model(asset_key(trained.node))
        ),
        frame_asset(
            project, settings, assigned, _read, _assign, checks.specs_of_scores(asset_key(assigned.node))
        ),
        frame_asset(project, settings, profiled, _read_assigned, _profile),
    ]


def _read(connection: Connection, request: Request) -> _Given:
    customers, categories = _read_customers(connection, request.key)
    if request.model_key is None:
        return _Given(customers, categories)
    rows = connection.frame(f"select * from {MODEL} where as_of = ?", [as_of_of_key(request.model_key)])
    row = rows.iloc[0]
    model = PersonaModel.from_json(row["model"]) if isinstance(row["model"], str) else None
    return _Given(customers, categories, model, row)


def _read_before(connection: Connection, request: Request) -> _Given:
    """For a training: the model before, and who was which persona when it was trained."""
    given = _read(connection, request)
    if given.model is None or request.model_key is None:
        return given
    earlier = habits(*_read_customers(connection, request.model_key), given.model.scaling.habits)
    return replace(given, before=Before(given.model, given.model.assign(earlier)["persona_id"]))


def _read_customers(connection: Connection, key: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    as_of = as_of_of_key(key)
    customers = connection.frame(
        f"select {', '.join(_COLUMNS)} from core.customer_features where as_of = ? and orders > 0 "
        "order by customer_id",
        [as_of],
    )
    categories = connection.frame(
        "select customer_id, category, gross_revenue from core.customer_categories where as_of = ? "
        "order by customer_id, category",
        [as_of],
    )
    return customers, categories


def _read_assigned(connection: Connection, request: Request) -> _Given:
    given = _read(connection, request)
    assigned = connection.frame(
        f"select customer_id, persona_id from {PERSONAS} where as_of = ? order by customer_id",
        [as_of_of_key(request.key)],
    )
    return replace(given, assigned=assigned)


# --------------------------------------------------------------------------------- training


def _train(context: dg.AssetExecutionContext, request: Request, given: _Given) -> Computed:
    """Train, log to MLflow, and say what happened; nothing is logged where there is nobody to learn from."""
    tracking: Tracking = context.resources.tracking
    as_of = str(as_of_of_key(request.key))
    hashed = f"{data_hash(given.customers)}{data_hash(given.categories)}"
    tags = training_tags(context, request.version.hash, hashed, as_of)
    tracking.open()  # a store that is away is said before the work, not after it
    trained = train(given.customers, given.categories, given.before)
    run_id, logged = None, None
    if trained.model is not None:
        with tracking.run(context, request.key, tags) as run:
            run_id = run.run_id
            _log(run, trained)
            frame = _habits(given, trained.model)
            logged = run.sklearn_model(
                MODEL, trained.model.pipeline(frame), frame.head(1_000),
                ["scikit-learn", "numpy", "scipy", "pandas", "skops"], trusted=["numpy.clip"],
            )  # fmt: skip
        if request.is_newest:
            tracking.promote(MODEL, logged.version)
    choice = trained.choice
    silhouette = choice.at(choice.silhouette) if choice else None
    stability = choice.at(choice.stability) if choice else None
    row = {
        "model_name": MODEL,
        "model_version": logged.version if logged else None,
        "mlflow_run_id": run_id,
        "model_uri": logged.uri if logged else None,
        "training_data_hash": hashed,
        "customers": trained.customers,
        "personas": len(trained.model.ids) if trained.model else 0,
        "silhouette": silhouette,
        "stability": stability,
        "new_personas": "; ".join(trained.new) or None,
        "vanished_personas": "; ".join(trained.vanished) or None,
        "said": trained.said,
        "model": trained.model.to_json() if trained.model else None,
    }
    shown = {name: value for name, value in row.items() if value is not None and name != "model"}
    return Computed(
        pd.DataFrame([row]),
        _pictures(trained) | shown,
        checks.check_training(trained, not given.categories.empty, as_of),
    )


def _log(run: Any, trained: Trained) -> None:
    assert trained.model is not None and trained.choice is not None
    choice = trained.choice
    run.params({"k": choice.k, "rule": choice.rule, "habits": ", ".join(trained.model.scaling.habits)})
    run.metrics({"silhouette": choice.at(choice.silhouette), "stability": choice.at(choice.stability)})
    run.metrics({"customers": trained.customers, "new": len(trained.new), "vanished": len(trained.vanished)})
    for k, silhouette, stability in zip(choice.ks, choice.silhouette, choice.stability, strict=True):
        run.metrics({"silhouette_by_k": silhouette, "stability_by_k": stability}, step=k)
    for other in trained.comparisons:
        with run.child(other.method) as child:
            values = asdict(other)
            child.metrics({name: values[name] for name in values if name != "method"})
    run.document({"said": trained.said, "new": trained.new, "vanished": trained.vanished}, "said.json")
    for name, (draw, width, height) in _draws(trained).items():
        run.figure(make_figure(draw, width, height), f"{name}.png")


def _draws(trained: Trained) -> dict[str, tuple[charts.Draw, float, float]]:
    draws: dict[str, tuple[charts.Draw, float, float]] = {}
    if trained.choice is not None and trained.choice.ks:
        draws["choice_of_k"] = (charts.choice_chart(trained.choice), 9.0, 3.4)
    if trained.model is not None and trained.loadings.size:
        names = trained.model.scaling.habits
        draws["loadings"] = (charts.loadings_chart(trained.loadings, names), 7.0, 1.4 + 0.3 * len(names))
    return draws


def _pictures(trained: Trained) -> dict[str, Any]:
    found = pictures_of(_draws(trained))
    if trained.comparisons:
        found["other_methods"] = dg.MetadataValue.md(_table(trained))
    return found


def _table(trained: Trained) -> str:
    """Other methods beside the personas, as markdown."""
    lines = [
        "| method | clusters | noise | silhouette | Rand index with the personas |",
        "|---|---|---|---|---|",
    ]
    for other in trained.comparisons:
        silhouette = "" if other.silhouette is None else f"{other.silhouette:.2f}"
        lines.append(
            f"| {other.method} | {other.clusters} | {other.noise_share:.0%} | {silhouette} | {other.agreement:.2f} |"
        )
    return "\n".join(lines)


# --------------------------------------------------------------------------------- scoring


def _assign(context: dg.AssetExecutionContext, request: Request, given: _Given) -> Computed:
    as_of = str(as_of_of_key(request.key))
    columns = ["customer_id", "persona_id", "persona", "distance", "confidence"]
    if given.model is None or given.row is None:
        frame = pd.DataFrame(columns=columns)
        about: dict[str, Any] = dict.fromkeys(("model_name", "model_version", "model_as_of"))
    else:
        frame = _habits(given, given.model)
        frame = given.model.assign(frame).reset_index()[columns]
        about = {
            "model_name": given.row["model_name"],
            "model_version": given.row["model_version"],
            "model_as_of": given.row["as_of"],
        }
    sizes = frame["persona"].value_counts()
    return Computed(
        frame.assign(horizon_days=0, **about),
        {name: str(value) for name, value in about.items()}
        | {"customers": {str(name): int(count) for name, count in sizes.items()}},
        checks.check_coverage(given.model is not None, as_of),
    )


def _profile(context: dg.AssetExecutionContext, request: Request, given: _Given) -> Computed:
    if given.model is None or given.assigned is None or given.assigned.empty:
        return Computed(pd.DataFrame(columns=_profile_columns()))
    frame = _habits(given, given.model)
    assigned = given.assigned.set_index("customer_id").loc[frame.index]
    revenue = given.customers.set_index("customer_id")["net_revenue"].loc[frame.index]
    rows = profile(given.model, frame, assigned, revenue)
    height = 1.8 + 0.5 * rows["persona_id"].nunique()
    width = 9.0 + 0.35 * max(rows["measure"].nunique() - 8, 0)
    picture = figure_markdown(charts.profile_chart(rows), "personas", width, height)
    return Computed(rows, {"chart": dg.MetadataValue.md(picture)})


def _habits(given: _Given, model: PersonaModel) -> pd.DataFrame:
    return habits(given.customers, given.categories, model.scaling.habits)


def _profile_columns() -> list[str]:
    return [
        "persona_id", "persona", "customers", "customer_share", "net_revenue", "revenue_share", "measure",
        "persona_mean", "shop_mean", "lift", "z",
    ]  # fmt: skip
