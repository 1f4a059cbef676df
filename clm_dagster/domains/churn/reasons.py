"""Reasons in plain words: which topics move a customer's risk most, with his value against the shop's.

Belongs here: sentences. Does not: how much a column counts (`attribution`).

A reason is a topic, not a column: columns of one topic say the same thing in several ways, a model spreads
its weight over them as it likes, and their parts add up. Words of a whole snapshot are made at once,
column by column.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from clm_dagster.domains.churn.features import TOPIC_OF

Words = Callable[[pd.DataFrame, int], pd.Series]


def strongest_reasons(x: pd.DataFrame, parts: pd.DataFrame, horizon_days: int, count: int) -> pd.DataFrame:
    """The `count` topics that set each of n customers apart most, strongest first.

    x: `features.derive`'s columns of a whole snapshot, whose medians are the shop's; parts: of the same shape,
    in log-odds. Columns reason_k ("raises risk: ..." or "lowers risk: ...") and reason_k_effect, the topic's
    part less its median over the snapshot, so that a reason says how a customer differs from the shop's
    middle, as its words do. A topic that does not differ is no reason: then both are missing.
    """
    topics = parts.T.groupby(lambda column: TOPIC_OF[column], sort=True).sum().T
    names = list(topics.columns)
    effects = (topics - topics.median()).to_numpy()
    # Ties go by the topic's name, so that the order of columns decides nothing.
    order = np.argsort(-np.abs(effects), axis=1, kind="stable")[:, :count]
    sentences = np.column_stack([WORDS[name](x, horizon_days).to_numpy(dtype=object) for name in names])
    strongest = np.take_along_axis(effects, order, axis=1)
    said = np.take_along_axis(sentences, order, axis=1)
    out: dict[str, np.ndarray] = {}
    for place in range(order.shape[1]):
        effect = strongest[:, place]
        text = np.where(effect > 0, "raises risk: ", "lowers risk: ").astype(object) + said[:, place]
        text[effect == 0] = None
        out[f"reason_{place + 1}"] = text
        out[f"reason_{place + 1}_effect"] = np.where(effect == 0, np.nan, effect)
    return pd.DataFrame(out, index=x.index)


def _number(values: pd.Series, digits: int = 0) -> pd.Series:
    """Numbers as people write them: rounded, thousands apart. Each distinct number is written once."""
    rounded = values.round(digits) + 0.0
    codes, distinct = pd.factorize(rounded)
    texts = np.array([f"{value:,.{digits}f}" for value in distinct] + ["unknown"], dtype=object)
    return pd.Series(texts[codes], index=values.index)


def _median(values: pd.Series, digits: int = 0) -> str:
    middle = values.median()
    return "unknown" if pd.isna(middle) else f"{middle:,.{digits}f}"


def _percent(values: pd.Series) -> pd.Series:
    return _either(values.notna(), _number(values * 100) + "%", "unknown")


def _either(condition: pd.Series, yes: pd.Series | str, no: pd.Series | str) -> pd.Series:
    return pd.Series(np.where(condition, yes, no), index=condition.index)


def _against(x: pd.DataFrame, column: str, text: str, digits: int = 0) -> pd.Series:
    """`text` with {} for the customer's value, and the shop's median behind it."""
    before, after = text.split("{}")
    return before + _number(x[column], digits) + after + f" (shop {_median(x[column], digits)})"


def _recency(x: pd.DataFrame, horizon_days: int) -> pd.Series:
    silence = _against(x, "recency_days", "no order for {} days")
    if "mean_gap_days" not in x:
        return silence
    gap = x["mean_gap_days"]
    own = "; usual gap " + _number(gap)
    return silence + _either(
        gap.notna(), own, f"; one order day only, the shop's usual gap is {_median(gap)}"
    )


def _rhythm(x: pd.DataFrame, horizon_days: int) -> pd.Series:
    chance = 1 / (1 + np.exp(-x["rhythm"]))
    return (
        f"by the rhythm of orders so far, {horizon_days} days without one have a chance of "
        + _percent(chance) + f" (shop {_percent_of_median(chance)})"
    )  # fmt: skip


def _first_of(names: tuple[tuple[str, str, int], ...]) -> Words:
    """Words of the first column that the model has."""

    def words(x: pd.DataFrame, horizon_days: int) -> pd.Series:
        column, text, digits = next(entry for entry in names if entry[0] in x)
        return _against(x, column, text, digits)

    return words


def _gaps(x: pd.DataFrame, horizon_days: int) -> pd.Series:
    if "mean_gap_days" not in x:
        return _against(x, "sd_gap_days", "gaps between orders vary by {} days")
    gap = x["mean_gap_days"]
    return _either(
        gap.notna(), _against(x, "mean_gap_days", "orders every {} days"), "no second order day yet"
    )


def _share(column: str, what: str) -> Words:
    def words(x: pd.DataFrame, horizon_days: int) -> pd.Series:
        return f"{what} " + _percent(x[column]) + f" (shop {_percent_of_median(x[column])})"

    return words


def _percent_of_median(values: pd.Series) -> str:
    return _percent(pd.Series([values.median()]))[0]


def _hours(x: pd.DataFrame, horizon_days: int) -> pd.Series:
    named = {"weekend_order_share": "orders on weekends", "evening_order_share": "orders in the evening"}
    parts = [_share(column, what)(x, horizon_days) for column, what in named.items() if column in x]
    return parts[0] if len(parts) == 1 else parts[0] + ", " + parts[1]


WORDS: dict[str, Words] = {
    "recency": _recency,
    "rhythm": _rhythm,
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
    "country": lambda x, horizon_days: "country is " + x["country"].astype(object),
}
