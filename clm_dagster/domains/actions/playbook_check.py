"""The check that refuses an invalid playbook when it is loaded.

Belongs here: the words that lines may use, read from the other seeds. Does not: the rules for lines (`playbook`).
"""

import csv
from collections.abc import Collection, Sequence
from pathlib import Path

from clm_dagster.domains.actions.playbook import (
    CUSTOM,
    SCORES,
    PlaybookError,
    Words,
    arm_problems,
    playbook_problems,
    read_playbook,
)
from clm_dagster.domains.actions.segment_rules import SegmentRule
from clm_dagster.platform.assets.seed_assets import SeedCheck
from clm_dagster.platform.warehouse import Connection

_TIERS = frozenset({"vip", "regular", "potential", "low"})
_TOUCHES = "staging.stg_touches"
_FIVE = frozenset("12345")


def playbook_check(
    folder: Path, rules: Sequence[SegmentRule], control_arms: Collection[str] = ()
) -> SeedCheck:
    """Return the check. It reads the other seeds from their files, so that the order of loading does not matter.

    control_arms: arms of contacts that were not contacted.
    """

    def check(connection: Connection, relation: str) -> list[str]:
        """Every line names known things, can be met by a customer, and does not contradict another line."""
        try:
            plays = read_playbook((folder / "playbook.csv").read_text())
        except PlaybookError as error:
            return error.problems
        known = _known_arms(connection, folder) if any(play.arm for play in plays) else set()
        return playbook_problems(plays, _words(folder, rules)) + arm_problems(plays, known, control_arms)

    return check


def _known_arms(connection: Connection, folder: Path) -> set[str]:
    """Return the arms of delivered contacts, and those that the seed campaign_arms plans."""
    planned = {row["arm"] for row in _rows(folder / "campaign_arms.csv")}
    if connection.relation_kind(_TOUCHES) is None:
        return planned
    found = connection.execute(f"select distinct arm from {_TOUCHES} where arm is not null")
    return planned | {arm for (arm,) in found}


def _words(folder: Path, rules: Sequence[SegmentRule]) -> Words:
    cells = _rows(folder / "rfm_segment_map.csv")
    return Words(
        allowed={
            "stage": frozenset(row["stage"] for row in _rows(folder / "stage_map.csv")),
            "segment": frozenset(row["segment"] for row in _rows(folder / "rfm_segment_names.csv")),
            "risk_band": frozenset(row["risk_band"] for row in _rows(folder / "risk_bands.csv")),
            "value_tier": _TIERS,
            CUSTOM: frozenset(rule.name for rule in rules),
            **dict.fromkeys(SCORES, _FIVE),
        },
        segment_of={(row["r_score"], row["f_score"]): row["segment"] for row in cells},
    )


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
