"""A picture of a simulated shop: its days, and a few customers' lives beside their truth."""

from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pandas as pd

from clm_dagster.platform import quoting
from clm_dagster.platform.charts import ACCENT, INK, PALE, WARM, figure_png, style
from clm_dagster.platform.warehouse import Connection
from clm_dagster.simulate.shop import INBOX, TRUTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LIVES = 14


def draw_shop(out: Path) -> bytes:
    """Draw the shop that `simulate` wrote to a folder: daily net revenue, a few lives; a PNG."""
    raw = duckdb.connect()
    try:
        connection = Connection(raw)
        files = quoting.paths(sorted((out / INBOX / "events").glob("*.parquet")))
        connection.execute(f"""
            create temp table lines as
            select customer_id, try_cast(event_at as timestamp) as event_at, event_type,
                try_cast(quantity as bigint) * try_cast(unit_price as double) as amount
            from read_parquet({files}, union_by_name = true)
            where event_type in ('purchase', 'return') and event_id not like 'x%'
            qualify row_number() over (partition by event_id order by known_at desc) = 1
                and not cast(deleted as boolean)
        """)
        days = connection.frame("""
            select cast(event_at as date) as day,
                sum(case event_type when 'purchase' then amount else -amount end) as net
            from lines group by 1 order by 1
        """)
        start = pd.Timestamp(connection.scalar("select date_trunc('day', min(event_at)) from lines"))
        lives = connection.frame(f"""
            select customer_id, arrived_at, dropped_out_at, orders
            from {quoting.path(out / TRUTH / "customers.parquet")} where orders > 1 order by customer_id
        """)
        # Evenly among those who came back, the earliest to the latest.
        chosen = (
            lives.iloc[np.unique(np.linspace(0, len(lives) - 1, _LIVES).astype(int))] if len(lives) else lives
        )
        named = ", ".join(quoting.text(name) for name in chosen["customer_id"]) or "null"
        orders = connection.frame(
            "select distinct customer_id, event_at from lines "
            f"where event_type = 'purchase' and customer_id in ({named})"
        )
    finally:
        raw.close()

    def draw(figure: "Figure") -> None:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.25))
        net = days.set_index(pd.to_datetime(days["day"]))["net"] / 1e3
        top.fill_between(net.index, net.to_numpy(), step="mid", color=PALE, linewidth=0)
        top.plot(net.index, net.rolling(28, min_periods=7).mean().to_numpy(), color=ACCENT, linewidth=2)
        style(top, "Net revenue by day, thousand, and its mean of 28 days")
        _draw_lives(bottom, chosen, orders, start, net.index.max())

    return figure_png(draw, width=9, height=6)


def _draw_lives(
    axis: "Axes", lives: pd.DataFrame, orders: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp
) -> None:
    places = np.arange(len(lives))
    came = start + pd.to_timedelta(lives["arrived_at"].to_numpy(), unit="D")
    left = start + pd.to_timedelta(lives["dropped_out_at"].to_numpy(), unit="D")
    axis.hlines(places, came, left.fillna(end), color=PALE, linewidth=5)
    place = orders["customer_id"].map(dict(zip(lives["customer_id"], places, strict=True)))
    axis.plot(orders["event_at"].to_numpy(), place.to_numpy(), "o", color=ACCENT, markersize=4)
    axis.plot(left, places, "X", color=WARM, markersize=8, linestyle="none")
    style(
        axis,
        "A few customers: arrival, orders, and the moment they leave for good, which only the truth knows",
    )
    axis.set_yticks(places, list(lives["customer_id"]), fontsize=7, color=INK)
    axis.grid(axis="y", visible=False)
