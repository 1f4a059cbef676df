"""The assets of recommendations: the trained ranker, everybody's lists, similar products, what goes with what.

Belongs here: tables, their versions, scoring a snapshot. Does not: training (`training`), what goes with what
(`baskets`), lists (`listing`), the contest as a table (SQL: marts.recommender_contest, marts.recommender_by_segment).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg
import pandas as pd
from threadpoolctl import threadpool_limits

from clm_dagster.domains.recommend import (
    affinity,
    baskets,
    binning,
    candidates,
    checks,
    cold,
    features,
    interactions,
    judging,
    listing,
    metrics,
    model,
    pictures,
    ranking,
    reading,
    reasons,
    served,
    similar,
    similarity,
    training,
)
from clm_dagster.domains.recommend.baskets import pairs_reader, rule_reader, ruler, told_pairs
from clm_dagster.domains.recommend.checks import Faults
from clm_dagster.domains.recommend.interactions import Interactions
from clm_dagster.domains.recommend.listing import ANYWHERE, COLD, Ways, everyones_lists, visitors_lists
from clm_dagster.domains.recommend.ranking import Ranker
from clm_dagster.domains.recommend.reading import (
    MODEL,
    read_countries,
    read_customers,
    read_past,
    read_products,
)
from clm_dagster.domains.recommend.reasons import names_of
from clm_dagster.domains.recommend.served import TRUSTED, to_ranker
from clm_dagster.domains.recommend.settings import RecommendSettings
from clm_dagster.domains.recommend.similar import similar_products
from clm_dagster.platform.assets.node_assets import asset_key
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.partitions import as_of_of_key
from clm_dagster.platform.python_tables.parquet_buffer import Spill
from clm_dagster.platform.python_tables.tables import (
    Compute,
    Computed,
    FrameTable,
    Read,
    Request,
    frame_asset,
    frame_table,
    row_types,
)
from clm_dagster.platform.tracking import Tracking
from clm_dagster.platform.trained_models.champions import Choice, Trainings
from clm_dagster.platform.trained_models.checks import check_coverage
from clm_dagster.platform.trained_models.snapshots import weeks_to_mature
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings
from clm_dagster.statistics import association as rules

LISTS, POPULAR, SIMILAR = "marts.recommendations", "marts.popular_products", "marts.similar_products"
AFFINITY, RULES = "marts.product_affinity", "marts.basket_rules"
# Where no model stands behind a list, its version says so.
NO_VERSION = "none"
SIMILAR_COUNT = 10
# Customers whose lists the UI shows.
EXAMPLES = 5
# Each makes a block of customers of its own, some 200 MB.
MOST_THREADS = 8


def recommend_tables(project: Project, settings: Settings) -> list[FrameTable]:
    """The tables of this room, in the order in which they are computed."""
    chosen, own = training.ranker_settings(settings), settings.of(RecommendSettings)
    counted: list[Any] = [interactions, similarity, candidates, reading]
    ranked: list[Any] = [*counted, binning, features, ranking, metrics, served]
    lines = ["stg_order_lines", "stg_products"]
    pairs = (own.rules_days, own.rules_min_support)
    return [
        frame_table(
            project, MODEL, [*lines, "rfm_scores"], [*ranked, judging, model, training],
            weeks_back=[weeks_to_mature(chosen.horizon_days)], chosen=chosen,
        ),
        frame_table(
            project, LISTS, [*lines, "customer_features", "rfm_scores"],
            [*ranked, listing, cold, reasons, _lister, _with_model], model=MODEL,
            chosen=(chosen, own.count),
        ),
        frame_table(
            project, POPULAR, [*lines, "customer_features"],
            [interactions, similarity, cold, reasons, reading, listing, _visitors],
            chosen=(chosen, own.count),
        ),
        frame_table(project, SIMILAR, lines, [*counted, similar, _similar], chosen=chosen),
        frame_table(project, AFFINITY, lines, [affinity, reading, baskets], chosen=pairs),
        frame_table(
            project, RULES, lines, [rules, reading, baskets],
            chosen=(*pairs, own.rules_min_confidence, chosen.horizon_days),
        ),
    ]  # fmt: skip


def recommend_assets(project: Project, settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of this room."""
    trained, listed, popular, alike, paired, ruled = recommend_tables(project, settings)
    own = settings.of(RecommendSettings)
    return [
        frame_asset(
            project, settings, trained, training.reader(project, settings), training.train,
            checks.specs_of_model(asset_key(trained.node)),
        ),
        frame_asset(
            project, settings, listed, _reader(project), _lister(project, settings),
            checks.specs_of_lists(asset_key(listed.node)),
        ),
        frame_asset(project, settings, popular, _visitors_reader(project), _visitors(own)),
        frame_asset(project, settings, alike, _catalogue_reader(project), _similar(own)),
        frame_asset(
            project, settings, paired, pairs_reader(project, own), told_pairs,
            checks.specs_of_rules(asset_key(paired.node)),
        ),
        frame_asset(
            project, settings, ruled, rule_reader(project, own), ruler(own),
            checks.specs_of_rules(asset_key(ruled.node)),
        ),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------ lists


@dataclass(frozen=True)
class _Given:
    """What lists read: trainings by then, purchases (None where there is none), products' names, customers."""

    trained: Trainings
    past: Interactions | None
    products: pd.DataFrame
    customers: pd.DataFrame


def _reader(project: Project) -> Read:
    def read(connection: Connection, request: Request) -> _Given:
        as_of = as_of_of_key(request.key)
        return _Given(
            Trainings.read(connection, MODEL, as_of.date()),
            read_past(connection, as_of),
            read_products(connection, project, as_of),
            read_customers(connection, as_of),
        )

    return read


def _lister(project: Project, settings: Settings) -> Compute:
    own = settings.of(RecommendSettings)
    horizon, active_days = own.horizon_days, own.active_days
    types = row_types(project.nodes[LISTS])

    def compute(context: dg.AssetExecutionContext, request: Request, given: _Given) -> Computed:
        as_of = str(as_of_of_key(request.key).date())
        choice = given.trained.choose(context.resources.tracking, horizon)
        said = choice.said
        if choice.row is None:
            last = f" {given.trained.rows.iloc[-1]['said']}" if len(given.trained.rows) else ""
            said = f"no ranker was trained by then: buyers' lists go by buy_again.{last}"
        ranker = _ranker_of(context, choice, given.products, active_days)
        threads = min(settings.threads or os.cpu_count() or 1, MOST_THREADS)
        ways = Ways(ranker, own.count, active_days, threads)
        examples = ""
        rows, faults, cold, products = Spill(types, settings.warehouse_path.parent), Faults(), 0, set[str]()
        with threadpool_limits(limits=1):
            for lists, found in _parts(given, ways):
                rows.add(_with_model(lists, choice).assign(horizon_days=horizon))
                faults += found
                if not examples:
                    some = lists[lists["customer_id"].isin(lists["customer_id"].unique()[:EXAMPLES])]
                    examples = pictures.lists_page(some, names_of(given.products), ["customer_id", "list"])
                cold += lists.loc[lists["method"] == COLD, "customer_id"].nunique()
                products |= set(lists["product_id"])
                context.log.info(f"{as_of}: {faults.customers:,} of {len(given.customers):,} customers")
        return Computed(
            rows,
            {
                "model_version": str(choice.row["model_version"]) if choice.row is not None else NO_VERSION,
                "customers": faults.customers,
                "products": len(products),
                "cold_customers": int(cold),
                "examples": dg.MetadataValue.md(examples),
            },
            [
                *check_coverage(as_of, said),
                *checks.check_lists(as_of, faults, len(given.customers), active_days),
            ],
        )

    return compute


def _parts(given: _Given, ways: Ways) -> Iterator[tuple[pd.DataFrame, Faults]]:
    """Lists of some customers at a time, and what is wrong with them; nothing where nobody had bought anything."""
    if given.past is None:
        return
    active = given.past.sold_within(ways.active_days)
    known = pd.Index(given.past.customers).isin(given.customers["customer_id"])
    for lists in everyones_lists(given.past, given.customers, given.products, ways):
        yield lists, checks.faults_of(lists, given.past, active, known)


def _ranker_of(
    context: dg.AssetExecutionContext, choice: Choice, products: pd.DataFrame, active_days: int
) -> Ranker | None:
    if choice.row is None:
        return None
    tracking: Tracking = context.resources.tracking
    ranker = to_ranker(tracking.sklearn_model(MODEL, choice.row["model_version"], TRUSTED), products)
    # What is discontinued is asked of the setting of today.
    ranker.settings = replace(ranker.settings, active_days=active_days)
    return ranker


def _with_model(lists: pd.DataFrame, choice: Choice) -> pd.DataFrame:
    """Which model, or which dumb rule, stands behind each row."""
    ranked = (lists["method"] == Ranker.name).to_numpy()
    told = lists.rename(columns={"method": "model_name"})
    told = told.assign(model_version=NO_VERSION, model_as_of=_no_date(lists))
    if choice.row is not None and ranked.any():
        told.loc[ranked, "model_name"] = choice.row["model_name"]
        told.loc[ranked, "model_version"] = choice.row["model_version"]
        told.loc[ranked, "model_as_of"] = pd.Timestamp(choice.row["as_of"])
    return told


def _no_date(frame: pd.DataFrame) -> pd.Series:
    return pd.Series(pd.NaT, index=frame.index, dtype="datetime64[us]")


# --------------------------------------------------------------------------------------- visitors


@dataclass(frozen=True)
class _Crowd:
    """Purchases (None where there is none), where customers are, and what products are called."""

    past: Interactions | None
    customers: pd.DataFrame
    products: pd.DataFrame


def _visitors_reader(project: Project) -> Read:
    def read(connection: Connection, request: Request) -> _Crowd:
        as_of = as_of_of_key(request.key)
        return _Crowd(
            read_past(connection, as_of),
            read_countries(connection, as_of),
            read_products(connection, project, as_of),
        )

    return read


def _visitors(settings: RecommendSettings) -> Compute:
    def compute(context: dg.AssetExecutionContext, request: Request, given: _Crowd) -> Computed:
        if given.past is None:
            return Computed(pd.DataFrame(columns=_POPULAR_COLUMNS))
        lists = visitors_lists(given.past, given.customers, settings.count, settings.active_days)
        told = lists.assign(horizon_days=settings.horizon_days, model_name=COLD, model_version=NO_VERSION)
        anywhere = pictures.lists_page(
            lists[lists["country"] == ANYWHERE],
            names_of(given.products),
            ["country"],
            settings.count,
        )
        return Computed(
            told[_POPULAR_COLUMNS],
            {"countries": int((lists["rank"] == 1).sum()), "anywhere": dg.MetadataValue.md(anywhere)},
        )

    return compute


# ------------------------------------------------------------------------------- similar products


@dataclass(frozen=True)
class _Catalogue:
    """Purchases (None where there is none) and what products are called."""

    past: Interactions | None
    products: pd.DataFrame


def _catalogue_reader(project: Project) -> Read:
    def read(connection: Connection, request: Request) -> _Catalogue:
        as_of = as_of_of_key(request.key)
        return _Catalogue(read_past(connection, as_of), read_products(connection, project, as_of))

    return read


def _similar(settings: RecommendSettings) -> Compute:
    active_days = settings.active_days

    def compute(context: dg.AssetExecutionContext, request: Request, given: _Catalogue) -> Computed:
        if given.past is None:
            return Computed(pd.DataFrame(columns=_SIMILAR_COLUMNS))
        frame = similar_products(given.past, given.products, SIMILAR_COUNT, active_days=active_days)
        return Computed(frame[_SIMILAR_COLUMNS], {"products": int(frame["product_id"].nunique())})

    return compute


_POPULAR_COLUMNS = [
    "country", "rank", "product_id", "score", "horizon_days", "reason", "model_name", "model_version",
]  # fmt: skip
_SIMILAR_COLUMNS = ["product_id", "rank", "similar_product_id", "score", "by_customers", "by_name"]
