"""Reasons for a churn score, as sentences: the strongest topics, with the value of the customer and of the shop.

Belongs here: the sentences. Does not belong here: the effect of each column (`attribution`).

A reason is a topic, not a column. The columns of one topic are redundant and a model spreads its weight over them, so
their parts are summed. The sentences of a whole snapshot are built column by column, not customer by customer.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from clm_dagster.domains.churn.feature_names import CATEGORIES, TOPIC_OF

# The median of each column over the shop.
Medians = Mapping[str, float]
Words = Callable[[pd.DataFrame, int, Medians], pd.Series]
# The probability that the purchase model's log-odds are of.
NO_PURCHASE = "no_purchase_probability"
_LOG_ODDS = "no_purchase_log_odds"
# Before the name of a topic, the column of its part.
_PART = "part of "


def with_parts(x: pd.DataFrame, parts: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that sentences read, and the part of each topic.

    x: columns of `features.derive`. parts: log-odds, of the same shape.
    """
    topics = parts.T.groupby(lambda column: TOPIC_OF[column], sort=True).sum().T
    found = pd.concat([x, topics.add_prefix(_PART)], axis=1)
    return found.assign(**{NO_PURCHASE: _probability(x)}) if _LOG_ODDS in x else found


def numbers_of(known: pd.DataFrame) -> list[str]:
    """Return the columns of a result of `with_parts` that have a median."""
    return [str(name) for name in known if name not in CATEGORIES]


def medians_of(known: pd.DataFrame) -> Medians:
    """Return the medians of a whole shop. known: the result of `with_parts`."""
    return {name: float(known[name].median()) for name in numbers_of(known)}


def strongest_reasons(known: pd.DataFrame, medians: Medians, horizon_days: int, count: int) -> pd.DataFrame:
    """Return the `count` topics with the largest effect for each of n customers, strongest first.

    known: the result of `with_parts`. medians: of its columns of numbers, over all customers of the shop. Columns:
    reason_k ("raises risk: ..." or "lowers risk: ...") and reason_k_effect, the topic's part minus its median over the
    shop. Effect and sentence thus both compare the customer with the shop's median customer. Both are missing where the
    effect is zero, and where there are fewer topics.
    """
    columns = [str(name) for name in known if str(name).startswith(_PART)]
    names = [name.removeprefix(_PART) for name in columns]
    x = known
    effects = np.column_stack([known[name].to_numpy(float) - medians[name] for name in columns])
    # Break ties by topic name, so that the order of columns does not matter.
    order = np.argsort(-np.abs(effects), axis=1, kind="stable")[:, :count]
    sentences = np.column_stack(
        [WORDS[name](x, horizon_days, medians).to_numpy(dtype=object) for name in names]
    )
    strongest = np.take_along_axis(effects, order, axis=1)
    chosen = np.take_along_axis(sentences, order, axis=1)
    out: dict[str, np.ndarray] = {}
    for place in range(order.shape[1]):
        effect = strongest[:, place]
        text = np.where(effect > 0, "raises risk: ", "lowers risk: ").astype(object) + chosen[:, place]
        text[effect == 0] = None
        out[f"reason_{place + 1}"] = text
        out[f"reason_{place + 1}_effect"] = np.where(effect == 0, np.nan, effect)
    for place in range(order.shape[1], count):
        out[f"reason_{place + 1}"] = np.full(len(x), None, dtype=object)
        out[f"reason_{place + 1}_effect"] = np.full(len(x), np.nan)
    return pd.DataFrame(out, index=x.index)


def _number(values: pd.Series, digits: int = 0) -> pd.Series:
    """Format numbers rounded and with thousands separators. Each distinct number is formatted once."""
    rounded = values.round(digits) + 0.0
    codes, distinct = pd.factorize(rounded)
    texts = np.array([f"{value:,.{digits}f}" for value in distinct] + ["unknown"], dtype=object)
    return pd.Series(texts[codes], index=values.index)


def _median(median: float, digits: int = 0) -> str:
    return "unknown" if pd.isna(median) else f"{median:,.{digits}f}"


def _percent(values: pd.Series) -> pd.Series:
    return _either(values.notna(), _number(values * 100) + "%", "unknown")


def _either(condition: pd.Series, yes: pd.Series | str, no: pd.Series | str) -> pd.Series:
    return pd.Series(np.where(condition, yes, no), index=condition.index)


