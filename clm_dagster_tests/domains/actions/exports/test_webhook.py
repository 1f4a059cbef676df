"""Exports to a server that fails at random, and by processes that are killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from clm_dagster.domains.actions.exports import exporting, webhook
from clm_dagster.domains.actions.exports.errors import ExportError
from clm_dagster.domains.actions.exports.webhook import Webhook
from clm_dagster.platform.secrets import UnknownNameError
from clm_dagster.settings import PROJECT_DIR
from clm_dagster_tests.domains.actions.exports.conftest import PLAN, PlannedShop
from clm_dagster_tests.domains.actions.exports.receiver import Receiver, receiving

NEXT = date(2024, 6, 10)
FIELDS = {name: value for name, value in PLAN.items() if name != "arm"}


def post_until_done(shop: PlannedShop, url: str, runs: int = 60) -> int:
    """Export until a run succeeds; return the number of runs."""
    for run in range(1, runs + 1):
        try:
            shop.export("webhook", url=url)
        except ExportError as error:
            assert "did not acknowledge" in str(error)
        else:
            return run
    raise AssertionError(f"no success in {runs} runs")


def assert_exactly_once(shop: PlannedShop, receiver: Receiver) -> None:
    """Every row of the ledger was acted on once, and a batch had the same body whenever it was posted."""
    sent = shop.rows("select batch_id || ':' || row_hash from raw.action_exports where state = 'sent'")
    assert sorted(receiver.acted) == sorted(key for (key,) in sent)
    assert all(len(set(bodies)) == 1 for bodies in receiver.bodies.values())
    assert shop.rows("select count(*) from raw.action_exports where state = 'planned'") == [(0,)]


def test_batches_with_keys_in_header_and_body(shop: PlannedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.plan("a", "b", "c")
    shop.consents(a=True, b=True, c=True)
    monkeypatch.setenv("HOOK_TOKEN", "t0psecret")
    with receiving() as receiver:
        url = f"{receiver.url}?token=${{HOOK_TOKEN}}"
        done = shop.export("webhook", url=url)
        assert (done.batches, done.counts["add"], done.folder) == (2, 3, "127.0.0.1")
        assert receiver.paths == {"/hook?token=t0psecret"}
        assert receiver.state() == dict.fromkeys("abc", FIELDS)
        assert_exactly_once(shop, receiver)
        # The same receiver after its token was renewed.
        monkeypatch.setenv("HOOK_TOKEN", "another")
        assert shop.export("webhook", url=url).batches == 0
        # Another receiver has got nothing yet.
        assert shop.export("webhook", url=receiver.url).batches == 2
    assert "t0psecret" not in str(shop.rows("select * from raw.action_exports"))


@pytest.mark.parametrize("seed", range(2))
def test_a_server_that_fails_at_random_acts_exactly_once(shop: PlannedShop, seed: int) -> None:
    names = [f"c{number:02d}" for number in range(9)]
    chosen = random.Random(seed)
    shop.settings = shop.settings.replace(actions_webhook_timeout=0.1, actions_webhook_attempts=3)
    with receiving(seed, hang=0.25) as receiver:
        for week in range(3):
            known = {name: chosen.random() < 0.8 for name in names}
            sent = {name: {**PLAN, "play": chosen.choice("pq")} for name in names if chosen.random() < 0.7}
            shop.consents(**known)
            shop.plan(
                *({"customer_id": name, **row} for name, row in sent.items()), day=date(2024, 6, 3 + 7 * week)
            )
            post_until_done(shop, receiver.url)
            assert {name: row["play"] for name, row in receiver.state().items()} == {
                name: row["play"] for name, row in sent.items() if known[name]
            }
        time.sleep(receiver.hang)
        assert_exactly_once(shop, receiver)
        assert len(set(receiver.faults)) > 5


class Killed(BaseException):
    pass


@pytest.mark.parametrize("has_arrived", [False, True])
def test_a_batch_whose_answer_was_lost_is_sent_again_without_those_who_withdrew(
    shop: PlannedShop, monkeypatch: pytest.MonkeyPatch, has_arrived: bool
) -> None:
    shop.plan("a", "b", "c")
    shop.consents(a=True, b=True, c=True)
    with receiving() as receiver:
        with monkeypatch.context() as patch:
            original = webhook.post

            def killed(*given: Any) -> None:
                if has_arrived:
                    original(*given)
                raise Killed

            patch.setattr(exporting, "post", killed)
            with pytest.raises(Killed):
                shop.export("webhook", url=receiver.url)
        assert [row[2:] for row in shop.ledger()] == [("a", "add", "planned"), ("b", "add", "planned")]
        first = set(receiver.acted)
        assert len(first) == (2 if has_arrived else 0)
        shop.consents(a=True, b=False, c=True)
        shop.export("webhook", url=receiver.url)
        rows = list(receiver.acted.values())
        assert set(receiver.state()) == {"a", "c"}
        # b is acted on only if the batch had arrived before the withdrawal, and is removed in any case.
        found = [row["operation"] for row in rows if row["customer_id"] == "b"]
        assert found == (["add", "remove"] if has_arrived else ["remove"])
        assert [row["operation"] for row in rows if row["customer_id"] == "a"] == ["add"]
        assert shop.export("webhook", url=receiver.url).batches == 0


def test_a_refused_batch_is_kept_and_is_not_posted_twice_in_a_run(shop: PlannedShop) -> None:
    shop.plan("a")
    shop.consents(a=True)
    with receiving() as receiver:
        for status in (400, 302):
            receiver.status = status
            with pytest.raises(
                ExportError, match=f"127.0.0.1 refused batch .* with status {status}; check the URL"
            ):
                shop.export("webhook", url=receiver.url)
        assert len(receiver.faults) == 2
        receiver.status = None
        assert shop.export("webhook", url=receiver.url).counts["add"] == 1
        assert_exactly_once(shop, receiver)


def test_a_server_that_is_down_is_named_without_the_url(shop: PlannedShop) -> None:
    shop.plan("a")
    shop.consents(a=True)
    with receiving() as receiver:
        url = receiver.url
    with pytest.raises(
        ExportError, match=r"127\.0\.0\.1 did not acknowledge batch .* in 6 attempts"
    ) as caught:
        shop.export("webhook", url=f"{url}?token=t0psecret")
    assert "ConnectionRefusedError" in str(caught.value) and "t0psecret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (None, "needs a URL; give --url"),
        ("ftp://x.example/t0psecret", "is no address of a web server"),
        ("t0psecret", "is no address of a web server"),
        ("https://[t0psecret", "is no address of a web server"),
        ("https://me:t0psecret@x.example/", "has a user name or password"),
    ],
)
def test_wrong_urls_are_refused_without_showing_them(url: str | None, message: str) -> None:
    with pytest.raises(ExportError, match=message) as caught:
        Webhook.of(url, 1, 1, 1)
    assert "t0psecret" not in str(caught.value)


def test_a_variable_without_a_value_is_named() -> None:
    with pytest.raises(UnknownNameError, match="the environment variable NOT_SET_ANYWHERE is not set"):
        Webhook.of("https://x.example/${NOT_SET_ANYWHERE}", 1, 1, 1)


# ------------------------------------------------------------------------------------- slow


@pytest.mark.slow
def test_commands_that_are_killed_and_run_again_act_exactly_once(shop: PlannedShop, tmp_path: Path) -> None:
    """`clm export actions` gets SIGKILL at random moments while the server fails at random, until it succeeds."""
    names = [f"c{number:03d}" for number in range(40)]
    shop.plan(*names)
    shop.consents(**dict.fromkeys(names, True))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CLM_", "DAGSTER_HOME"))}
    settings = {
        "CLM_DATA_DIR": str(shop.settings.data_dir),
        "CLM_SOURCE": "generic",
        "CLM_ACTIONS_WEBHOOK_ROWS": "3",
        "CLM_ACTIONS_WEBHOOK_TIMEOUT": "0.4",
        "CLM_ACTIONS_WEBHOOK_WAIT": "0.05",
        "CLM_ACTIONS_WEBHOOK_ATTEMPTS": "4",
    }
    chosen, killed = random.Random(7), 0
    with receiving(seed=7, hang=0.8) as receiver:
        command = [
            sys.executable, "-c", "from clm_dagster.cli import main; main()",
            "export", "actions", "--to", "webhook", "--url", receiver.url,
        ]  # fmt: skip
        for _ in range(40):
            posted = len(receiver.faults)
            process = subprocess.Popen(
                command,
                cwd=tmp_path,
                env=kept | settings | {"PYTHONPATH": str(PROJECT_DIR)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            # Some requests after the first one, somewhere between planning, sending and noting.
            limit = chosen.choice([1, 2, 3, 5, None])
            while limit and process.poll() is None and len(receiver.faults) < posted + limit:
                time.sleep(0.01)
            if limit and process.poll() is None:
                time.sleep(chosen.random() * 0.3)
                process.send_signal(signal.SIGKILL)
                killed += 1
            output, _ = process.communicate(timeout=120)
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL or "did not acknowledge" in " ".join(output.split())
        else:
            pytest.fail("no run succeeded")
        time.sleep(receiver.hang)
        assert killed >= 3
        assert receiver.state() == dict.fromkeys(names, FIELDS)
        assert_exactly_once(shop, receiver)
        assert all(json.loads(bodies[0])["rows"] for bodies in receiver.bodies.values())
