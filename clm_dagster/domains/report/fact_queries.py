"""Queries of facts: the tables of the shop before one as_of.

Belongs here: SQL that reads them, in aggregates. Does not: what they mean.

A week is the seven days before as_of, a week ago the seven before these. Customers are the persons of the snapshot. A
table that the shop does not have reads as empty.
"""

from datetime import datetime, timedelta

import pandas as pd

from clm_dagster.domains.report.fact_inputs import FOUR_WEEKS, WEEK, FactInputs
from clm_dagster.domains.report.fact_settings import FactSettings
from clm_dagster.domains.report.sales_queries import BACK, read_days, read_pairs, read_splits, read_weeks
from clm_dagster.platform.partitions import as_of_of_key, parse_day
from clm_dagster.platform.python_tables.partition import Reading
from clm_dagster.platform.warehouse import Connection, Parameters, ordered_sum

_CAUSES = ("purchases", "time", "cutoffs", "late")


def read_facts(reading: Reading[FactSettings]) -> FactInputs:
    """Read what is known at a snapshot."""
    connection, as_of = reading.connection, reading.as_of
    end_date = as_of.date()
    earlier = {
        back: as_of_of_key((parse_day(reading.partition.key) - timedelta(weeks=back)).isoformat(), end_date)
        for back in BACK
    }
    first, last, gap = read_days(connection, as_of)
    return FactInputs(
        day=reading.day,
        first_day=first,
        last_day=last,
        longest_gap=gap,
        weeks=read_weeks(connection, as_of, first),
        pairs=read_pairs(connection, as_of),
        splits=read_splits(connection, as_of),
        states=_read_states(connection, earlier),
        moves=_read_moves(connection, earlier),
        lost=_read_lost(connection, as_of),
        causes=_read_causes(connection, earlier),
        churn=_read_churn(connection, earlier),
        churn_moves=_read_churn_moves(connection, earlier),
        contactable=_read_contactable(connection, as_of),
        plays=_read_plays(connection, earlier),
        campaigns=_read_campaigns(connection, as_of),
        stock=_read_stock(connection, as_of),
        reviews=_read_reviews(connection, as_of),
        forecasts=_read_forecasts(connection, as_of),
        serving=_rows(
            connection,
            "models.serving",
            "select model, part, is_champion, model_name from models.serving where as_of = ? order by 1, 2",
            [as_of],
        ),
        drift=_rows(
            connection,
            "marts.feature_drift",
            "select feature, status from marts.feature_drift where as_of = ? and status <> 'ok' order by 1",
            [as_of],
        ),
        currencies=_read_currencies(connection, as_of),
        rejected=_read_rejected(connection, as_of),
    )


def _rows(connection: Connection, relation: str, sql: str, parameters: Parameters) -> pd.DataFrame:
    """Return the rows of a query; no rows and no columns if the relation does not exist."""
    if connection.relation_kind(relation) is None:
        return pd.DataFrame()
    return connection.frame(sql, parameters)


_STATES = {"segment": ("core.rfm_states", "segment"), "stage": ("core.stage_states", "stage")}


def _read_states(connection: Connection, earlier: dict[int, datetime]) -> pd.DataFrame:
    """Return the customers in each segment and stage: kind, state, back, customers."""
    parts = [
        f"select '{kind}' as kind, {column} as state, {back} as back, count(*) as customers from {relation} "
        f"where as_of = timestamp '{as_of}' group by 2"
        for kind, (relation, column) in _STATES.items()
        for back, as_of in earlier.items()
    ]
    return connection.frame(f"{' union all '.join(parts)} order by 1, 2, 3")


def _read_moves(connection: Connection, earlier: dict[int, datetime]) -> pd.DataFrame:
    """Return who entered and left each segment and stage since then: kind, state, back, entered, gone."""
    parts = [
        f"""
        select '{kind}' as kind, state, {back} as back, sum(entered)::bigint as entered, sum(gone)::bigint as gone
        from (
            select unnest([now.{column}, before.{column}]) as state, unnest([1, 0]) as entered, unnest([0, 1]) as gone
            from (select * from {relation} where as_of = timestamp '{earlier[0]}') as now
            full join (select * from {relation} where as_of = timestamp '{earlier[back]}') as before
                on now.customer_id = before.customer_id
            where now.{column} is distinct from before.{column}
        ) where state is not null group by state
        """
        for kind, (relation, column) in _STATES.items()
        for back in (WEEK, FOUR_WEEKS)
    ]
    return connection.frame(f"{' union all '.join(parts)} order by 1, 2, 3")


