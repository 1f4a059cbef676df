"""Queries of the demand domain: the series of an as_of, completed by `other`, and promotions.

Belongs here: SQL that reads a single snapshot. Does not: SQL models, filling in days without sales (`series`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from clm_dagster.domains.demand.names import DAY, FORECASTS, MODEL
from clm_dagster.domains.demand.table_settings import DemandSettings
from clm_dagster.platform.partitions import WEEK
from clm_dagster.platform.python_tables.partition import Reading
from clm_dagster.platform.trained_models.champions import Trainings
from clm_dagster.platform.trained_models.samples import TrainingSample
from clm_dagster.platform.warehouse import Connection
from clm_dagster.statistics.evaluation import EvaluationError

_ALWAYS = date(1, 1, 1)
# The keys with a series of their own at an as_of: those that were selected there, or those that were forecast there.
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


@dataclass(frozen=True)
class SeriesInputs:
    """The sales series before as_of, and promotions, planned ones included."""

    series: pd.DataFrame
    promotions: pd.DataFrame


@dataclass(frozen=True)
class AccuracyInputs:
    """Trainings up to as_of; earlier forecasts and the actual sales since, by the day of the forecast."""

    trainings: Trainings
    forecasts: Mapping[date, pd.DataFrame]
    sold: Mapping[date, pd.DataFrame]


def read_training(reading: Reading[Any]) -> SeriesInputs:
    """Read the inputs of a training. Raise EvaluationError where nothing was sold."""
    inputs = read_inputs(reading)
    if inputs.series.empty:
        raise EvaluationError(f"nothing was sold before {reading.day}: there is no demand to learn from.")
    return inputs


def sample_of(inputs: SeriesInputs) -> TrainingSample:
    """Return the sample of a training: every series. Their number is bounded by settings, whatever the customers."""
    count = len(inputs.series[["level", "key", "measure"]].drop_duplicates())
    return TrainingSample("series", count, count, setting="")


def read_inputs(reading: Reading[Any]) -> SeriesInputs:
    """Read the inputs of a forecast."""
    promotions = reading.connection.frame(
        "select level, key, day, discount from core.demand_promotions order by all"
    )
    return SeriesInputs(read_series(reading), promotions)


def read_series(reading: Reading[Any]) -> pd.DataFrame:
    """Return level, key, measure, day, value before as_of of the series that core.demand_keys selects for it.

    `other` is the shop minus the series of a level, so that units and revenue of each level sum to the shop's.
    """
    parameters = {"as_of": reading.day, "until": reading.day, "since": _ALWAYS}
    return reading.connection.frame(_SERIES.format(keys=_CHOSEN), parameters)


def read_accuracy(reading: Reading[Any]) -> AccuracyInputs:
    """Read the forecasts of the last quarter, and the actual sales since each of them."""
    first = reading.day - DemandSettings().horizon_weeks * WEEK
    rows = reading.connection.frame(
        f"select * from {FORECASTS} where as_of >= ? and as_of < ? order by all", [first, reading.day]
    )
    days = rows["as_of"].dt.date
    forecasts = {day: rows[days == day].reset_index(drop=True) for day in sorted(set(days))}
    sold = {day: _read_sold(reading.connection, day, reading.day) for day in forecasts}
    return AccuracyInputs(Trainings.read(reading.connection, MODEL, reading.day), forecasts, sold)


def _read_sold(connection: Connection, forecast_as_of: date, until: date) -> pd.DataFrame:
    """Return the actual sales of the series forecast at `forecast_as_of`, from that day to `until` (exclusive)."""
    parameters = {"as_of": forecast_as_of, "until": until, "since": forecast_as_of}
    return connection.frame(_SERIES.format(keys=_FORECAST), parameters)


def read_daily_forecasts(reading: Reading[Any]) -> pd.DataFrame:
    """Return the daily forecasts of the snapshot."""
    return reading.connection.frame(
        f"select * from {FORECASTS} where as_of = ? and period = '{DAY}' order by all", [reading.day]
    )
