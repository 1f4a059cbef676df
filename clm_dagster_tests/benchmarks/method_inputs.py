"""What our statistics and their peers are given: baskets and series, real and simulated.

Belongs here: reading and simulating them, for `method_peers` and for the tests in `clm_dagster_tests/peers`. Does not:
measuring.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from statsmodels.tsa.arima_process import arma_generate_sample

from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster_tests.benchmarks.demand_fit import made_up

HORIZON = 28
SEED = 11
Series = dict[str, tuple[Floats, int]]
"""A series by name: its values, of which the last HORIZON are to be forecast, and its season."""


def purchases(reference: Path, first: str, end: str) -> pd.DataFrame:
    """Invoice, StockCode, InvoiceDate, Quantity, Price of products bought in [first, end) at Online Retail II."""
    columns = ["Invoice", "StockCode", "InvoiceDate", "Quantity", "Price"]
    filters = [
        ("InvoiceDate", ">=", pd.Timestamp(first)),
        ("InvoiceDate", "<", pd.Timestamp(end)),
        ("Quantity", ">", 0),
        ("Price", ">", 0.0),
    ]
    files = sorted((reference / "online_retail_ii").glob("year_*.parquet"))
    lines = pd.concat(
        [pd.read_parquet(path, columns=columns, filters=filters) for path in files], ignore_index=True
    )
    product = lines["StockCode"].astype(str).str.upper()
    return lines.assign(StockCode=product)[product.str.fullmatch(r"\d{5}[A-Z]*")]


def basket_lines(reference: Path, first: str = "2009-12-01", end: str = "2012-01-01") -> pd.DataFrame:
    """order_id and product_id of every invoice in [first, end), each pair once."""
    lines = purchases(reference, first, end)[["Invoice", "StockCode"]].astype(str)
    return lines.set_axis(["order_id", "product_id"], axis=1).drop_duplicates(ignore_index=True)


def real_series(reference: Path, products: int, days: int = 392) -> Series:
    """Daily revenue of the shop and daily units of its best products, to the end of November 2011."""
    dates = pd.date_range(end="2011-11-30", periods=days)
    lines = purchases(reference, str(dates[0].date()), "2011-12-01")
    lines = lines.drop_duplicates()
    lines = lines.assign(day=lines["InvoiceDate"].dt.normalize(), revenue=lines["Quantity"] * lines["Price"])
    found: Series = {"revenue": (_daily(lines, "revenue", dates), 7)}
    often = lines.groupby("StockCode")["day"].nunique()
    sold = lines.groupby("StockCode")["Quantity"].sum()[often > days // 2]
    for code in sold.nlargest(products).index:
        found[f"units of {code}"] = (_daily(lines[lines["StockCode"] == code], "Quantity", dates), 7)
    return found


def simulated_series(processes: int, shops: int, days: int = 392) -> Series:
    """Stationary and integrated ARMA processes without a season, and daily orders of products with a week."""
    rng = np.random.default_rng(SEED)
    found: Series = {}
    for number in range(processes):
        ar = (0.8 if number % 3 else 0.4) * rng.uniform(-1, 1, number % 3)
        ma = 0.8 * rng.uniform(-1, 1, (number // 3) % 3)
        if (
            np.abs(np.roots([1, *-ar])).max(initial=0) > 0.95
            or np.abs(np.roots([1, *ma])).max(initial=0) > 0.95
        ):
            ar, ma = ar / 3, ma / 3
        noise = arma_generate_sample([1, *-ar], [1, *ma], 300 + HORIZON, distrvs=rng.standard_normal)
        found[f"process {number}"] = (20 + (noise.cumsum() if number % 2 else noise), 1)
    for number, values in enumerate(made_up(shops).values):
        found[f"orders {number}"] = (values[-days:], 7)
    return found


def _daily(lines: pd.DataFrame, column: str, dates: pd.DatetimeIndex) -> Floats:
    return lines.groupby("day")[column].sum().reindex(dates, fill_value=0).to_numpy(dtype=float)