def _read_lost(connection: Connection, as_of: datetime) -> pd.DataFrame:
    """Return who became lost, and who was lost and ordered again, in the week of each snapshot that has one before."""
    parts = [
        f"""
        select {back} as back, count(*) filter (where now.stage = 'lost' and before.stage <> 'lost') as lost,
            count(*) filter (where now.stage <> 'lost' and before.stage = 'lost') as won_back
        from core.stage_states as now
        inner join core.stage_states as before on now.customer_id = before.customer_id
        where now.as_of = timestamp '{as_of}' - interval {7 * back} day
            and before.as_of = timestamp '{as_of}' - interval {7 * back + 7} day
        having count(*) > 0
        """
        for back in BACK
    ]
    return connection.frame(f"{' union all '.join(parts)} order by 1")


def _read_causes(connection: Connection, earlier: dict[int, datetime]) -> pd.DataFrame:
    """Return the moves between segments since a week ago: from, to, customers, and the sum of each cause's shares."""
    shares = ", ".join(f"{ordered_sum(f'{cause}_share')} as {cause}" for cause in _CAUSES)
    return _rows(
        connection,
        "marts.segment_moves",
        f"""
        select previous_segment, segment, count(*) as customers, {shares} from marts.segment_moves
        where as_of = ? and previous_as_of = ? and segment <> 'undetermined' group by 1, 2 order by 1, 2
        """,
        [earlier[0], earlier[WEEK]],
    )


# Bands in which a customer is more likely lost than not.
_HIGH = "risk_band in (select risk_band from staging.risk_bands where from_probability >= 0.5)"


def _read_churn(connection: Connection, earlier: dict[int, datetime]) -> pd.DataFrame:
    """Return the scored customers, those at high risk and the expected loss, by weeks back."""
    parts = [
        f"""
        select {back} as back, count(*) as customers, count(*) filter (where {_HIGH}) as high,
            {ordered_sum("expected_loss")} as loss, max(horizon_days) as horizon_days,
            min(model_name || ' ' || model_version) as model
        from marts.churn_scores where as_of = timestamp '{as_of}' having count(*) > 0
        """
        for back, as_of in earlier.items()
    ]
    return _rows(connection, "marts.churn_scores", f"{' union all '.join(parts)} order by 1", [])


def _read_churn_moves(connection: Connection, earlier: dict[int, datetime]) -> pd.DataFrame:
    """Return who changed sides since then, and the sum of squared changes of the expected loss, by weeks back."""
    rows = f"select customer_id, expected_loss, {_HIGH} as is_high from marts.churn_scores where as_of = timestamp"
    change = "(coalesce(now.expected_loss, 0) - coalesce(before.expected_loss, 0)) ** 2"
    parts = [
        f"""
        select {back} as back,
            count(*) filter (where coalesce(now.is_high, false) <> coalesce(before.is_high, false)) as high,
            {ordered_sum(change)} as loss
        from ({rows} '{earlier[0]}') as now full join ({rows} '{earlier[back]}') as before
            on now.customer_id = before.customer_id
        """
        for back in (WEEK, FOUR_WEEKS)
    ]
    return _rows(connection, "marts.churn_scores", f"{' union all '.join(parts)} order by 1", [])


def _read_contactable(connection: Connection, as_of: datetime) -> int | None:
    """Return for how many customers an action was looked for; None where no plan was made."""
    relation = "marts.next_best_actions"
    rows = _rows(
        connection, relation, f"select count(*) as customers from {relation} where as_of = ?", [as_of]
    )
    return int(rows["customers"].iloc[0]) if len(rows) else None


