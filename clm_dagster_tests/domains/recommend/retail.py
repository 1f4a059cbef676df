"""Purchase lines of Online Retail II as counted in the published figures.

Belongs here: one reading of the files, for tests and benchmarks. Does not: the package's adapters.
"""

from pathlib import Path

import pandas as pd


def retail_lines(reference_data: Path) -> pd.DataFrame:
    """Return purchases of known customers, of product codes with five digits and optional letters after them.

    customer_id, product_id, day, quantity, order_id, name; a row for each distinct line of the two years.
    """
    parts = [
        pd.read_parquet(reference_data / "online_retail_ii" / f"year_{y}.parquet")
        for y in ("2009_2010", "2010_2011")
    ]
    raw = pd.concat(parts, ignore_index=True).drop_duplicates()
    raw.columns = [c.lower().replace(" ", "_") for c in raw.columns]
    raw = raw.rename(columns={"customer_id": "customer"})
    code = raw["stockcode"].astype(str).str.upper()
    invoice = raw["invoice"].astype(str)
    keep = (
        raw["customer"].notna()
        & (raw["quantity"] > 0)
        & (raw["price"] > 0)
        & ~invoice.str.startswith("C")
        & code.str.fullmatch(r"\d{5}[A-Z]*")
    )
    return pd.DataFrame(
        {
            "customer_id": raw["customer"].astype("Int64").astype(str),
            "product_id": code,
            "day": pd.to_datetime(raw["invoicedate"]).dt.normalize(),
            "quantity": raw["quantity"],
            "order_id": invoice,
            "name": raw["description"],
        }
    )[keep].reset_index(drop=True)


def retail_names(lines: pd.DataFrame) -> pd.DataFrame:
    """product_id and its most frequent name."""
    return lines.groupby("product_id")["name"].agg(lambda s: s.value_counts().index[0]).reset_index()
