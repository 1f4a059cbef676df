"""Comparison of two results of the benchmarks."""

from clm_dagster_tests.benchmarks.regressions import compare


def test_what_is_slower_by_more_than_the_spread_of_both_is_named_first() -> None:
    before = {
        "run": {"run": {"wall": [100.0, 102.0, 98.0], "processor_seconds": [50.0, 50.5, 49.5]}},
        "first": {"ours": {"wall": 20.0, "statements": 900, "peak_mb": 400.0}},
    }
    now = {
        "run": {"run": {"wall": [103.0, 99.0, 101.0], "processor_seconds": [60.0, 60.5, 59.5]}},
        "first": {"ours": {"wall": 24.0, "statements": 5_000, "peak_mb": 900.0}},
    }
    found = compare(before, now)
    assert [change.name for change in found] == ["first/ours/peak_mb", "run/run/processor_seconds"]
    assert [change.is_slower for change in found] == [True, True]
    assert [change.name for change in compare(now, before)] == [
        "run/run/processor_seconds",
        "first/ours/peak_mb",
    ]
    assert not any(change.is_slower for change in compare(now, before))


def test_small_figures_and_figures_of_one_result_are_left_out() -> None:
    before = {"day": {"seconds": 0.01, "peak_mb": 10.0}, "gone": {"seconds": 5.0}, "stages": {"daily": 10.0}}
    now = {"day": {"seconds": 0.4, "peak_mb": 45.0}, "new": {"seconds": 5.0}, "stages": {"daily": 20.0}}
    assert [(change.name, change.ratio) for change in compare(before, now)] == [("stages/daily", 2.0)]
