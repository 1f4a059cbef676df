"""Batches of networks: never more rows than there are, so that scikit-learn has nothing to warn of."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from clm_dagster.statistics.networks import fit_batches


@pytest.mark.parametrize(("rows", "batch"), [(40, 40), (600, 512)])
def test_a_network_is_fitted_without_a_warning(rows: int, batch: int) -> None:
    x = np.random.default_rng(0).normal(size=(rows, 2))
    network = MLPRegressor(
        hidden_layer_sizes=(2,), solver="adam", batch_size=512, max_iter=3, tol=0.0, random_state=0
    )
    pipeline = Pipeline([("scale", StandardScaler()), ("model", network)])
    fit_batches(pipeline, rows, 512)
    assert network.batch_size == batch
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        pipeline.fit(x, x[:, 0])
    assert not [warning for warning in raised if "batch_size" in str(warning.message)]
    # A refit on more rows gets larger batches again.
    fit_batches(pipeline, 1_000, 512)
    assert network.batch_size == 512


def test_other_estimators_are_left_as_they_are() -> None:
    model = LinearRegression()
    before = model.get_params()
    fit_batches(model, 10, 512)
    assert model.get_params() == before
