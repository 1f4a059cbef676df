"""What a channel gets to read: one message for everything that is new.

Belongs here: the order, the counts, the text, the fields for programs. Does not: what is new (`memory`), how it is sent
(`channels`).
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from clm_dagster.platform.alerts.memory import BRIEF, NEW, SOLVED, STILL, WORSE, Notice
from clm_dagster.platform.alerts.problems import ERROR, FAILED_RUN, LEVELS, WARNING
from clm_dagster.settings import Settings

# Chat programs cut or refuse longer texts.
_MOST_ENTRIES, _MOST_TEXT, _MOST_DETAIL, _MOST_LINES = 10, 3_000, 400, 6
_STATES = {
    NEW: "",
    WORSE: ", now worse",
    STILL: ", still there",
    SOLVED: ", solved",
    BRIEF: ", over by now",
}
_BLANKS = re.compile(r"[^\S\n]+")


@dataclass(frozen=True)
class Message:
    """A message. subject: one line. text: all of it for people. fields: all of it for programs, without the text.

    picture: the address of one that belongs to it, or empty.
    """

    subject: str
    text: str
    fields: dict[str, object]
    picture: str = ""

    @property
    def run(self) -> dict[str, str]:
        """The run, where the message is about one failed run only; else empty."""
        names = ("job", "run_id", "partition", "error")
        return {name: str(self.fields[name]) for name in names if name in self.fields}


def message_of(settings: Settings, shop: str, notices: Sequence[Notice]) -> Message:
    """Return the message about everything that is to be sent to a channel, the most severe first."""
    ordered = sorted(notices, key=_rank)
    base = settings.dagster_url.rstrip("/")
    subject = f"clm_dagster {shop}: {_subject(ordered)}"
    entries = list(_shown(settings, base, ordered))
    left = ordered[len(entries) :]
    parts = [subject, *entries]
    if left:
        parts.append(f"... and {len(left)} more: {_counts(left)}\n{base}")
    return Message(subject, "\n\n".join(parts), _fields(settings, shop, base, ordered))


def test_message(settings: Settings, shop: str) -> Message:
    """Return the message by which a person sees that a channel works."""
    subject = f"clm_dagster {shop}: this is a test"
    text = (
        f"{subject}\n\nAlerts of the shop {shop} arrive here: failed runs, failed checks and late data, from the "
        f"severity {settings.alert_level} upwards.\n{settings.dagster_url}"
    )
    return Message(subject, text, {"shop": shop, "level": "test", "counts": {}, "alerts": []})


# pytest takes it for a test where a test imports it.
test_message.__test__ = False  # type: ignore[attr-defined]


def _rank(notice: Notice) -> tuple[int, int, datetime]:
    """Return the place in a message: what is new before reminders, what is over last, errors first."""
    problem, news = notice.episode.problem, notice.news
    group = {NEW: 0, WORSE: 0, BRIEF: 1, STILL: 2, SOLVED: 3}[news]
    return group, -LEVELS.index(problem.level), problem.since


def _subject(notices: Sequence[Notice]) -> str:
    if len(notices) > 1:
        return _counts(notices)
    (notice,) = notices
    return f"{notice.episode.problem.title}{_STATES[notice.news]}"


def _counts(notices: Sequence[Notice]) -> str:
    """Return how many there are of each kind: `2 errors, 1 warning, 3 still there, 1 solved`."""
    kinds: Counter[str] = Counter()
    for notice in notices:
        level, news = notice.episode.problem.level, notice.news
        kinds[level if news in (NEW, WORSE) else _STATES[news].removeprefix(", ")] += 1
    order = (ERROR, WARNING, *(state.removeprefix(", ") for state in _STATES.values()))
    return ", ".join(
        f"{kinds[kind]} {kind}{'s' if kind in LEVELS and kinds[kind] != 1 else ''}"
        for kind in dict.fromkeys(order)
        if kinds[kind]
    )


def _shown(settings: Settings, base: str, notices: Sequence[Notice]) -> Iterator[str]:
    """Return the entries that fit. The first one always does."""
    length = 0
    for notice in notices[:_MOST_ENTRIES]:
        entry = _entry(settings, base, notice)
        length += len(entry)
        if length > _MOST_TEXT and length > len(entry):
            return
        yield entry


def _entry(settings: Settings, base: str, notice: Notice) -> str:
    problem, ended = notice.episode.problem, notice.episode.ended
    since = _time(settings, problem.since)
    if notice.news == SOLVED and ended is not None:
        return f"SOLVED: {problem.title}\nFrom {since} to {_time(settings, ended)}."
    span = f"From {since} to {_time(settings, ended)}." if ended else f"Since {since}."
    lines = [
        f"{problem.level.upper()}{_STATES[notice.news]}: {problem.title}",
        _shortened(problem.detail),
        span,
        "" if ended else f"What to do: {problem.action}",
        f"{base}{problem.path}",
    ]
    return "\n".join(line for line in lines if line)


def _shortened(text: str) -> str:
    """Return the beginning of a text."""
    lines = [line for line in (_BLANKS.sub(" ", line).strip() for line in text.splitlines()) if line]
    short = "\n".join(lines[:_MOST_LINES])
    is_whole = len(lines) <= _MOST_LINES and len(short) <= _MOST_DETAIL
    return short if is_whole else f"{short[:_MOST_DETAIL].rstrip()} ..."


def _time(settings: Settings, instant: datetime) -> str:
    return f"{instant.astimezone(settings.zone):%a %Y-%m-%d %H:%M %Z}"


def _fields(settings: Settings, shop: str, base: str, notices: Sequence[Notice]) -> dict[str, object]:
    """Return everything for programs; the fields of a failed run also at the top, if it is the only entry."""
    open_levels = [n.episode.problem.level for n in notices if n.episode.ended is None]
    (first, *others) = notices
    is_run = first.episode.problem.kind == FAILED_RUN and first.episode.ended is None and not others
    return {
        "shop": shop,
        "level": max(open_levels, key=LEVELS.index) if open_levels else "solved",
        "counts": dict(Counter(notice.news for notice in notices)),
        **(first.episode.problem.fields if is_run else {}),
        "alerts": [_as_dict(base, notice) for notice in notices],
    }


def _as_dict(base: str, notice: Notice) -> dict[str, object]:
    problem, ended = notice.episode.problem, notice.episode.ended
    return {
        "id": notice.episode.name,
        "news": notice.news,
        "kind": problem.kind,
        "level": problem.level,
        "title": problem.title,
        "detail": problem.detail,
        "since": problem.since.isoformat(),
        "ended": ended.isoformat() if ended else None,
        "action": problem.action,
        "url": f"{base}{problem.path}",
        **problem.fields,
    }
