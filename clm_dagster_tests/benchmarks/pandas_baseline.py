"""The usual alternative: one pandas script from the shop's file to the same tables.

    python pandas_baseline.py online_retail_II.csv.gz OUT_FOLDER DBT_LIKE_SQL/seeds

Belongs here: a straightforward script that imports nothing of ours. It is meant to be a good one: every
step is a vectorised groupby, merge or shift, ids of customers stay numbers, money is float64. It leaves
out what such a script leaves out, all of it in its favour: ids of events, the second clock, the ledger,
transactions, checks, and any way to bring one more day than to do everything again.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

FILE_COLUMNS = [
    "Invoice",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "Price",
    "Customer ID",
    "Country",
]
DAY = pd.Timedelta(days=1)
MONEY = 4


def read_events(path: str, patterns: list[str]) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Accepted events, rejected rows, and how many rows were repeats."""
    raw = pd.read_csv(path, dtype={"Invoice": str, "StockCode": str})
    rows = raw.drop_duplicates()
    code = rows["StockCode"].str.strip().str.upper()
    cancelled = rows["Invoice"].str.upper().str.startswith("C")
    product = code.str.contains("|".join(patterns))
    reason = np.select(
        [(rows["Quantity"] < 0) & ~cancelled, (rows["Quantity"] > 0) & cancelled, rows["Price"] < 0],
        ["negative_quantity", "positive_quantity_on_cancellation", "negative_price"],
        default="",
    )
    kind = np.select(
        [cancelled & product, cancelled, ~product, rows["Price"] == 0],
        ["return", "charge_refund", "charge", "gift"],
        default="purchase",
    )
    events = pd.DataFrame(
        {
            "event_at": pd.to_datetime(rows["InvoiceDate"]),
            "customer_id": rows["Customer ID"],
            "event_type": kind,
            "order_id": rows["Invoice"].str.strip(),
            "product_id": code,
            "quantity": rows["Quantity"].abs(),
            "unit_price": rows["Price"],
            "country": rows["Country"].str.strip(),
            "description": rows["Description"].str.strip(),
        }
    )
    events["description"] = events["description"].where(events["description"] != "")
    rejects = rows[reason != ""].assign(reason=reason[reason != ""])
    return events[reason == ""].reset_index(drop=True), rejects, len(raw) - len(rows)


def order_lines(events: pd.DataFrame) -> pd.DataFrame:
    """Events with their day and what each means in money and units."""
    lines = events.copy()
    lines["day"] = lines["event_at"].dt.normalize()
    amount = lines["quantity"] * lines["unit_price"]
    bought, returned = lines["event_type"] == "purchase", lines["event_type"] == "return"
    lines["units"] = lines["quantity"].where(bought, 0)
    lines["returned_units"] = lines["quantity"].where(returned, 0)
    lines["gross_revenue"] = amount.where(bought, 0.0)
    lines["returned_revenue"] = amount.where(returned, 0.0)
    lines["net_revenue"] = lines["gross_revenue"] - lines["returned_revenue"]
    charged, refunded = lines["event_type"] == "charge", lines["event_type"] == "charge_refund"
    lines["net_charges"] = amount.where(charged, 0.0) - amount.where(refunded, 0.0)
    lines["purchase_order"] = lines["order_id"].where(bought)
    lines["purchase_product"] = lines["product_id"].where(bought)
    lines["purchase_customer"] = lines["customer_id"].where(bought)
    return lines


SUMS = ["units", "returned_units", "gross_revenue", "returned_revenue", "net_revenue", "net_charges"]


def customer_daily(lines: pd.DataFrame) -> pd.DataFrame:
    """One row for each known customer and day."""
    known = lines[lines["customer_id"].notna()].astype({"customer_id": "int64"})
    keys = ["day", "customer_id"]
    daily = known.groupby(keys).agg(
        products=("purchase_product", "nunique"), country=("country", "max"), **{c: (c, "sum") for c in SUMS}
    )
    first = known.groupby([*keys, "purchase_order"])["event_at"].min().reset_index()
    first["evening"] = first["event_at"].dt.hour >= 18
    orders = first.groupby(keys).agg(orders=("purchase_order", "size"), evening_orders=("evening", "sum"))
    daily = daily.join(orders).fillna({"orders": 0, "evening_orders": 0}).reset_index()
    return _rounded(daily.astype({"orders": "int64", "evening_orders": "int64"}))


def product_daily(lines: pd.DataFrame) -> pd.DataFrame:
    """One row for each product and day with a sale, return or gift."""
    kept = lines[lines["event_type"].isin(["purchase", "return", "gift"])]
    kept = kept.assign(gift_lines=kept["event_type"] == "gift")
    daily = kept.groupby(["day", "product_id"]).agg(
        orders=("purchase_order", "nunique"),
        buyers=("purchase_customer", "nunique"),
        gift_lines=("gift_lines", "sum"),
        **{c: (c, "sum") for c in SUMS if c != "net_charges"},
    )
    return _rounded(daily.reset_index())


def totals_daily(lines: pd.DataFrame) -> pd.DataFrame:
    """One row for each day with any event, guests included."""
    lines = lines.assign(guest_order=lines["purchase_order"].where(lines["customer_id"].isna()))
    daily = lines.groupby("day").agg(
        orders=("purchase_order", "nunique"),
        buyers=("purchase_customer", "nunique"),
        guest_orders=("guest_order", "nunique"),
        **{c: (c, "sum") for c in SUMS},
    )
    return _rounded(daily.reset_index())


