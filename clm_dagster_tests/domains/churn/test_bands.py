"""Risk bands: the shipped ones are valid, and every kind of invalid band is reported."""

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.churn.bands import risk_band_problems
from clm_dagster.domains.churn.score import band_of
from clm_dagster.settings import PROJECT_DIR


@pytest.fixture
def bands() -> pd.DataFrame:
    return pd.read_csv(PROJECT_DIR / "dbt_like_sql" / "seeds" / "risk_bands.csv")


def test_the_shipped_bands_are_valid(bands: pd.DataFrame) -> None:
    assert risk_band_problems(bands) == []
    found = band_of(np.array([0.0, 0.2999, 0.3, 0.6, 0.79, 0.8, 1.0]), bands)
    assert found.tolist() == ["low", "low", "medium", "high", "high", "very_high", "very_high"]


@pytest.mark.parametrize(
    ("row", "value", "words"),
    [
        (0, 0.1, "lowest band begins at 0.1, expected 0"),
        (1, 1.0, "'medium' begins at 1, expected 0 or more and less than 1"),
        (2, 0.3, "two bands begin at 0.3"),
        (3, np.nan, "lacks its risk_band or its from_probability"),
    ],
)
def test_invalid_bands_are_reported(row: int, value: float, words: str, bands: pd.DataFrame) -> None:
    bands.loc[row, "from_probability"] = value
    assert words in "; ".join(risk_band_problems(bands))


def test_a_name_is_unique(bands: pd.DataFrame) -> None:
    assert "the band 'low' appears more than once" in risk_band_problems(bands.assign(risk_band="low"))[0]
