"""What serves a snapshot: the champion as of that snapshot, the model that a user chose, or the naive baseline."""

import pandas as pd
import pytest

from clm_dagster.platform.trained_models.champions import choose, row_without_model

NAME = "models.test"


def models(*rows: tuple[str | None, bool, bool]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["model_version", "accepted", "suspected_leak"])
    return frame.assign(horizon_days=90, said="The reason.", as_of=pd.Timestamp("2024-01-01"))


def version(row: pd.Series | None) -> str | None:
    return None if row is None else str(row["model_version"])


def test_the_newest_model_that_passed_its_gate_serves() -> None:
    choice = choose(NAME, models(("1", True, False), ("2", True, False), ("3", False, False)), 90, None)
    assert (version(choice.row), choice.message, choice.is_baseline) == ("2", None, False)


def test_without_a_champion_the_baseline_of_the_newest_training_serves() -> None:
    choice = choose(NAME, models(("1", False, False), ("2", False, False), ("3", False, True)), 90, None)
    assert choice.is_baseline and version(choice.row) == "2"
    assert choice.message == "No training of models.test had passed its gate by this date. The reason."


def test_a_setting_lets_the_newest_refused_model_serve_and_says_so() -> None:
    known = models(("1", False, False), ("2", False, False), ("3", False, True))
    choice = choose(NAME, known, 90, None, serve_refused=True)
    assert not choice.is_baseline and version(choice.row) == "2"
    assert choice.message == (
        "CLM_SERVE_REFUSED_MODELS is on: version 2 of models.test serves although it did not pass its gate. The reason."
    )
    accepted = choose(NAME, models(("1", True, False), ("2", False, False)), 90, None, serve_refused=True)
    assert version(accepted.row) == "1" and accepted.message is None


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ((), "was not trained by this date"),
        ((("1", False, True),), "has a suspected leak"),
        (((None, False, False),), "No model of models.test has a horizon of 90 days"),
    ],
)
@pytest.mark.parametrize("serve_refused", [False, True])
def test_without_a_usable_training_the_baseline_has_nothing_fitted(
    rows: tuple[tuple[str | None, bool, bool], ...], reason: str, serve_refused: bool
) -> None:
    choice = choose(NAME, models(*rows), 90, None, serve_refused=serve_refused)
    assert choice.is_baseline and choice.row is None and choice.version == "none"
    assert reason in str(choice.message)


def test_a_model_of_another_horizon_does_not_count() -> None:
    choice = choose(NAME, models(("1", True, False)), 30, None)
    assert choice.row is None and "has a horizon of 30 days" in str(choice.message)


def test_the_alias_has_priority() -> None:
    known = models(("1", True, False), ("2", True, False))
    choice = choose(NAME, known, 90, "1")
    assert version(choice.row) == "1" and choice.message is None


def test_an_alias_on_a_refused_model_serves_and_says_so() -> None:
    choice = choose(NAME, models(("1", True, False), ("2", False, False)), 90, "2")
    assert version(choice.row) == "2" and not choice.is_baseline
    assert "was moved to version 2, which did not pass its gate" in str(choice.message)


def test_an_alias_on_a_replaced_training_is_ignored_and_says_so() -> None:
    """After a change of the horizon, the training that the alias points at is no longer in the table."""
    choice = choose(NAME, models(("8", False, False)), 90, "7")
    assert choice.is_baseline and version(choice.row) == "8"
    text = str(choice.message)
    assert "points at version 7, but the table models.test has no such version" in text and "has: 8)" in text
    assert "No training of models.test had passed its gate" in text
    accepted = choose(NAME, models(("8", True, False)), 90, "7")
    assert version(accepted.row) == "8" and "so the alias is ignored" in str(accepted.message)


def test_each_part_has_its_own_champion() -> None:
    known = models(("1", True, False), ("2", True, False)).assign(
        accepted_day=[True, False], accepted_week=[False, True]
    )
    assert version(choose(NAME, known, 90, None, "day").row) == "1"
    assert version(choose(NAME, known, 90, None, "week").row) == "2"
    # The alias is on version 2, which passed for weeks only: days keep their older champion.
    assert version(choose(NAME, known, 90, "2", "day").row) == "1"
    only_weeks = choose(NAME, known.tail(1), 90, "2", "day")
    assert only_weeks.is_baseline and "models.test for day" in str(only_weeks.message)


def test_a_training_that_was_not_possible_passes_no_part() -> None:
    columns = ["model_name", "model_version", "accepted", "accepted_day", "horizon_days", "said"]
    row = row_without_model(NAME, columns, "2024-01-01", 90, "too young.", has_model=False).iloc[0]
    assert not row["accepted"] and row["accepted_day"] is not None and not row["accepted_day"]
