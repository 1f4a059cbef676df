"""Shops for tests.

Belongs here: the events of a small made-up shop, a folder with events as a shop, and the folder of the real data. Does
not: fixtures (`conftest`).
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clm_dagster.settings import PROJECT_DIR, Settings, load_settings
from clm_dagster.shop_run import run_shop


def reference_folder() -> Path:
    """Return the folder of the real data; skip the test where it is absent."""
    path = Path(os.environ.get("CLM_REFERENCE_DATA", PROJECT_DIR.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no reference data at {path} (CLM_REFERENCE_DATA)")
    return path


def small_shop_events(seed: int = 0, customers: int = 40, orders: int = 150, days: int = 60) -> pd.DataFrame:
    """Events of a made-up shop from 2024-01-01, as text, in the contract's shape; same seed, same rows."""
    rng = np.random.default_rng(seed)
    rows = []
    start = pd.Timestamp("2024-01-01")
    for order in range(orders):
        at = start + pd.Timedelta(minutes=int(rng.integers(0, days * 24 * 60)))
        guest = rng.random() < 0.15
        customer = "" if guest else f"c{int(rng.integers(customers)):03d}"
        for line in range(int(rng.integers(1, 5))):
            kind = rng.choice(["purchase", "return", "gift", "charge"], p=[0.85, 0.07, 0.03, 0.05])
            rows.append(
                {
                    "event_id": f"o{order:04d}-{line}",
                    "event_at": str(at),
                    "customer_id": customer,
                    "event_type": kind,
                    "order_id": f"o{order:04d}",
                    "product_id": f"p{int(rng.integers(25)):02d}",
                    "quantity": str(int(rng.integers(1, 9))),
                    "unit_price": "0" if kind == "gift" else f"{rng.integers(100, 5000) / 100:.2f}",
                    "currency": "EUR",
                    "country": str(rng.choice(["DE", "FR", "NL"])),
                }
            )
        if rng.random() < 0.5:
            rows.append(
                {
                    "event_id": f"v{order:04d}",
                    "event_at": str(at),
                    "customer_id": customer,
                    "event_type": "visit",
                    "session_id": f"s{order:04d}",
                }
            )
    return pd.DataFrame(rows).fillna("")


def write_shop(root: Path, events: pd.DataFrame, end_date: str) -> Settings:
    """Write events to the inbox of a shop in a folder, from 2024-01-01 to before `end_date`; return its settings."""
    (root / "inbox").mkdir()
    events.to_csv(root / "inbox" / "events.csv", index=False)
    return load_settings(
        source="generic",
        input=str(root / "inbox"),
        data_dir=root / "data",
        start_date="2024-01-01",
        end_date=end_date,
    )


def quiet(title: str, total: int) -> Callable[[str, int], None]:
    """Show no progress of a run."""
    return lambda step, done: None


def run_at(home: Path, settings: Settings) -> None:
    """Run a shop once, with this Dagster home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        run_shop(settings, quiet)