def _against(x: pd.DataFrame, medians: Medians, column: str, text: str, digits: int = 0) -> pd.Series:
    """Return `text` with the customer's value in place of {}, followed by the shop's median."""
    before, after = text.split("{}")
    return before + _number(x[column], digits) + after + f" (shop {_median(medians[column], digits)})"


def _recency(x: pd.DataFrame, horizon_days: int, medians: Medians) -> pd.Series:
    since_order = _against(x, medians, "recency_days", "no order for {} days")
    if "mean_gap_days" not in x:
        return since_order
    gap = x["mean_gap_days"]
    usual_gap = "; usual gap " + _number(gap)
    return since_order + _either(
        gap.notna(),
        usual_gap,
        f"; one order day only, the shop's usual gap is {_median(medians['mean_gap_days'])}",
    )


def _no_purchase(x: pd.DataFrame, horizon_days: int, medians: Medians) -> pd.Series:
    return (
        f"at the purchase rate so far, {horizon_days} days without an order have a probability of "
        + _percent(_probability(x))
        + f" (shop {_percent_of(medians[NO_PURCHASE])})"
    )


def _first_of(names: tuple[tuple[str, str, int], ...]) -> Words:
    """Return the sentence builder of the first of these columns that the model has."""

    def words(x: pd.DataFrame, horizon_days: int, medians: Medians) -> pd.Series:
        column, text, digits = next(entry for entry in names if entry[0] in x)
        return _against(x, medians, column, text, digits)

    return words


def _gaps(x: pd.DataFrame, horizon_days: int, medians: Medians) -> pd.Series:
    if "mean_gap_days" not in x:
        return _against(x, medians, "sd_gap_days", "gaps between orders vary by {} days")
    gap = x["mean_gap_days"]
    return _either(
        gap.notna(), _against(x, medians, "mean_gap_days", "orders every {} days"), "no second order day yet"
    )


def _share(column: str, what: str) -> Words:
    def words(x: pd.DataFrame, horizon_days: int, medians: Medians) -> pd.Series:
        return f"{what} " + _percent(x[column]) + f" (shop {_percent_of(medians[column])})"

    return words


def _percent_of(median: float) -> str:
    return str(_percent(pd.Series([median]))[0])


def _probability(x: pd.DataFrame) -> pd.Series:
    return 1 / (1 + np.exp(-x[_LOG_ODDS]))


def _hours(x: pd.DataFrame, horizon_days: int, medians: Medians) -> pd.Series:
    named = {"weekend_order_share": "orders on weekends", "evening_order_share": "orders in the evening"}
    parts = [_share(column, what)(x, horizon_days, medians) for column, what in named.items() if column in x]
    return parts[0] if len(parts) == 1 else parts[0] + ", " + parts[1]


WORDS: dict[str, Words] = {
    "recency": _recency,
    "no_purchase": _no_purchase,
    "frequency": _first_of(
        (
            ("orders_365d", "orders in the last 365 days: {}", 0),
            ("order_days", "days with an order so far: {}", 0),
            ("orders", "orders so far: {}", 0),
            ("orders_180d", "orders in the last 180 days: {}", 0),
            ("orders_90d", "orders in the last 90 days: {}", 0),
            ("orders_30d", "orders in the last 30 days: {}", 0),
            ("order_rate", "order days for each day since the first: {}", 3),
        )
    ),
    "season": _first_of((("orders_year_ago_90d", "orders in the same 90 days of last year: {}", 0),)),
    "gaps": _gaps,
    "tenure": _first_of((("tenure_days", "first order {} days ago", 0),)),
    "money": _first_of(
        (
            ("net_revenue_365d", "net revenue of {} in the last 365 days", 0),
            ("net_revenue", "net revenue of {} so far", 0),
            ("average_order_value", "an order is worth {}", 0),
            ("net_revenue_180d", "net revenue of {} in the last 180 days", 0),
            ("net_revenue_90d", "net revenue of {} in the last 90 days", 0),
            ("net_revenue_30d", "net revenue of {} in the last 30 days", 0),
        )
    ),
    "products": _first_of(
        (("distinct_products", "different products so far: {}", 0), ("units", "units so far: {}", 0))
    ),
    "returns": _share("return_rate", "share of purchases returned"),
    "hours": _hours,
    "visits": _first_of(
        (
            ("visits_30d", "visits in the last 30 days: {}", 0),
            ("visits", "visits so far: {}", 0),
            ("views", "products looked at so far: {}", 0),
            ("carts", "products put into the cart so far: {}", 0),
        )
    ),
    "country": lambda x, horizon_days, medians: "country is " + x["country"].astype(object),
}
