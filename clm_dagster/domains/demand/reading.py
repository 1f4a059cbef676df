"""What demand reads from the warehouse: the series of an as_of, closed by `other`, and planned discounts.

Belongs here: SQL of single snapshots. Does not: SQL models, dense days (`series`).
"""

from datetime import date

import pandas as pd

from clm_dagster.domains.demand.model import DemandSettings
from clm_dagster.domains.demand.settings import DemandSettings as OwnSettings
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings

MODEL = "models.demand_model"
FORECASTS = "marts.demand_forecasts"
# Which series an as_of has of its own: as they are chosen there, or as they were forecast there.
_CHOSEN = "select level, key from core.demand_keys where as_of = $as_of"
_FORECAST = (
    f"select distinct level, key from {FORECASTS} where as_of = $as_of and level <> 'shop' and key <> 'other'"
)
_SERIES = """
with keys as ({keys}),

shop as (
    select measure, day, value from core.demand_series
    where level = 'shop' and day < $until and day >= $since
),

own as (
    select s.level, s.key, s.measure, s.day, s.value
    from core.demand_series as s
    inner join keys on s.level = keys.level and s.key = keys.key
    where s.day < $until and s.day >= $since
),

owned as (
    select level, measure, day, sum(value) as value from own group by all
),

others as (
    select levels.level, 'other' as key, shop.measure, shop.day, shop.value - coalesce(owned.value, 0) as value
    from shop
    cross join (select distinct level from keys) as levels
    left join owned
        on levels.level = owned.level and shop.measure = owned.measure and shop.day = owned.day
    where shop.measure in ('units', 'revenue')
)

select 'shop' as level, 'all' as key, measure, day, cast(value as double) as value from shop
union all
select level, key, measure, day, cast(value as double) from own
union all
select level, key, measure, day, cast(value as double) from others where value <> 0
order by level, key, measure, day
"""
_ALWAYS = date(1, 1, 1)


def demand_settings(settings: Settings, series: int = 0) -> DemandSettings:
    """How a shop's contest is held; many series are shared among processes."""
    from os import cpu_count

    threads = settings.threads or cpu_count() or 1
    jobs = threads if series >= SERIES_WORTH_PROCESSES else 1
    return DemandSettings(lstm=settings.of(OwnSettings).lstm, jobs=jobs)


SERIES_WORTH_PROCESSES = 60
"""A process takes seconds to start: a few series are done by then."""


def read_series(connection: Connection, as_of: date) -> pd.DataFrame:
    """level, key, measure, day, value before as_of of the series that core.demand_keys chose there.

    `other` is the shop less a level's own series, so that units and revenue of each level add up to the shop's.
    """
    sql = _SERIES.format(keys=_CHOSEN)
    return connection.frame(sql, {"as_of": as_of, "until": as_of, "since": _ALWAYS})


def read_sold(connection: Connection, forecast_as_of: date, until: date) -> pd.DataFrame:
    """What came of the series that were forecast at an as_of, from then up to a later day (exclusive)."""
    sql = _SERIES.format(keys=_FORECAST)
    return connection.frame(sql, {"as_of": forecast_as_of, "until": until, "since": forecast_as_of})


def read_promotions(connection: Connection) -> pd.DataFrame:
    """level, key, day, discount, planned days included."""
    return connection.frame("select level, key, day, discount from core.demand_promotions order by all")
