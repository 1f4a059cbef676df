"""The model that scores a snapshot: the champion as of that snapshot, the one that a user chose, or none."""

import dagster as dg
import pandas as pd
import pytest

from clm_dagster.platform.trained_models.champions import choose

NAME = "models.test"


def models(*rows: tuple[str | None, bool, bool]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["model_version", "accepted", "suspected_leak"])
    return frame.assign(horizon_days=90, said="The reason.", as_of=pd.Timestamp("2024-01-01"))


def test_the_newest_model_that_passed_its_gate_scores() -> None:
    choice = choose(NAME, models(("1", True, False), ("2", True, False), ("3", False, False)), 90, None)
    assert choice.row is not None and choice.row["model_version"] == "2" and choice.message is None


def test_without_a_champion_the_newest_model_scores_with_a_message() -> None:
    choice = choose(NAME, models(("1", False, False), ("2", False, False), ("3", False, True)), 90, None)
    assert choice.row is not None and choice.row["model_version"] == "2"
    assert (
        choice.message
        == "no model had passed its gate by this date; scored by version 2 instead. The reason."
    )


@pytest.mark.parametrize("rows", [(), (("1", False, True),), ((None, False, False),)])
def test_models_with_a_suspected_leak_score_nothing(rows: tuple[tuple[str | None, bool, bool], ...]) -> None:
    choice = choose(NAME, models(*rows), 90, None)
    assert choice.row is None and "there is no usable model of models.test" in str(choice.message)


def test_a_model_of_another_horizon_does_not_count() -> None:
    assert choose(NAME, models(("1", True, False)), 30, None).row is None


def test_the_alias_has_priority() -> None:
    known = models(("1", True, False), ("2", True, False))
    choice = choose(NAME, known, 90, "1")
    assert choice.row is not None and choice.row["model_version"] == "1"
    with pytest.raises(
        dg.Failure, match=r"points at version 7, but the table .* has no such .*\(it has: 1, 2\)"
    ):
        choose(NAME, known, 90, "7")
