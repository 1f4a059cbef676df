"""A small shop as published tables, for tests of the page."""

from dataclasses import dataclass
from datetime import datetime

import duckdb

from clm_dagster.domains.report.page import render_page
from clm_dagster.domains.report.pseudonyms import Pseudonyms
from clm_dagster.domains.report.reading import PageReading, page_as_of
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings

KEY = bytes(range(32))
AS_OF = datetime(2024, 6, 3)
SCHEMAS = ("raw", "staging", "core", "marts", "models")
SEGMENTS = ("champions", "loyal", "hibernating")


@dataclass
class PageShop:
    """Tables in memory."""

    raw: duckdb.DuckDBPyConnection

    def run(self, *statements: str) -> None:
        """Execute statements."""
        for statement in statements:
            self.raw.execute(statement)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Return the rows of a query."""
        return self.raw.execute(query).fetchall()

    def page(
        self, language: str = "en", shop: str = "shop", ids: str = "pseudonyms", as_of: datetime | None = None
    ) -> str:
        """Return the page of a snapshot, by default the newest."""
        connection = Connection(self.raw)
        pseudonyms = Pseudonyms(KEY) if ids == "pseudonyms" else None
        return render_page(PageReading(connection, page_as_of(connection, as_of), shop, pseudonyms), language)


def empty_shop(path: str = ":memory:") -> PageShop:
    """Return a shop without tables."""
    shop = PageShop(duckdb.connect(path))
    shop.run(*(f"create schema if not exists {name}" for name in SCHEMAS))
    return shop


def publish_shop(settings: Settings) -> None:
    """Publish a shop with models."""
    settings.published_path.parent.mkdir(parents=True)
    shop = empty_shop(str(settings.published_path))
    first_tables(shop)
    model_tables(shop)
    shop.raw.close()


def first_tables(shop: PageShop, customers: int = 30, days: int = 200, sign: int = 1) -> None:
    """Add what a first run publishes, before models are trained. sign: of all revenue."""
    shop.run(
        f"""
        create table core.customer_daily as
        select 'k' || customer as customer_id, date '2024-06-03' - day::integer as activity_date,
            1::bigint as orders, ({sign} * (10 + customer))::decimal(18, 4) as net_revenue
        from range({customers}) as c(customer), range(1, {days + 1}) as d(day)
        where (customer + day) % 17 = 0 or day = 1 + customer % {days}
        """,
        """
        create table marts.shop_daily as
        with firsts as (select customer_id, min(activity_date) as first_day from core.customer_daily group by 1)
        select activity_date as sales_date, sum(orders)::bigint as orders,
            count(*) filter (where first_day = activity_date) as new_buyers,
            sum(net_revenue) + 3 as gross_revenue, 1::decimal(18, 4) as discounts, sum(net_revenue) as net_revenue,
            2::decimal(18, 4) as returned_revenue, 0::decimal(18, 4) as refunds
        from core.customer_daily join firsts using (customer_id) group by 1
        """,
        "create table staging.rfm_segment_names as select * from "
        "(values ('champions', 1), ('loyal', 2), ('hibernating', 10)) as names(segment, position)",
        f"""
        create table core.rfm_scores as
        select timestamp '2024-06-03' - interval 7 day * week as as_of, customer_id,
            ({list(SEGMENTS)})[1 + (number + week) % 3] as segment, count(*) as frequency,
            min(date_diff('day', activity_date, date '2024-06-03')) as recency_days, sum(net_revenue) as monetary
        from (select *, substr(customer_id, 2)::integer as number from core.customer_daily), range(2) as w(week)
        group by all
        """,
        "create view core.rfm_states as select * from core.rfm_scores",
        """
        create table core.stage_states as
        select as_of, customer_id,
            case segment when 'champions' then 'loyal' when 'loyal' then 'growing' else 'lost' end as stage
        from core.rfm_scores
        union all
        select as_of - interval 28 day, customer_id, 'growing' from core.rfm_scores where as_of = '2024-06-03'
        """,
        "create table marts.segment_moves as select as_of, as_of - interval 7 day as previous_as_of, customer_id, "
        "0.75 as purchases_share, 0.25 as time_share, "
        "0.0 as cutoffs_share, 0.0 as late_share from core.rfm_scores where as_of = '2024-06-03'",
        "create table raw.currencies as select 'events' as contract_table, date '2024-05-01' as event_date, "
        "'EUR' as currency, 10::bigint as row_count",
        "create table raw.deliveries as select 'd' as delivery_id, 'events' as contract_table, "
        "date '2024-05-30' as event_date, timestamp '2024-06-03' as landed_at, 100::bigint as delivered, "
        "90::bigint as accepted, 6::bigint as rejected, 4::bigint as duplicate, 0::bigint as skipped",
        "create table raw.rejects as select 'negative_price' as reason, 'events' as contract_table, "
        "date '2024-05-30' as event_date from range(6)",
    )


def model_tables(shop: PageShop) -> None:
    """Add what models and plans publish."""
    shop.run(
        """
        create table marts.demand_forecasts as
        select timestamp '2024-06-03' as as_of, 'week' as period, 'shop' as level, 'all' as key, 'revenue' as measure,
            date '2024-06-03' + 7 * week::integer as date, 500.0 + week as mean, 300.0 as q10, 700.0 as q90,
            200.0 as q025, 800.0 as q975, 'models.demand_model' as model_name
        from range(13) as w(week)
        """,
        """
        create table marts.churn_scores as
        select as_of, customer_id, 90::bigint as horizon_days, 0.1 * (1 + number % 9) as churn_probability,
            case when number % 9 < 3 then 'low' when number % 9 < 6 then 'medium' else 'high' end as risk_band,
            (5.0 + number)::double as expected_loss, 'lowers risk: orders: 4' as reason_1,
            'raises risk: returns: 3' as reason_2, null as reason_3
        from (select *, substr(customer_id, 2)::integer as number from core.rfm_scores where as_of = '2024-06-03')
        """,
        """
        create table marts.customer_value as
        select as_of, customer_id, case when frequency > 10 then 'vip' else 'low' end as value_tier,
            20.0::double as expected_revenue
        from core.rfm_scores where as_of = '2024-06-03'
        """,
        """
        create table core.customer_features as
        select as_of, customer_id, recency_days, frequency as orders from core.rfm_scores where as_of = '2024-06-03'
        """,
        """
        create table marts.next_best_actions as
        select as_of, customer_id, 'remind' as action,
            case when substr(customer_id, 2)::integer % 4 = 0 then null else 'remind_at_risk' end as play,
            'email' as channel, case when substr(customer_id, 2)::integer % 5 = 0 then 'holdout' else 'treated' end
                as arm,
            1.5 as expected_gain, 0.25 as expected_cost
        from core.rfm_scores where as_of = '2024-06-03'
        """,
        """
        create table marts.persona_profiles as
        select timestamp '2024-06-03' as as_of, persona_id, 'weekends, ' || persona_id as persona,
            15::bigint as customers,
            0.5 as customer_share, 100.0 as net_revenue, 0.5::double as revenue_share, measure,
            2.0::double as persona_mean,
            1.0 as shop_mean, 2.0 as lift, 1.5::double as z
        from (values ('p1'), ('p2')) as p(persona_id), (values ('orders'), ('category: toys')) as m(measure)
        """,
        """
        create table marts.campaign_results as
        select timestamp '2024-06-03' as as_of, 'touches' as basis, campaign as campaign_id, 'discount' as arm, metric,
            date '2024-05-01' as first_contact_on, 100::bigint as customers, 90::bigint as control_customers,
            0::bigint as waiting_customers, if(campaign = 'c3', 'Not enough data yet', 'measured') as status,
            if(campaign = 'c3', null, 0.05) as effect, if(campaign = 'c3', null, 0.01) as effect_low,
            if(campaign = 'c3', null, 0.09) as effect_high, campaign = 'c1' as is_discovery, 12.5 as cost,
            2.0 as return_on_spend
        from (values ('c1'), ('c2'), ('c3')) as c(campaign), (values ('conversion'), ('revenue')) as m(metric)
        """,
        """
        create table marts.recommendations as
        select as_of, customer_id, list, rank, 'p' || (1 + (rank + length(customer_id)) % 3) as product_id
        from core.rfm_scores, (values ('next_best'), ('discover')) as l(list), range(1, 3) as r(rank)
        where as_of = '2024-06-03'
        """,
        "create table marts.recommender_contest as select timestamp '2024-05-06' as as_of, list, 'window' as target, "
        "is_ranker, not is_ranker as is_baseline, if(is_ranker, 0.5, 0.25) as hit "
        "from (values ('next_best'), ('discover')) as l(list), (values (true), (false)) as r(is_ranker)",
        "create table models.serving as select 'models.churn_model' as model, timestamp '2024-06-03' as as_of, "
        "'all' as part, false as is_champion, 'recency_baseline' as model_name, null::timestamp as model_as_of, "
        "'No training had passed its gate.' as reason",
        "create table marts.churn_contest as select timestamp '2024-05-06' as as_of, contestant, is_winner, roc_auc "
        "from (values ('logistic', true, 0.78), ('recency', false, 0.72)) as c(contestant, is_winner, roc_auc)",
        """
        create table marts.funnel_daily as
        select date '2024-05-01' + day::integer as activity_date, channel, 100::bigint as sessions, 60::bigint as views,
            20::bigint as carts, 5::bigint as orders
        from range(40) as d(day), (values ('web'), ('app')) as c(channel)
        """,
        "create table marts.basket_rules as select timestamp '2024-06-03' as as_of, 'Mug' as antecedent_names, "
        "'Spoon' as consequent_name, 9::bigint as baskets, 0.5 as confidence, 3.0 as lift, 0.4 as later_confidence, "
        "true as later_held",
        "create table marts.reorder_points as select timestamp '2024-06-03' as as_of, 'p' || n as product_id, "
        "date '2024-06-03' as date, 7::bigint as lead_days, 2.5 * n as expected_demand, 3.0 as safety_stock, "
        "12.0 as reorder_point from range(1, 4) as r(n)",
        "create table staging.stg_products as select 'p' || n as product_id, 'Product ' || n as name "
        "from range(1, 4) as r(n)",
        "create table staging.stg_reviews as select timestamp '2024-05-20' as written_at, 1.0 + n % 5 as rating "
        "from range(12) as r(n)",
    )
