"""Many random shops: whoever is held out or refuses is never exported, and differences add up to the newest state."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.actions.exports.exporting import Export, Request
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.settings import Settings
from clm_dagster_tests.domains.actions.exports.conftest import InMemory, replace

FIRST = datetime(2024, 6, 3)
# Shops that one warehouse holds: an id names its shop, so they share nothing but the run.
SHOPS, ROUNDS = 100, 4
Actions = dict[str, tuple[str, str]]


@dataclass
class Shops:
    """Random shops, and what may be sent to whom, computed without SQL."""

    seed: int
    consents: dict[str, bool | None] = field(default_factory=dict)
    person_of: dict[str, str] = field(default_factory=dict)
    planned: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        # Where silence is consent, consents may also become unknown, and customers be erased.
        self.assumed = self.seed % 2 == 0
        for shop in range(SHOPS):
            for number in range(int(self.random.integers(1, 9))):
                person = f"s{shop}-c{number}"
                self.consents[person] = True
                if self.random.random() < 0.2:
                    second = f"{person}-second"
                    self.person_of |= {person: person, second: person}
                    self.consents[second] = True

    def withdraw(self) -> None:
        """Let some customers change their consent, on any of their accounts."""
        for customer, consent in list(self.consents.items()):
            if self.random.random() < 0.15:
                choices = [True, False, None] if self.assumed else [not consent]
                self.consents[customer] = choices[int(self.random.integers(len(choices)))]

    def plan(self) -> None:
        """Plan for everybody anew, whatever their consent; the held out are planned, too."""
        arms = ["treated", "treated", "treated", "holdout", "global_holdout"]
        for person in [c for c in self.consents if not c.endswith("-second")]:
            arm = arms[int(self.random.integers(5))]
            action = ["reminder", "win_back_coupon", "nothing"][int(self.random.integers(3))]
            self.planned[person] = (arm, action, f"play {int(self.random.integers(3))}")
        for person in list(self.planned):
            if self.random.random() < 0.1:
                del self.planned[person]

    def accounts(self, person: str) -> Iterator[str]:
        yield person
        if f"{person}-second" in self.person_of:
            yield f"{person}-second"

    def allowed(self) -> Actions:
        """Action and play of everybody who may be contacted."""
        return {
            person: (action, play)
            for person, (arm, action, play) in self.planned.items()
            if arm == "treated"
            and action != "nothing"
            and all(self.consents[account] is not False for account in self.accounts(person))
        }

    def store(self, warehouse: InMemory, as_of: datetime) -> None:
        """Write plan and consents to the warehouse."""
        plans = pd.DataFrame(
            [(c, arm, action, play) for c, (arm, action, play) in self.planned.items()],
            columns=["customer_id", "arm", "action", "play"],
        ).assign(as_of=as_of, channel="email", reason="Why.", expected_gain=1.0)
        known = pd.DataFrame(
            {
                "customer_id": list(self.consents),
                "consent_marketing": pd.array(list(self.consents.values()), "boolean"),
            }
        )
        joined = pd.DataFrame(self.person_of.items(), columns=["customer_id", "person_id"])
        with warehouse.connect("test") as connection:
            replace(connection, "marts.next_best_actions", plans, f"as_of = timestamp '{as_of}'")
            replace(connection, "staging.stg_customers", known)
            replace(connection, "core.customer_identities", joined.assign(as_of=as_of))


def exported(warehouse: InMemory, settings: Settings, out: Path) -> list[dict[str, str]]:
    """Export to a CSV file and return its rows."""
    done = Export(settings, warehouse, Request("csv", out=out), lambda _: None).run()
    rows: list[dict[str, str]] = []
    for name in done.files:
        with (out / name).open(newline="") as file:
            rows += csv.DictReader(file)
    assert sum(done.counts.values()) == len(rows)
    return rows


def check_shops(project: Project, settings: Settings, out: Path, seed: int) -> int:
    """Export some rounds of plans and withdrawals of random shops. Return the number of exported rows."""
    shops = Shops(seed)
    warehouse = InMemory.open(project, "assumed" if shops.assumed else "stated")
    if shops.assumed:
        settings = settings.replace(actions_consent="assumed")
    state: Actions = {}
    count = 0
    for round_ in range(ROUNDS):
        if round_ % 2 == 0:
            # As in the plan itself, those who refuse are not planned for; they may refuse afterwards.
            shops.plan()
        shops.withdraw() if round_ else None
        shops.store(warehouse, FIRST + timedelta(weeks=round_ // 2))
        allowed, rows = shops.allowed(), exported(warehouse, settings, out)
        count += len(rows)
        left = set()
        for row in rows:
            customer, kind = row["customer_id"], row["operation"]
            assert (kind == "add") == (customer not in state)
            if kind == "remove":
                left.add(customer)
                del state[customer]
            else:
                assert customer in allowed  # neither held out nor without consent
                assert state.get(customer) != (row["action"], row["play"])
                state[customer] = (row["action"], row["play"])
        assert not left & set(allowed)
        assert state == allowed
        assert exported(warehouse, settings, out) == []
    return count


def test_some_random_shops(project: Project, settings: Settings, tmp_path: Path) -> None:
    assert sum(check_shops(project, settings, tmp_path, seed) for seed in range(4)) > 1_000


@pytest.mark.slow
def test_ten_thousand_random_shops(project: Project, settings: Settings, tmp_path: Path) -> None:
    assert sum(check_shops(project, settings, tmp_path, seed) for seed in range(100, 200)) > 30_000