def shop_daily(totals: pd.DataFrame, customers: pd.DataFrame) -> pd.DataFrame:
    """Every day of the calendar, with the customers who bought for the first time."""
    firsts = customers[customers["orders"] > 0].groupby("customer_id")["day"].min().value_counts()
    calendar = pd.date_range(totals["day"].min(), totals["day"].max(), name="day")
    shop = totals.set_index("day").drop(columns=["returned_units"]).reindex(calendar, fill_value=0)
    shop["new_buyers"] = firsts.reindex(calendar, fill_value=0)
    shop["average_order_value"] = shop["gross_revenue"] / shop["orders"].replace(0, np.nan)
    return shop.reset_index()


def customer_features(as_of: pd.Timestamp, daily: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """The state of every customer strictly before as_of."""
    days = daily[daily["day"] < as_of]
    age = (as_of - days["day"]).dt.days
    wide = {"first_seen_date": days["day"], "last_seen_date": days["day"]}
    for column in ("orders", "net_revenue"):
        for window in (30, 90, 180, 365):
            wide[f"{column}_{window}d"] = days[column].where(age <= window, 0)
    wide["orders_year_ago_90d"] = days["orders"].where(age.between(276, 365), 0)
    wide["weekend_orders"] = days["orders"].where(days["day"].dt.weekday >= 5, 0)
    days = days.assign(**wide)
    sums = ["orders", "net_revenue", "gross_revenue", "returned_revenue", "units", "evening_orders"]
    how = {"first_seen_date": "min", "last_seen_date": "max", "country": "last"}
    how |= dict.fromkeys([*sums, *(c for c in wide if c not in how)], "sum")
    features = days.groupby("customer_id").agg(how)
    ordered = days.loc[days["orders"] > 0, ["customer_id", "day"]]
    ordered = ordered.assign(
        previous=ordered.groupby("customer_id")["day"].shift(),
        gap=ordered.groupby("customer_id")["day"].diff().dt.days,
    )
    gaps = ordered.groupby("customer_id").agg(
        order_days=("day", "size"),
        first_order_date=("day", "min"),
        last_order_date=("day", "max"),
        previous_order_date=("previous", "max"),
        mean_gap_days=("gap", "mean"),
        sd_gap_days=("gap", "std"),
    )
    features = features.join(gaps)
    features["distinct_products"] = (
        lines[lines["event_at"] < as_of].groupby("customer_id")["purchase_product"].nunique()
    )
    features = features.fillna({"distinct_products": 0, "order_days": 0})
    features["recency_days"] = (as_of - features["last_order_date"]).dt.days
    features["tenure_days"] = (as_of - features["first_order_date"]).dt.days
    features["previous_order_days"] = (as_of - features["previous_order_date"]).dt.days
    orders = features["orders"].replace(0, np.nan)
    features["average_order_value"] = features["gross_revenue"] / orders
    features["return_rate"] = features["returned_revenue"] / features["gross_revenue"].replace(0, np.nan)
    features["weekend_order_share"] = features["weekend_orders"] / orders
    features["evening_order_share"] = features["evening_orders"] / orders
    features.insert(0, "as_of", as_of)
    dropped = ["previous_order_date", "returned_revenue", "weekend_orders", "evening_orders"]
    return _rounded(features.drop(columns=dropped).reset_index())


def rfm(features: pd.DataFrame, segments: pd.DataFrame) -> pd.DataFrame:
    """Scores and segments of one snapshot."""
    scores = features.loc[
        features["order_days"] > 0, ["as_of", "customer_id", "recency_days", "order_days", "net_revenue"]
    ].rename(columns={"order_days": "frequency", "net_revenue": "monetary"})
    n = len(scores)
    for score, column, ascending in (
        ("r_score", "recency_days", False),
        ("f_score", "frequency", True),
        ("m_score", "monetary", True),
    ):
        worse = scores[column].rank(method="min", ascending=ascending) - 1
        scores[score] = (1 + 5 * worse // n).astype("int64")
    return scores.merge(segments, on=["r_score", "f_score"], how="left")


def _rounded(frame: pd.DataFrame) -> pd.DataFrame:
    """Money to its four decimals: sums of floats are not equal where the amounts are."""
    money = [c for c in frame.columns if "revenue" in c or c == "net_charges"]
    return frame.assign(**{c: frame[c].round(MONEY) for c in money})


def main(path: str, out: str, seeds: str) -> None:
    """Read, clean, roll up, take every weekly snapshot, write Parquet."""
    patterns = pd.read_csv(Path(seeds) / "online_retail_ii_product_codes.csv")["pattern"].tolist()
    segments = pd.read_csv(Path(seeds) / "rfm_segment_map.csv")
    events, rejects, repeats = read_events(path, patterns)
    lines = order_lines(events)
    customers = customer_daily(lines)
    totals = totals_daily(lines)
    tables = {
        "events": events,
        "rejects": rejects,
        "duplicates": pd.DataFrame({"rows": [repeats]}),
        "customer_daily": customers,
        "product_daily": product_daily(lines),
        "totals_daily": totals,
        "shop_daily": shop_daily(totals, customers),
    }
    bought = lines.loc[
        lines["purchase_customer"].notna(), ["event_at", "customer_id", "purchase_product"]
    ].astype({"customer_id": "int64"})
    features, scores = [], []
    for as_of in pd.date_range("2009-12-07", "2011-12-12", freq="7D"):
        features.append(customer_features(as_of, customers, bought))
        scores.append(rfm(features[-1], segments))
    tables["customer_features"] = pd.concat(features, ignore_index=True)
    every = pd.concat(scores, ignore_index=True)
    before = every[["as_of", "customer_id", "segment"]].rename(columns={"segment": "previous_segment"})
    before["as_of"] += 7 * DAY
    tables["rfm_segments"] = every.merge(before, on=["as_of", "customer_id"], how="left")
    Path(out).mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_parquet(Path(out) / f"{name}.parquet", index=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
