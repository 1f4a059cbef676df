"""The filters compared with those of scipy."""

import numpy as np
import pytest
from scipy.signal import lfilter

from clm_dagster.statistics.forecasting.filters import Inverse, moving


@pytest.mark.parametrize("size", [1, 3, 200])
@pytest.mark.parametrize("coefficients", [[1.0], [1.0, -0.4], [1.0, 0.2, 0.0, 0.0, -0.3]])
def test_filters_match_scipy(coefficients: list[float], size: int) -> None:
    values = np.random.default_rng(1).normal(size=size)
    given = np.array(coefficients)
    np.testing.assert_allclose(moving(given, values), lfilter(given, [1.0], values), atol=1e-12)
    np.testing.assert_allclose(Inverse(given, size)(values), lfilter([1.0], given, values), atol=1e-12)
