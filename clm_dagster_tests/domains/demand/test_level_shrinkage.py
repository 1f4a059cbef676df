"""Shrinkage of rare series: between the own level and that of the others, and nothing for series with enough sales."""

import numpy as np

from clm_dagster.domains.demand.level_shrinkage import MANY_SALES, level_factors
from clm_dagster.statistics.forecasting.css import Floats

DAYS = 20


def rare(seed: int, products: int, share: tuple[float, float], spread: float) -> tuple[Floats, Floats]:
    """Draw sales of rare products, and their true levels: a share of days with a sale times a mean size."""
    rng = np.random.default_rng(seed)
    sold, size = rng.uniform(*share, products), 5 * np.exp(rng.normal(0, spread, products))
    values = np.where(
        rng.random((products, DAYS)) < sold[:, None],
        np.exp(rng.normal(np.log(size)[:, None], 0.5, (products, DAYS))),
        0.0,
    )
    some = (values > 0).any(axis=1)
    return values[some], (sold * size * np.exp(0.5**2 / 2))[some]


def shares(values: Floats) -> Floats:
    found: Floats = (values > 0).mean(axis=1)
    return found


def test_shrunk_levels_are_nearer_to_the_true_ones() -> None:
    own_errors, shrunk_errors = [], []
    for seed in range(20):
        values, true = rare(seed, 80, (0.05, 0.3), 0.6)
        own = values.mean(axis=1)
        factors, _ = level_factors(values, shares(values))
        own_errors.append(np.abs(np.log(own / true)).mean())
        shrunk_errors.append(np.abs(np.log(own * factors / true)).mean())
    assert np.mean(shrunk_errors) < 0.9 * np.mean(own_errors)


def test_the_products_together_keep_their_level() -> None:
    values, _ = rare(1, 60, (0.05, 0.3), 1.0)
    factors, _ = level_factors(values, shares(values))
    own = values.mean(axis=1)
    np.testing.assert_allclose((own * factors).sum(), own.sum())


def test_a_single_small_sale_moves_up_and_a_single_large_one_down() -> None:
    values, _ = rare(2, 60, (0.1, 0.2), 0.3)
    values[:2] = 0
    values[0, 5], values[1, 5] = 0.5, 50.0
    factors, sizes = level_factors(values, shares(values))
    assert sizes[0] > 1 > sizes[1]
    assert factors[0] > factors[1]


def test_series_with_enough_sales_or_none_keep_their_level() -> None:
    values, _ = rare(3, 60, (0.05, 0.3), 0.6)
    values[0, :MANY_SALES] = 4.0
    values[1] = 0.0
    factors, sizes = level_factors(values, shares(values))
    assert factors[0] == factors[1] == sizes[0] == sizes[1] == 1
    assert (factors != 1).any()


def test_too_few_products_show_nothing() -> None:
    values, _ = rare(4, 4, (0.2, 0.3), 0.6)
    factors, sizes = level_factors(values, shares(values))
    assert (factors == 1).all()
    assert (sizes == 1).all()
