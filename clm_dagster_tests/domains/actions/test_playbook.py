"""The playbook: the shipped one is valid, and every kind of faulty line is named."""

from collections.abc import Callable
from pathlib import Path

import pytest

from clm_dagster.domains.actions.playbook import COLUMNS, PlaybookError, read_playbook
from clm_dagster.domains.actions.playbook_check import playbook_check
from clm_dagster.domains.actions.segment_rules import SegmentRule
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import PROJECT_DIR

SEEDS = PROJECT_DIR / "dbt_like_sql" / "seeds"
HEADER = ",".join(COLUMNS)
RULES = [SegmentRule("undecided_visitors", "text", "orders = 0")]
Problems = Callable[..., list[str]]


def line(**cells: object) -> str:
    usual = {"play": "p", "action": "reminder", "channel": "email", "cost": 1, "expected_effect": 0.01}
    return ",".join(str((usual | cells).get(name, "")) for name in COLUMNS)


@pytest.fixture
def problems(tmp_path: Path, connection: Connection) -> Problems:
    """The problems of a playbook of these lines, beside the shipped seeds."""

    def find(*lines: str) -> list[str]:
        for seed in SEEDS.glob("*.csv"):
            (tmp_path / seed.name).write_text(seed.read_text())
        (tmp_path / "playbook.csv").write_text("\n".join([HEADER, *lines]) + "\n")
        return playbook_check(tmp_path, RULES, ["control"])(connection, "")

    return find


def test_the_shipped_playbook_can_be_followed() -> None:
    assert playbook_check(SEEDS, RULES)(None, "") == []  # type: ignore[arg-type]


def test_an_empty_cell_means_any_and_bars_separate_alternatives(problems: Problems) -> None:
    text = "\n".join(
        [HEADER, line(stage="lost|at_risk", r_score="1|2", valid_from="2024-01-01"), "", line(play="q")]
    )
    first, second = read_playbook(text)
    assert first.conditions == {"stage": ("lost", "at_risk"), "r_score": ("1", "2")}
    assert second.conditions == {} and second.line == 4 and second.effect == 0.01


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"cost": "dear"}, "cost is 'dear'; expected a number, 0 or more"),
        ({"cost": -1}, "cost is -1"),
        ({"cost": "nan"}, "cost is nan"),
        ({"cost": "inf"}, "cost is inf"),
        ({"discount": 1.2}, "discount is 1.2; expected a number, 0 to 1"),
        ({"expected_effect": 2}, "expected_effect is 2; expected a number, -1 to 1"),
        ({"cool_down_days": 1.5}, "cool_down_days is '1.5'; expected a whole number"),
        ({"valid_from": "1.2.2024"}, "valid_from is '1.2.2024'; expected a day such as 2024-06-03"),
    ],
)
def test_a_value_that_cannot_be_read_is_named_with_its_line(cells: dict[str, object], message: str) -> None:
    with pytest.raises(PlaybookError) as refused:
        read_playbook("\n".join([HEADER, line(), line(play="q", **cells)]))
    (problem,) = refused.value.problems
    assert problem.startswith("line 3: ") and message in problem


def test_a_missing_column_is_named() -> None:
    with pytest.raises(PlaybookError, match="line 1: the columns cost, arm are missing"):
        read_playbook(",".join(name for name in COLUMNS if name not in ("cost", "arm")))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"action": "remnder"}, "action 'remnder' is unknown; did you mean reminder?"),
        ({"channel": "fax"}, "channel 'fax' is unknown; expected one of email"),
        ({"stage": "lost|lots"}, "stage 'lots' is unknown; did you mean lost?"),
        ({"segment": "champion"}, "did you mean champions?"),
        ({"risk_band": "huge"}, "risk_band 'huge' is unknown"),
        ({"value_tier": "gold"}, "value_tier 'gold' is unknown"),
        ({"r_score": "6"}, "r_score '6' is unknown"),
        ({"custom_segment": "undecided"}, "did you mean undecided_visitors?"),
        ({"stage": "lost|lost"}, "stage names a value twice"),
        ({"valid_from": "2024-02-01", "valid_to": "2024-02-01"}, "is not after valid_from"),
        ({"action": "nothing", "expected_effect": 0.1}, "the action nothing has no cost"),
        ({"stage": "prospect", "risk_band": "high"}, "a prospect has no order, and so no risk_band"),
        ({"segment": "champions", "r_score": "1|2"}, "the segment map gives at_risk, cant_lose, hibernating"),
        ({"play": ""}, "the play has no name"),
    ],
)
def test_a_line_that_nobody_can_follow_is_refused(
    problems: Problems, cells: dict[str, object], message: str
) -> None:
    found = problems(line(**cells))
    assert len(found) == 1 and found[0].startswith("line 2: ") and message in found[0]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({}, {"play": "p", "stage": "lost", "action": "referral_ask"}, "the play 'p' is on line 2 already"),
        ({}, {"play": "q"}, "it repeats line 2"),
        ({}, {"play": "q", "cost": 2}, "it contradicts line 2"),
        ({}, {"play": "q", "cost": 2, "stage": "lost"}, "it is never chosen: line 2"),
        (
            {"valid_to": "2024-02-01"},
            {"play": "q", "cost": 2, "valid_from": "2024-01-15"},
            "it contradicts line 2",
        ),
    ],
)
def test_lines_that_contradict_or_beat_each_other_are_refused(
    problems: Problems, first: dict[str, object], second: dict[str, object], message: str
) -> None:
    found = problems(line(**first), line(**second))
    assert len(found) == 1 and found[0].startswith("line 3: ") and message in found[0]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"play": "q", "expected_effect": 0.05, "stage": "lost"}),
        ({}, {"play": "q", "channel": "phone"}),
        ({"valid_to": "2024-02-01"}, {"play": "q", "cost": 2, "valid_from": "2024-02-01"}),
        ({"arm": "coupon"}, {"play": "q", "cost": 2, "stage": "lost"}),
        ({"stage": "lost"}, {"play": "q", "cost": 2, "stage": "at_risk"}),
        ({"segment": "champions"}, {"play": "q", "segment": "champions", "f_score": "5", "cost": 0.5}),
    ],
)
def test_lines_that_differ_in_a_way_that_matters_stand_side_by_side(
    problems: Problems, first: dict[str, object], second: dict[str, object]
) -> None:
    assert problems(line(**first), line(**second)) == []


def test_the_arm_of_a_line_is_one_that_was_contacted(problems: Problems, connection: Connection) -> None:
    coupon = line(arm="cuopon", play="other")
    assert problems(line(arm="coupon"), coupon) == []  # nothing is delivered yet
    (control,) = problems(line(arm="control"))
    assert control.startswith("line 2: arm 'control' is a control arm")
    connection.execute("create schema if not exists staging")
    connection.execute(
        "create table staging.stg_touches as from (values ('coupon'), ('control'), (null)) as t(arm)"
    )
    (unknown,) = problems(line(arm="coupon"), coupon)
    assert unknown == "line 3: arm 'cuopon' is unknown; did you mean coupon?"
