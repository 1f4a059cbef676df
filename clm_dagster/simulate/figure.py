"""A chart of a simulated shop: daily revenue, and the order histories of a few customers.

Belongs here: the chart of `clm simulate --figure`. Does not: the charts of assets (`platform.charts`).
"""

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

_CUSTOMERS_SHOWN = 14


def draw_shop(out: Path) -> bytes:
    """Return a PNG chart of the shop that `simulate` wrote to `out`: daily net revenue and a few customer histories."""
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
        customers = connection.frame(f"""
            select customer_id, arrived_at, dropped_out_at, orders
            from {quoting.path(out / TRUTH / "customers.parquet")} where orders > 1 order by customer_id
        """)
        # Evenly spaced among the repeat customers, from the first arrival to the last.
        chosen = (
            customers.iloc[np.unique(np.linspace(0, len(customers) - 1, _CUSTOMERS_SHOWN).astype(int))]
            if len(customers)
            else customers
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
        style(top, "Daily net revenue in thousands, with its 28-day mean")
        _draw_customers(bottom, chosen, orders, start, net.index.max())

    return figure_png(draw, width=9, height=6)


def _draw_customers(
    axis: "Axes", customers: pd.DataFrame, orders: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp
) -> None:
    places = np.arange(len(customers))
    arrived = start + pd.to_timedelta(customers["arrived_at"].to_numpy(), unit="D")
    dropped_out = start + pd.to_timedelta(customers["dropped_out_at"].to_numpy(), unit="D")
    axis.hlines(places, arrived, dropped_out.fillna(end), color=PALE, linewidth=5)
    place = orders["customer_id"].map(dict(zip(customers["customer_id"], places, strict=True)))
    axis.plot(orders["event_at"].to_numpy(), place.to_numpy(), "o", color=ACCENT, markersize=4)
    axis.plot(dropped_out, places, "X", color=WARM, markersize=8, linestyle="none")
    style(
        axis,
        "A few customers: arrival, orders and permanent drop-out (known only from the ground truth)",
    )
    axis.set_yticks(places, list(customers["customer_id"]), fontsize=7, color=INK)
    axis.grid(axis="y", visible=False)
