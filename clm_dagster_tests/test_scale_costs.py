"""Unit costs of a large shop: fit, prediction and check, the plan from them, and the shops that are measured."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from clm_dagster_tests.benchmarks import scale
from clm_dagster_tests.benchmarks.scale_costs import (
    Check,
    Cost,
    Size,
    check_steps,
    fit,
    fit_steps,
    total,
)
from clm_dagster_tests.benchmarks.scale_plan import Inputs, plan
from clm_dagster_tests.benchmarks.scale_shops import _multiply

SIZES = [Size(1e6, 3e4), Size(1e6, 6e3), Size(4e6, 1.2e5), Size(9e6, 5e4), Size(9e6, 2.7e5)]


def test_a_fit_finds_the_costs_that_made_the_figures_and_predicts_a_hundred_times_the_size() -> None:
    true = Cost(2.0, 0.7, 15.0)
    found = fit(SIZES, [true.at(size) for size in SIZES])
    assert (found.fixed, found.per_million_events, found.per_million_customers) == pytest.approx(
        (2.0, 0.7, 15.0)
    )
    assert found.worst_error == pytest.approx(0, abs=1e-6)
    # By hand: 2 + 0.7 * 100 + 15 * 3.
    assert found.at(Size(1e8, 3e6)) == pytest.approx(117)


def test_noise_moves_a_prediction_by_about_as_much() -> None:
    rng, true = np.random.default_rng(1), Cost(2.0, 0.7, 15.0)
    large, errors = Size(1e8, 3e6), []
    for _ in range(50):
        noisy = [true.at(size) * (1 + 0.05 * rng.normal()) for size in SIZES]
        errors.append(fit(SIZES, noisy).at(large) / true.at(large) - 1)
    assert abs(np.mean(errors)) < 0.03 and np.std(errors) < 0.12


def test_no_part_of_a_cost_is_negative() -> None:
    found = fit(SIZES, [3.0, 3.1, 2.9, 3.0, 2.8])
    assert min(found.fixed, found.per_million_events, found.per_million_customers) >= 0
    assert found.at(Size(1e9, 5e7)) >= 0


def test_sizes_that_grow_together_cannot_be_told_apart() -> None:
    with pytest.raises(ValueError, match="cannot tell events and customers apart"):
        fit([Size(n * 1e6, n * 1e4) for n in (1, 2, 3, 4)], [1.0, 2.0, 3.0, 4.0])
    with pytest.raises(ValueError, match="2 sizes cannot tell"):
        fit(SIZES[:2], [1.0, 2.0])


def test_a_cost_by_customer_needs_two_sizes() -> None:
    true = Cost(4.0, 0.0, 2_500.0)
    found = fit(SIZES[:2], [true.at(size) for size in SIZES[:2]], with_events=False)
    assert (found.fixed, found.per_million_events, found.per_million_customers) == pytest.approx(
        (4, 0, 2_500)
    )
    with pytest.raises(ValueError, match="1 sizes cannot tell"):
        fit(SIZES[:1], [1.0], with_events=False)


def test_steps_add_up_to_their_phase() -> None:
    measured = [{"a": 1 + size.events / 1e6, "b": 20 * size.customers / 1e6} for size in SIZES]
    measured[0].pop("b")
    steps = fit_steps(SIZES, measured)
    size = Size(2e7, 1e6)
    assert total(steps.values()).at(size) == pytest.approx(sum(cost.at(size) for cost in steps.values()))
    checks = check_steps(steps, size, {"a": 21.0, "c": 4.0})
    assert checks["all"].measured == 25.0 and checks["a"].error == pytest.approx(0, abs=1e-6)
    assert Check(11.0, 10.0).error == pytest.approx(0.1)


BUSY = {"day": 32, "snapshot": 32}
INPUTS = Inputs(
    Size(1e9, 5e7), 26, 256.0, 2.0, 0.02, 0.08, 0.1, 1.0, BUSY, 30.0, 4.0, Cost(0, 0, 2_000), 100.0
)


def test_a_plan_by_hand() -> None:
    steps = {
        "day": {"raw.events": Cost(10.0, 3.6, 0.0), "core.customer_daily": Cost(0.0, 1.8, 0.0)},
        "snapshot": {
            "core.customer_features": Cost(0.0, 0.0, 144.0),
            "core.rfm_scores": Cost(0.0, 0.0, 36.0),
        },
    }
    peaks = {"day": Cost(1_000.0, 10.0, 0.0), "snapshot": Cost(1_000.0, 0.0, 6_000.0)}
    found = plan(steps, peaks, Cost(0.0, 100.0, 0.0), Cost(0.0, 0.0, 200.0), INPUTS)
    day, snapshot = found.phases
    # 10 + 5.4 * 1000 seconds; 180 * 50 seconds.
    assert (day.processor_hours, snapshot.processor_hours) == pytest.approx((5_410 / 3_600, 2.5))
    assert day.hours == pytest.approx(5_410 / 3_600 / 32)
    assert day.monthly == pytest.approx(day.hours * 30 * 2.0)
    assert snapshot.monthly == pytest.approx(2.5 / 32 * 4 * 2.0)
    assert day.first[0] == "raw.events" and snapshot.second[0] == "core.rfm_scores"
    assert snapshot.second[1] == pytest.approx(0.5)
    # 100 GB of events, and 26 snapshots of 10 GB.
    assert found.stored_gb == pytest.approx(360) and found.copy_hours == pytest.approx(1.0)
    assert found.storage_monthly == pytest.approx(36.0) and found.catalogue_monthly == pytest.approx(72.0)
    assert found.monthly == pytest.approx(day.monthly + snapshot.monthly + 108.0)
    assert (day.peak_gb, snapshot.peak_gb) == pytest.approx((11, 301)) and not found.fits
    assert plan(steps, peaks, Cost(0, 0, 0), Cost(0, 0, 0), replace(INPUTS, memory_gb=512.0)).fits


def test_prices_and_assumptions_are_read_with_their_sources() -> None:
    found: dict[str, Any] = json.loads(Path(scale.__file__).with_name("scale_inputs.json").read_text())
    inputs = Inputs.read()
    assert inputs.size == Size(1e9, 5e7) and inputs.hourly == found["machine"]["hourly"]
    assert all(found[name]["source"] for name in ("machine", "object_storage", "disk", "catalogue"))


def test_the_stored_measurement_gives_a_plan() -> None:
    found = scale.evaluate(scale.stored(), Inputs.read())
    assert {"day", "snapshot"} <= found["steps"].keys()
    assert found["plan"]["monthly"] > 0 and found["checks"]
    assert all(one["phases"]["day"]["all"]["measured"] > 0 for one in found["checks"])


def test_copies_have_other_customers_orders_and_events_and_keep_the_order_of_time() -> None:
    connection = duckdb.connect()
    connection.execute("create schema raw")
    connection.execute(
        "create table raw.events as select 'e' || i as event_id, "
        "timestamp '2024-01-01' + interval (i) hour as event_at, "
        "case when i % 5 = 0 then null else (100 + i % 7)::varchar end as customer_id, 'o' || (i // 3) as order_id, "
        "1.5 as unit_price from range(20000) as made(i)"
    )
    before = connection.execute(
        "select count(distinct customer_id), sum(unit_price) from raw.events"
    ).fetchall()[0]
    _multiply(connection, "raw.events", "event_at", 4, [])
    distinct = ", ".join(f"count(distinct {name})" for name in ("event_id", "customer_id", "order_id"))
    rows, events, customers, orders, money = connection.execute(
        f"select count(*), {distinct}, sum(unit_price) from raw.events"
    ).fetchall()[0]
    assert (rows, events, customers) == (80_000, 80_000, 4 * before[0])
    assert orders == 4 * 6_667 and money == 4 * before[1]
    assert (
        connection.execute("select count(*) from raw.events where customer_id is null").fetchall()[0][0]
        == 16_000
    )
    days = [row[0] for row in connection.execute("select event_at::date from raw.events").fetchall()]
    # A row is moved by a block of the database at most, 2,048 rows: 86 of the 834 days.
    moved = [abs((day - ordered).days) for day, ordered in zip(days, sorted(days), strict=True)]
    assert max(moved) <= 86
