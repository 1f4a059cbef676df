"""CDNOW's sample of 2,357 customers, calibrated to 1997-09-30, with 39 weeks after it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clm_dagster.statistics.btyd import BGNBD, Fit, Summary, Unit, summarise

LAST_DAY = pd.Timestamp("1997-09-30")


@pytest.fixture(scope="session")
def cdnow_transactions(reference_data: Path) -> pd.DataFrame:
    frame = pd.read_parquet(reference_data / "cdnow" / "cdnow_sample.parquet")
    frame["date"] = pd.to_datetime(frame["date"].astype(str), format="%Y%m%d")
    return frame


@pytest.fixture(scope="session")
def cdnow(cdnow_transactions: pd.DataFrame) -> Summary:
    frame = cdnow_transactions
    return summarise(frame["customer_id"], frame["date"], frame["dollar_value"], LAST_DAY, Unit.WEEK)


@pytest.fixture(scope="session")
def cdnow_bgnbd(cdnow: Summary) -> Fit[BGNBD]:
    return BGNBD.fit(cdnow.histories)


@pytest.fixture(scope="session")
def cdnow_holdout(cdnow_transactions: pd.DataFrame, cdnow: Summary) -> np.ndarray:
    """The purchase days of each customer in the 39 weeks after the calibration, in the order of the summary."""
    later = cdnow_transactions[cdnow_transactions["date"] > LAST_DAY]
    days = later.drop_duplicates(["customer_id", "date"]).groupby("customer_id").size()
    return days.reindex(cdnow.customer_id, fill_value=0).to_numpy()
