"""The scorecard of personas, against scikit-learn and a random assignment."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.warehouse import Connection
from clm_dagster_tests.scorecards import AS_OF, LATER, TRAINED, graded

CARD = "persona_scorecard"
MODEL = pd.DataFrame(
    [{"as_of": TRAINED, "model_name": "models.persona_model", "model_version": "2", "stability": 0.9}]
)


def personas(as_of: datetime, assigned: dict[str, str], version: str = "2") -> pd.DataFrame:
    return pd.DataFrame({"customer_id": list(assigned), "persona_id": list(assigned.values())}).assign(
        as_of=as_of, model_name="models.persona_model", model_version=version, model_as_of=TRAINED
    )


def moved(count: int = 60) -> tuple[dict[str, str], dict[str, str]]:
    """Personas at two snapshots: some customers move, one leaves, one is new, one persona is new."""
    rng = np.random.default_rng(5)
    before = {f"c{n}": f"p{rng.integers(1, 4)}" for n in range(count)}
    after = {
        name: persona if rng.random() < 0.7 else f"p{rng.integers(1, 5)}" for name, persona in before.items()
    }
    del after["c0"]
    return before, after | {"new": "p1"}


def test_kept_share_and_index_are_those_of_other_libraries(connection: Connection, project: Project) -> None:
    before, after = moved()
    # The first snapshot at least 90 days later counts; earlier and later ones do not.
    frames = [
        personas(AS_OF, before),
        personas(AS_OF + timedelta(days=84), before, "3"),
        personas(LATER, after, "3"),
        personas(LATER + timedelta(days=7), before, "3"),
    ]
    card = graded(
        connection, project, CARD, {"marts.personas": pd.concat(frames), "models.persona_model": MODEL}
    )
    both = pd.DataFrame({"before": before, "after": after}).dropna()
    kept = float((both["before"] == both["after"]).mean())
    index = adjusted_rand_score(both["before"], both["after"])
    assert card["value"].to_dict() == pytest.approx({"adjusted_rand_index": index, "share_kept": kept})
    assert set(card["labelled"]) == {len(both)} and set(card["customers"]) == {60}
    rng = np.random.default_rng(1)
    shuffled = [rng.permutation(both["after"]) for _ in range(3000)]
    by_chance = np.mean([(both["before"].to_numpy() == each).mean() for each in shuffled])
    assert card["baseline"]["share_kept"] == pytest.approx(by_chance, abs=0.005)
    assert card["baseline"]["adjusted_rand_index"] == 0
    assert card["promised"]["adjusted_rand_index"] == 0.9 and np.isnan(card["promised"]["share_kept"])
    assert set(card["horizon_days"]) == {90} and set(card["weeks_since_training"]) == {9}


def test_without_a_later_snapshot_there_is_no_value(connection: Connection, project: Project) -> None:
    before, _ = moved()
    frames = [personas(AS_OF, before), personas(AS_OF + timedelta(days=84), before)]
    card = graded(
        connection, project, CARD, {"marts.personas": pd.concat(frames), "models.persona_model": MODEL}
    )
    assert len(card) == 2 and card[["value", "baseline"]].isna().all(axis=None)
    assert set(card["labelled"]) == {0}


@pytest.mark.parametrize("count", [1, 5])
def test_one_persona_for_all_is_kept_by_all(connection: Connection, project: Project, count: int) -> None:
    same = {f"c{number}": "p1" for number in range(count)}
    frames = [personas(AS_OF, same), personas(LATER, same)]
    card = graded(
        connection, project, CARD, {"marts.personas": pd.concat(frames), "models.persona_model": MODEL}
    )
    assert card["value"].to_dict() == {"adjusted_rand_index": 1, "share_kept": 1}
    assert card["baseline"]["share_kept"] == 1


def test_personas_that_nobody_keeps(connection: Connection, project: Project) -> None:
    before = {f"c{number}": f"p{number % 2}" for number in range(10)}
    after = {name: f"q{persona}" for name, persona in before.items()}
    frames = [personas(AS_OF, before), personas(LATER, after)]
    card = graded(
        connection, project, CARD, {"marts.personas": pd.concat(frames), "models.persona_model": MODEL}
    )
    assert card["value"].to_dict() == pytest.approx({"adjusted_rand_index": 1, "share_kept": 0})
    assert card["baseline"]["share_kept"] == 0
