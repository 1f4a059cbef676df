"""Facts about sales: revenue and why it changed, its forecast, orders, returns, visits.

Belongs here: these facts. Does not: queries (`sales_queries`), the arithmetic of changes (`statistics.changes`).
"""

from collections.abc import Iterator
from datetime import timedelta

from clm_dagster.domains.report.fact import Compared, Fact, comparison
from clm_dagster.domains.report.fact_inputs import FOUR_WEEKS, WEEK, FactInputs
from clm_dagster.domains.report.names import COUNT, MONEY, SHARE
from clm_dagster.domains.report.sentences import (
    Count,
    Country,
    Day,
    Joined,
    Listed,
    Money,
    Name,
    Own,
    Percent,
    Piece,
    Said,
)
from clm_dagster.statistics.changes import (
    Volume,
    noise,
    product_effects,
    sampling_change,
    strongest_group,
    usual_change,
)

# The least part of a change that a cause is named for.
_LEAST_PART = 0.3


def sales_facts(inputs: FactInputs) -> Iterator[Fact]:
    """Yield the facts about sales of the week before as_of."""
    if inputs.last_day is None:
        yield Fact(
            "revenue",
            "revenue",
            MONEY,
            "revenue",
            Said("revenue.nothing", {"day": Day(inputs.day)}),
            value=0.0,
        )
        return
    yield _revenue(inputs)
    yield from _reasons(inputs)
    yield from _forecasts(inputs)
    orders = compared(inputs, "orders", "orders")
    yield _counted(inputs, "revenue", "orders", COUNT, "revenue", orders)
    yield from _ratio(inputs, "order_value", MONEY, "revenue", "revenue", ("sales", "orders"))
    yield from _ratio(inputs, "return_rate", SHARE, "revenue", "revenue", ("returns", "sales"), weight=0.8)
    if len(inputs.weeks) and inputs.weeks["sessions"].sum() > 0:
        sessions = compared(inputs, "sessions", None)
        yield _counted(inputs, "funnel", "sessions", COUNT, "funnel", sessions)
        yield from _ratio(inputs, "conversion", SHARE, "funnel", "funnel", ("orders", "sessions"), weight=0.9)


def compared(inputs: FactInputs, column: str, sampled: str | None) -> Compared:
    """Return a sum of the week beside earlier ones. sampled: the column of its squared changes by customer, if any."""
    series = [float(value) for value in inputs.weeks[column]] if len(inputs.weeks) else [0.0]
    widths = {}
    for lag in (WEEK, FOUR_WEEKS):
        found = inputs.pairs[inputs.pairs["back"] == lag] if sampled and len(inputs.pairs) else None
        squares = (
            float(found[sampled].iloc[0] or 0.0) if found is not None and len(found) and sampled else 0.0
        )
        # What squares to nothing known, as of a week without rows, adds nothing.
        widths[lag] = noise(
            usual_change(series, lag), sampling_change(0.0 if squares != squares else squares)
        )
    return Compared(
        series[0],
        _at(series, WEEK),
        _at(series, FOUR_WEEKS),
        widths[WEEK],
        widths[FOUR_WEEKS],
    )


def _at(series: list[float], back: int) -> float | None:
    return series[back] if len(series) > back else None


def _counted(inputs: FactInputs, section: str, fact: str, unit: str, chart: str, found: Compared) -> Fact:
    values: dict[str, Piece] = {"day": _last(inputs), "compare": comparison(unit, found)}
    return Fact(section, fact, unit, chart, Said(f"{section}.{fact}", values, n=found.value), found)


def _last(inputs: FactInputs) -> Day:
    """Return the last day of the week."""
    return Day(inputs.day - timedelta(days=1))


def _revenue(inputs: FactInputs) -> Fact:
    """Return the revenue of the week with its reasons: the first headline."""
    found = compared(inputs, "revenue", "revenue")
    values: dict[str, Piece] = {
        "day": _last(inputs),
        "value": Money(found.value),
        "compare": comparison(MONEY, found),
    }
    parts: list[Piece] = [Said("revenue.revenue", values)]
    if found.value < 0:
        parts.append(Said("revenue.negative"))
    elif found.value == 0 and not inputs.weeks["orders"].iloc[0]:
        parts.append(Said("revenue.no_orders"))
    back = WEEK if found.is_change_week else FOUR_WEEKS if found.is_change_4_weeks else None
    if back is not None:
        parts += why(inputs, back)
    return Fact("revenue", "revenue", MONEY, "revenue", Joined(parts), found, weight=2.0)


def volume(inputs: FactInputs, back: int) -> Volume:
    """Return the week as customers x orders x value. A guest order is a customer of its own."""
    row = inputs.weeks.iloc[back]
    return Volume(
        float(row["buyers"] + row["guest_orders"]),
        float(row["orders"]),
        float(row["sales"]),
        -float(row["returns"]),
    )


def why(inputs: FactInputs, back: int) -> list[Piece]:
    """Return the sentences that explain the change of revenue since then; none where nothing stands out."""
    effects = product_effects(volume(inputs, back), volume(inputs, 0))
    total = sum(effects.values())
    if not total:
        return []
    way = 1 if total > 0 else -1
    parts = {cause: effect for cause, effect in effects.items() if abs(effect) >= _LEAST_PART * abs(total)}
    for_it = [_cause(c, e) for c, e in sorted(parts.items(), key=lambda pair: -pair[1] * way) if e * way > 0]
    against = [_cause(c, e) for c, e in sorted(parts.items(), key=lambda pair: pair[1] * way) if e * way < 0]
    said: list[Piece] = []
    since = Said(f"why.since_{back}")
    if for_it and against:
        said.append(
            Said("why.partly", {"since": since, "causes": Listed(for_it[:2]), "against": Listed(against[:1])})
        )
    elif for_it:
        said.append(Said("why.causes", {"since": since, "causes": Listed(for_it[:2])}))
    if group := _group(inputs, back):
        said.append(group)
    return said


