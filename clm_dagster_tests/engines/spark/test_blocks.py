"""Scores in blocks on Spark are those of the same functions on pandas."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from clm_dagster.domains.churn import candidates as churn_candidates
from clm_dagster.domains.churn import evaluate as churn_evaluate
from clm_dagster.domains.churn.model import UNCALIBRATED
from clm_dagster.domains.churn.reasons import medians_of
from clm_dagster.domains.value import candidates as value_candidates
from clm_dagster.domains.value import evaluate as value_evaluate
from clm_dagster.domains.value.model import EXPECTED, UNSCALED
from clm_dagster.engines.spark.blocks import BlockError, in_order, score_in_blocks
from clm_dagster_tests.domains.churn import shop as churn_shop
from clm_dagster_tests.domains.value import shop as value_shop

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.slow


def on_spark(spark: "SparkSession", rows: pd.DataFrame, folder: Path) -> "DataFrame":
    """Return rows as Spark reads them, from a Parquet file."""
    path = folder / "customers.parquet"
    rows.to_parquet(path, coerce_timestamps="us", index=False)
    return spark.read.parquet(str(path))


def schema_of(rows: pd.DataFrame) -> str:
    """Return the columns of a result in Spark's notation."""
    names = {"f": "double", "i": "bigint", "b": "boolean", "M": "timestamp_ntz"}
    return ", ".join(f"`{name}` {names.get(kind.kind, 'string')}" for name, kind in rows.dtypes.items())


def check(
    spark: "SparkSession", rows: pd.DataFrame, score: Callable[[pd.DataFrame], pd.DataFrame], folder: Path
) -> pd.DataFrame:
    """Score in blocks and at once, and compare exactly. Return the scores."""
    whole = in_order(score(rows))
    given = on_spark(spark, rows, folder)
    for blocks in (1, 7):
        found = score_in_blocks(given, score, schema_of(whole), blocks).toArrow().to_pandas()
        pd.testing.assert_frame_equal(in_order(found), whole, check_dtype=False, check_exact=True)
    return whole


def test_churn_scores_in_blocks(spark: "SparkSession", tmp_path: Path) -> None:
    """The purchase model, the calibration and the medians are those of all customers; the rest is by customer."""
    first = churn_shop.FIRST_DAY
    shop = churn_shop.Shop.load(churn_shop.simulated_purchases(), first, first + timedelta(days=500), 60)
    features, labels, plan = shop.evaluation(churn_shop.TEST, first, churn_shop.SETTINGS)
    chosen = [one for one in churn_candidates.candidates() if one.name in ("recency", "logistic")]
    model = churn_evaluate.evaluate_candidates(features, labels, plan, churn_shop.SETTINGS, chosen).model
    now = features[(features.as_of == pd.Timestamp(churn_shop.TEST)) & (features.order_days > 0)]
    now = in_order(now)
    purchases = model.purchase_model_of(now)
    measured = check(spark, now, lambda rows: model.measured(rows, purchases), tmp_path)
    calibration = model.calibration_at(measured[UNCALIBRATED].to_numpy(), 0.4)
    medians = medians_of(measured.drop(columns=["customer_id", UNCALIBRATED]))
    scores = check(spark, measured, lambda rows: model.explained(rows, calibration, medians, 3), tmp_path)
    expected = in_order(model.scores(now, 0.4, 3).drop(columns="as_of"))
    pd.testing.assert_frame_equal(scores, expected, check_dtype=False, check_exact=True)
    assert len(scores) > 300


def test_customer_values_in_blocks(spark: "SparkSession", tmp_path: Path) -> None:
    first = value_shop.FIRST_DAY
    shop = churn_shop.Shop.load(value_shop.spending_purchases(), first, first + timedelta(days=500), 60)
    features, labels, plan = value_shop.evaluation_of(shop, value_shop.TEST, first, value_shop.SETTINGS)
    chosen = [one for one in value_candidates.candidates() if one.name in ("btyd", "ridge_sqrt")]
    model = value_evaluate.evaluate_candidates(features, labels, plan, value_shop.SETTINGS, chosen).model
    now = features[(features.as_of == pd.Timestamp(value_shop.TEST)) & (features.order_days > 0)]
    now = in_order(now)
    purchases = model.purchase_model_of(now)
    measured = check(spark, now, lambda rows: model.measured(rows, purchases), tmp_path)
    unscaled, expectation = measured[UNSCALED].to_numpy(), measured[EXPECTED].to_numpy()
    factor = model.factor(unscaled, expectation, purchases, None)
    scores = check(spark, measured, lambda rows: model.valued(rows, factor, None), tmp_path)
    expected = in_order(model.scores(now).drop(columns="as_of"))
    pd.testing.assert_frame_equal(scores[list(expected)], expected, check_dtype=False, check_exact=True)
    assert len(scores) > 300


def test_a_block_needs_the_key_and_a_number(spark: "SparkSession", tmp_path: Path) -> None:
    given = on_spark(spark, pd.DataFrame({"other": ["a"]}), tmp_path)
    with pytest.raises(BlockError, match="no column 'customer_id'; they have other"):
        score_in_blocks(given, lambda rows: rows, "other string", 2)
    with pytest.raises(BlockError, match="at least one block, got 0"):
        score_in_blocks(given, lambda rows: rows, "other string", 0, key="other")
