"""The memory of alerts, with any sequence of problems and outages: nothing is lost, nothing is sent twice."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from clm_dagster.platform.alerts.memory import Memory
from clm_dagster.platform.alerts.problems import Findings, Problem

START = datetime(2024, 1, 1, tzinfo=UTC)
CHANNELS = ("a", "b")
# Which of three problems are there (0 no, 1 a warning, 2 an error), and which channels take messages.
LOOK = st.tuples(st.lists(st.integers(0, 2), min_size=3, max_size=3), st.tuples(st.booleans(), st.booleans()))


def problem(number: int, level: int, since: datetime) -> Problem:
    return Problem(
        f"p{number}", "failed_check", ("", "warning", "error")[level], "t", "d", since, "a", "/", "run"
    )


@given(st.lists(LOOK, max_size=30))
def test_every_episode_is_told_exactly_once_to_each_channel(
    looks: list[tuple[list[int], tuple[bool, bool]]],
) -> None:
    memory, now = Memory(), START
    heard: dict[str, list[tuple[str, str]]] = {name: [] for name in CHANNELS}
    expected = 0
    before = [0, 0, 0]
    for levels, working in [*looks, ([0, 0, 0], (True, True))]:
        now += timedelta(hours=1)
        expected += sum(level > 0 and not old for level, old in zip(levels, before, strict=True))
        before = levels
        memory.register(CHANNELS)
        memory.learn(Findings([problem(n, level, now) for n, level in enumerate(levels) if level]), now)
        for name, works in zip(CHANNELS, working, strict=True):
            notices = memory.due(name, now, timedelta(0))
            if works and notices:
                heard[name] += [(notice.episode.name, notice.news) for notice in notices]
                memory.mark(name, notices, now)
        memory.forget(now)
    assert memory.episodes == [] and memory.channels == {"a": {}, "b": {}}
    for sent in heard.values():
        by_episode: dict[str, list[str]] = {}
        for name, news in sent:
            by_episode.setdefault(name, []).append(news)
        assert len(by_episode) == expected
        for found in by_episode.values():
            assert found in (["brief"], ["new", "solved"], ["new", "worse", "solved"])


def test_it_is_the_same_after_it_was_stored(tmp_path: Path) -> None:
    memory = Memory()
    memory.register(CHANNELS)
    memory.learn(Findings([problem(1, 1, START), problem(2, 2, START)]), START)
    memory.mark("a", memory.due("a", START, timedelta(0)), START)
    memory.fail("b", "answered 500", START)
    memory.learn(
        Findings([problem(1, 2, START)], [(problem(3, 1, START), START)]), START + timedelta(hours=1)
    )
    memory.write(tmp_path / "alerts.json")
    assert Memory.read(tmp_path / "alerts.json") == memory
    assert Memory.read(tmp_path / "none.json") == Memory()


def test_a_new_channel_hears_what_is_wrong_now_and_nothing_of_the_past() -> None:
    memory = Memory()
    memory.register(["a"])
    memory.learn(Findings([problem(1, 1, START), problem(2, 1, START)]), START)
    memory.learn(Findings([problem(2, 1, START)]), START + timedelta(hours=1))
    memory.register(["b"])
    assert [n.episode.problem.key for n in memory.due("b", START, timedelta(0))] == ["p2"]
    assert list(memory.channels) == ["b"]


def test_a_channel_that_never_comes_back_does_not_fill_the_memory() -> None:
    memory, now = Memory(), START
    memory.register(["dead"])
    for day in range(40):
        now += timedelta(days=1)
        memory.learn(Findings([problem(1, 1, now)] if day % 2 else []), now)
        memory.forget(now)
    assert len(memory.episodes) <= 8