def _read_plays(connection: Connection, earlier: dict[int, datetime]) -> pd.DataFrame:
    """Return the planned actions by line of the playbook and weeks back: contacts, people left out, cost and gain."""
    parts = [
        f"""
        select {back} as back, play, action, count(*) filter (where arm = 'treated') as contacts,
            count(*) filter (where arm <> 'treated') as held_out,
            coalesce({ordered_sum("expected_cost")} filter (where arm = 'treated'), 0) as cost,
            coalesce({ordered_sum("expected_gain")} filter (where arm = 'treated'), 0) as gain
        from marts.next_best_actions
        where as_of = timestamp '{as_of}' and action <> 'nothing' group by play, action
        """
        for back, as_of in earlier.items()
    ]
    return _rows(connection, "marts.next_best_actions", f"{' union all '.join(parts)} order by 1, 2, 3", [])


def _read_campaigns(connection: Connection, as_of: datetime) -> pd.DataFrame:
    """Return the results of campaigns that are measured."""
    return _rows(
        connection,
        "marts.campaign_results",
        """
        select basis, campaign_id, arm, metric, customers, effect, anytime_low as low, anytime_high as high,
            incremental_total as total, is_discovery
        from marts.campaign_results where as_of = ? and effect is not null order by 1, 2, 3, 4
        """,
        [as_of],
    )


def _read_stock(connection: Connection, as_of: datetime) -> pd.DataFrame:
    """Return the products with a reorder point for a delivery that is ordered now, largest demand first."""
    return _rows(
        connection,
        "marts.reorder_points",
        """
        select points.product_id, coalesce(products.name, points.product_id) as name, lead_days, expected_demand,
            reorder_point
        from marts.reorder_points as points
        left join staging.stg_products as products on points.product_id = products.product_id
        where points.as_of = $as_of and points.date = cast($as_of as date) and reorder_point > 0
        order by expected_demand desc, points.product_id
        """,
        {"as_of": as_of},
    )


def _read_reviews(connection: Connection, as_of: datetime) -> pd.DataFrame:
    """Return the number of reviews and their mean rating, by weeks back, for the four weeks before."""
    parts = [
        f"""
        select {back} as back, count(*) as reviews, avg(rating) as rating, var_samp(rating) as variance
        from staging.stg_reviews
        where written_at < timestamp '{as_of}' - interval {7 * back} day
            and written_at >= timestamp '{as_of}' - interval {7 * back + 28} day
        """
        for back in BACK
    ]
    return _rows(connection, "staging.stg_reviews", f"{' union all '.join(parts)} order by 1", [])


def _read_forecasts(connection: Connection, as_of: datetime) -> pd.DataFrame:
    """Return the forecast revenue of the week before as_of, made at its beginning, and of the next one."""
    return _rows(
        connection,
        "marts.demand_forecasts",
        """
        select case when as_of = $as_of then 'next' else 'past' end as week, mean, q10 as low, q90 as high
        from marts.demand_forecasts
        where as_of in ($as_of, $as_of - interval 7 day) and date = cast(as_of as date) and period = 'week'
            and level = 'shop' and measure = 'revenue'
        order by 1
        """,
        {"as_of": as_of},
    )


def _read_currencies(connection: Connection, as_of: datetime) -> list[str]:
    """Return the currencies of the events before as_of, the most frequent first."""
    rows = _rows(
        connection,
        "raw.currencies",
        """
        select currency from raw.currencies where event_date < cast(? as date)
        group by 1 order by sum(row_count) desc, 1
        """,
        [as_of],
    )
    return list(rows["currency"]) if len(rows) else []


def _read_rejected(connection: Connection, as_of: datetime) -> dict[str, int]:
    """Return the accepted and rejected rows of events of the four weeks before as_of."""
    rows = _rows(
        connection,
        "raw.deliveries",
        """
        select coalesce(sum(accepted), 0)::bigint as accepted, coalesce(sum(rejected), 0)::bigint as rejected
        from raw.deliveries
        where contract_table = 'events' and event_date < cast($as_of as date)
            and event_date >= cast($as_of as date) - 28
        """,
        {"as_of": as_of},
    )
    return {name: int(rows[name].iloc[0]) for name in ("accepted", "rejected")} if len(rows) else {}
