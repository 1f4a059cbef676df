"""Column lineage of the real project: every column refers to existing ones, and the result is cached by content."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from clm_dagster.platform.dbt_project.building import Batch, Slice, Snapshot, compile_model
from clm_dagster.platform.dbt_project.lineage import Lineage, column_lineage
from clm_dagster.platform.dbt_project.project import DAILY, SNAPSHOT, Model, Project


def lineage_of(project: Project, model: Model, cache: Path) -> Lineage:
    pieces: dict[str | None, Slice] = {
        DAILY: Batch(date(2024, 1, 1), date(2024, 1, 2)),
        SNAPSHOT: Snapshot(pd.Timestamp("2024-01-08").to_pydatetime()),
        None: None,
    }
    schema = {
        project.nodes[ref].relation: {c.name: str(c.data_type) for c in project.nodes[ref].columns}
        for ref in model.refs
    }
    return column_lineage(compile_model(project, model, pieces[model.window]), schema, cache)


def test_lineage_of_every_column_refers_to_existing_columns(project: Project, tmp_path: Path) -> None:
    for model in project.models.values():
        found = lineage_of(project, model, tmp_path)
        columns = {column.name for column in model.columns}
        known = {
            (node.relation, column.name)
            for ref in model.refs
            for node in [project.nodes[ref]]
            for column in node.columns
        }
        assert set(found) <= columns, model.name
        assert {source for sources in found.values() for source in sources} <= known, model.name
        # as_of, a setting or a name is a constant, and `count(*)` comes from no column.
        constant = {
            "as_of",
            "basis",
            "active_quantile",
            "lost_quantile",
            "state_kind",
            "horizon_days",
            "metric",
            "model",
            "level",
            "measure",
            "score",
            "kind",
        }
        counts = {"contacts", "orders", "order_days", "new_buyers", "customers", "labelled", "baseline"}
        missing = columns - set(found) - constant - counts
        assert not missing, (model.name, missing)


@pytest.mark.parametrize(
    ("model", "column", "sources"),
    [
        ("rfm_scores", "monetary", ["core.customer_features.net_revenue"]),
        ("rfm_scores", "frequency", ["core.customer_features.order_days"]),
        (
            "rfm_scores",
            "segment",
            [
                "core.customer_features.order_days",
                "core.customer_features.recency_days",
                "staging.rfm_segment_map.segment",
            ],
        ),
        ("rfm_segments", "previous_segment", ["core.rfm_states.segment"]),
        (
            "customer_daily",
            "net_revenue",
            [
                "core.order_allocations.discounts",
                "core.order_allocations.refunds",
                "staging.stg_order_lines.discounts",
                "staging.stg_order_lines.gross_revenue",
                "staging.stg_order_lines.refunds",
                "staging.stg_order_lines.returned_revenue",
            ],
        ),
        ("customer_features", "distinct_products", ["core.customer_products.first_purchase_date"]),
        (
            "customer_features",
            "country",
            [
                "core.customer_daily.activity_date",
                "core.customer_daily.country",
                "staging.stg_customers.country",
                "staging.stg_customers.customer_id",
                "staging.stg_customers.signed_up_at",
            ],
        ),
        (
            "stg_order_lines",
            "gross_revenue",
            [
                "staging.stg_events.amount",
                "staging.stg_events.discount_amount",
                "staging.stg_events.event_type",
            ],
        ),
        ("stg_events", "amount", ["raw.events.exchange_rate", "raw.events.line_amount"]),
    ],
)
def test_lineage_of_a_column(
    model: str, column: str, sources: list[str], project: Project, tmp_path: Path
) -> None:
    found = lineage_of(project, project.model(model), tmp_path)[column]
    assert [f"{relation}.{name}" for relation, name in found] == sources


def test_lineage_is_cached_by_content(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = lineage_of(project, project.model("stg_events"), tmp_path)
    monkeypatch.setattr(
        "clm_dagster.platform.dbt_project.lineage._follow", lambda sql, schema: pytest.fail("not kept")
    )
    assert lineage_of(project, project.model("stg_events"), tmp_path) == first