def _cause(cause: str, effect: float) -> Piece:
    way = "more" if effect > 0 else "less"
    return Said(f"why.{cause}_{way}", {"effect": Money(effect, is_signed=True)})


def _group(inputs: FactInputs, back: int) -> Piece | None:
    splits: dict[str, dict[str, tuple[float, float]]] = {}
    for dimension, name, *weeks in inputs.splits[["dimension", "name", "r0", f"r{back}"]].itertuples(
        index=False
    ):
        splits.setdefault(dimension, {})[name] = (float(weeks[1]), float(weeks[0]))
    found = strongest_group(splits)
    if found is None:
        return None
    is_known = found.group in ("new", "returning", "guests")
    label: Piece = Name("customers", found.group) if is_known else Own(found.group.replace("_", " "))
    if found.dimension == "country" and not is_known:
        label = Country(found.group)
    kind = "customers" if is_known else found.dimension
    return Said(f"why.group_{kind}", {"group": label, "effect": Money(found.change, is_signed=True)})


def _reasons(inputs: FactInputs) -> Iterator[Fact]:
    """Yield the parts of the change of revenue since a week ago, which add up to it."""
    if len(inputs.weeks) <= WEEK:
        return
    for cause, effect in product_effects(volume(inputs, WEEK), volume(inputs, 0)).items():
        if cause == "rest" and abs(effect) < 0.005:
            continue
        way = "more" if effect > 0 else "less"
        sentence = Said(
            "why.one", {"cause": Said(f"why.{cause}_{way}", {"effect": Money(effect, is_signed=True)})}
        )
        if abs(effect) < 0.005:
            sentence = Said("why.no_effect", {"cause": Name("causes", cause)})
        yield Fact("revenue", "revenue_change_by", MONEY, "revenue", sentence, value=effect, subject=cause)


def _forecasts(inputs: FactInputs) -> Iterator[Fact]:
    """Yield how the week compares with its forecast, and the forecast of the next week.

    What is forecast are sales before discounts and returns, so the week is compared in these and not in net revenue.
    """
    found = (
        {} if inputs.forecasts.empty else {row["week"]: row for row in inputs.forecasts.to_dict("records")}
    )
    is_trusted = _forecast_is_trusted(inputs)
    if (past := found.get("past")) is not None:
        value = float(inputs.weeks["gross"].iloc[0])
        low, high, mean = (float(past[name]) for name in ("low", "high", "mean"))
        place = "below" if value < low else "above" if value > high else "within"
        sentence = Said(
            f"revenue.forecast_{place}",
            {
                "day": _last(inputs),
                "value": Money(value),
                "mean": Money(mean),
                "low": Money(low),
                "high": Money(high),
            },
        )
        weight = 0.0 if place == "within" else 1.8
        yield Fact(
            "revenue",
            "revenue_and_forecast",
            MONEY,
            "revenue",
            sentence,
            value=value,
            low=low,
            high=high,
            weight=weight,
            is_trusted=is_trusted,
        )
    if (coming := found.get("next")) is not None:
        low, high, mean = (float(coming[name]) for name in ("low", "high", "mean"))
        values: dict[str, Piece] = {"mean": Money(mean), "low": Money(low), "high": Money(high)}
        yield Fact(
            "revenue",
            "revenue_forecast",
            MONEY,
            "revenue",
            Said("revenue.forecast_next", values),
            value=mean,
            low=low,
            high=high,
            is_trusted=is_trusted,
        )


def _forecast_is_trusted(inputs: FactInputs) -> bool:
    if inputs.serving.empty:
        return False
    rows = inputs.serving[
        (inputs.serving["model"] == "models.demand_model") & (inputs.serving["part"] == "week")
    ]
    return bool(len(rows) and rows["is_champion"].all())


def _ratio(
    inputs: FactInputs,
    fact: str,
    unit: str,
    section: str,
    chart: str,
    columns: tuple[str, str],
    weight: float = 0.0,
) -> Iterator[Fact]:
    """Yield a ratio of two sums of the week, judged by its thirteen changes before; nothing where it has no value."""
    if inputs.weeks.empty:
        return
    top, bottom = columns
    series = [
        float(row[top]) / float(row[bottom]) if row[bottom] > 0 else None
        for row in inputs.weeks.to_dict("records")
    ]
    if series[0] is None:
        yield Fact(section, fact, unit, chart, Said(f"{section}.{fact}_none", {"day": _last(inputs)}))
        return
    widths = {lag: usual_change(series, lag) for lag in (WEEK, FOUR_WEEKS)}
    found = Compared(
        series[0],
        series[WEEK] if len(series) > WEEK else None,
        series[FOUR_WEEKS] if len(series) > FOUR_WEEKS else None,
        widths[WEEK],
        widths[FOUR_WEEKS],
    )
    value: Piece = Money(found.value) if unit == MONEY else Percent(found.value)
    values: dict[str, Piece] = {"day": _last(inputs), "value": value, "compare": comparison(unit, found)}
    if unit == SHARE:
        values["part"], values["all"] = (
            (Money(float(inputs.weeks[top].iloc[0])), Money(float(inputs.weeks[bottom].iloc[0])))
            if bottom == "sales"
            else (Count(float(inputs.weeks[top].iloc[0])), Count(float(inputs.weeks[bottom].iloc[0])))
        )
    yield Fact(section, fact, unit, chart, Said(f"{section}.{fact}", values), found, weight=weight)
