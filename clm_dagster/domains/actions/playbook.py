"""The playbook: which customers may get which action, edited by people in `seeds/playbook.csv`.

Belongs here: reading its lines, and every reason to refuse one. Does not: matching customers (`candidates`).

A line names an action, a channel and the customers who may get it. An empty cell means any; `|` separates alternatives.
"""

import csv
import difflib
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from clm_dagster.domains.actions.names import ACTIONS, CHANNELS, NOTHING

# The columns that say which customers a line is for, with the column of marts.customer_profiles that each reads.
CONDITIONS = ("stage", "segment", "persona", "risk_band", "value_tier", "r_score", "f_score", "m_score")
SCORES = ("r_score", "f_score", "m_score")
CUSTOM = "custom_segment"
COLUMNS = (
    "play",
    "action",
    *CONDITIONS,
    CUSTOM,
    "channel",
    "cost",
    "discount",
    "expected_effect",
    "cool_down_days",
    "arm",
    "valid_from",
    "valid_to",
)
# What only customers with an order have.
_NEEDS_ORDER = ("segment", "persona", "risk_band", "value_tier", *SCORES)
_PROSPECT = "prospect"


@dataclass(frozen=True)
class Words:
    """The values that a condition may name, by column. A column that is missing here takes any value."""

    allowed: Mapping[str, frozenset[str]]
    # The RFM segment of each (r_score, f_score).
    segment_of: Mapping[tuple[str, str], str]


@dataclass(frozen=True)
class Play:
    """A line of the playbook. conditions: the alternatives of each column that is not empty.

    effect: expected increase of the probability of an order. cost: of one contact, in currency units. discount: share
    of the order that the customer saves. arm: that of the shop's campaigns whose proven effect counts in place of
    `effect`; empty for none. [valid_from, valid_to): the as_ofs at which it may be planned.
    """

    line: int
    play: str
    action: str
    channel: str
    conditions: Mapping[str, tuple[str, ...]]
    cost: float
    discount: float
    effect: float
    cool_down_days: int
    arm: str
    valid_from: date | None
    valid_to: date | None

    def holds_on(self, day: date) -> bool:
        """Whether the line may be planned at an as_of."""
        return (self.valid_from is None or self.valid_from <= day) and (
            self.valid_to is None or day < self.valid_to
        )


class PlaybookError(ValueError):
    """Lines of the playbook that cannot be read. problems: one sentence each, with the line."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


def read_playbook(text: str) -> list[Play]:
    """Return the lines of a playbook file. Raise PlaybookError for every value that cannot be read."""
    reader = csv.reader(io.StringIO(text))
    header = next(reader, [])
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise PlaybookError([f"line 1: the columns {', '.join(missing)} are missing"])
    plays, problems = [], []
    start = reader.line_num + 1
    for row in reader:
        cells = dict.fromkeys(COLUMNS, "") | {
            name: value.strip() for name, value in zip(header, row, strict=False)
        }
        found: list[str] = []
        if any(cells.values()):
            plays.append(_play(start, cells, found))
        problems += [f"line {start}: {problem}" for problem in found]
        start = reader.line_num + 1
    if problems:
        raise PlaybookError(problems)
    return plays


def _play(line: int, cells: Mapping[str, str], problems: list[str]) -> Play:
    conditions = {
        name: tuple(part.strip() for part in cells[name].split("|"))
        for name in (*CONDITIONS, CUSTOM)
        if cells[name]
    }
    return Play(
        line=line,
        play=cells["play"],
        action=cells["action"],
        channel=cells["channel"],
        conditions=conditions,
        cost=_number(cells, "cost", problems, 0, None),
        discount=_number(cells, "discount", problems, 0, 1),
        effect=_number(cells, "expected_effect", problems, -1, 1),
        cool_down_days=int(_number(cells, "cool_down_days", problems, 0, None, whole=True)),
        arm=cells["arm"],
        valid_from=_day(cells, "valid_from", problems),
        valid_to=_day(cells, "valid_to", problems),
    )


def _number(
    cells: Mapping[str, str],
    name: str,
    problems: list[str],
    low: float,
    high: float | None,
    whole: bool = False,
) -> float:
    """Return a number; 0 for an empty cell. Note why a value is none."""
    text = cells[name]
    if not text:
        return 0.0
    kind = "a whole number" if whole else "a number"
    limits = f"{low:g} or more" if high is None else f"{low:g} to {high:g}"
    try:
        value = float(int(text) if whole else float(text))
    except ValueError:
        problems.append(f"{name} is {text!r}; expected {kind}, {limits}")
        return 0.0
    # A comparison with NaN is false.
    if not (low <= value and (high is None or value <= high) and value != float("inf")):
        problems.append(f"{name} is {text}; expected {kind}, {limits}")
    return value


def _day(cells: Mapping[str, str], name: str, problems: list[str]) -> date | None:
    if not cells[name]:
        return None
    try:
        return date.fromisoformat(cells[name])
    except ValueError:
        problems.append(f"{name} is {cells[name]!r}; expected a day such as 2024-06-03")
        return None


def playbook_problems(plays: Sequence[Play], words: Words) -> list[str]:
    """Return every reason to refuse a playbook, one sentence each with the line: unknown names, lines that contradict
    each other or themselves, lines that no customer can meet, and lines that another one always beats.
    """
    problems = [
        f"line {play.line}: {problem}"
        for play in plays
        for problem in (*_unknown(play, words), *_contradictions(play), *_unreachable(play, words))
    ]
    first: dict[str, int] = {}
    for play in plays:
        if play.play in first:
            problems.append(f"line {play.line}: the play {play.play!r} is on line {first[play.play]} already")
        first.setdefault(play.play, play.line)
    return problems + list(_beaten(plays))


def _unknown(play: Play, words: Words) -> Iterator[str]:
    if not play.play:
        yield "the play has no name"
    yield from _not_in("action", [play.action], ACTIONS)
    yield from _not_in("channel", [play.channel] if play.action != NOTHING or play.channel else [], CHANNELS)
    for name, values in play.conditions.items():
        if name in words.allowed:
            yield from _not_in(name, values, words.allowed[name])


def _not_in(name: str, values: Sequence[str], known: Collection[str]) -> Iterator[str]:
    for value in values:
        if value not in known:
            near = difflib.get_close_matches(value, known, 1)
            meant = (
                f"did you mean {near[0]}?"
                if near
                else f"expected one of {', '.join(sorted(known)) or 'none'}"
            )
            yield f"{name} {value!r} is unknown; {meant}"


def arm_problems(plays: Sequence[Play], known: Collection[str], controls: Collection[str]) -> list[str]:
    """Return why the arm of a line cannot have an effect: it is not contacted, or no campaign has it.

    known: arms of delivered contacts and of the seed campaign_arms; empty in a shop that has none yet.
    """
    problems = []
    for play in (play for play in plays if play.arm):
        if play.arm in controls:
            problems.append(
                f"line {play.line}: arm {play.arm!r} is a control arm (CLM_ACTIONS_CONTROL_ARMS), which gets no contact"
            )
        elif known:
            contacted = sorted(set(known) - set(controls))
            problems += [f"line {play.line}: {found}" for found in _not_in("arm", [play.arm], contacted)]
    return problems


def _contradictions(play: Play) -> Iterator[str]:
    if play.valid_from and play.valid_to and play.valid_to <= play.valid_from:
        yield f"valid_to {play.valid_to} is not after valid_from {play.valid_from}; valid_to is exclusive"
    if play.action == NOTHING and (play.cost or play.discount or play.effect):
        yield "the action nothing has no cost, discount or effect"
    for name, values in play.conditions.items():
        if len(set(values)) < len(values):
            yield f"{name} names a value twice: {'|'.join(values)}"


def _unreachable(play: Play, words: Words) -> Iterator[str]:
    """Return why no customer can meet a line."""
    if play.conditions.get("stage") == (_PROSPECT,):
        for name in _NEEDS_ORDER:
            if name in play.conditions:
                yield f"no customer meets it: a prospect has no order, and so no {name}"
                return
    segments = play.conditions.get("segment")
    if segments and words.segment_of:
        recency, frequency = (play.conditions.get(name) for name in ("r_score", "f_score"))
        possible = {
            segment
            for (r, f), segment in words.segment_of.items()
            if (recency is None or r in recency) and (frequency is None or f in frequency)
        }
        if (recency or frequency) and not possible & set(segments):
            yield (
                f"no customer meets it: the segment map gives {', '.join(sorted(possible)) or 'no segment'} to these "
                f"scores, not {' or '.join(segments)}"
            )


def _beaten(plays: Sequence[Play]) -> Iterator[str]:
    """Return lines that repeat or contradict an earlier one, and lines that another one always beats."""
    for play in plays:
        for other in plays:
            if other is play:
                continue
            if _is_same_offer(play, other) and _overlap(play, other):
                if other.line < play.line:
                    terms = (play.cost, play.effect, play.cool_down_days)
                    is_repeated = terms == (other.cost, other.effect, other.cool_down_days)
                    what = "repeats" if is_repeated else "contradicts"
                    yield (
                        f"line {play.line}: it {what} line {other.line}: the same action for the same customers on the "
                        "same days" + ("" if is_repeated else ", with another cost, effect or cool-down")
                    )
            elif _is_never_worse(other, play) and _covers(other, play):
                yield (
                    f"line {play.line}: it is never chosen: line {other.line} has the same action and channel, is for "
                    "all its customers, and is never worse"
                )
                break


def _is_same_offer(one: Play, other: Play) -> bool:
    """Whether two lines are the same action for the same customers."""
    return (one.action, one.channel, one.discount, one.arm, one.conditions) == (
        other.action,
        other.channel,
        other.discount,
        other.arm,
        other.conditions,
    )


def _is_never_worse(other: Play, play: Play) -> bool:
    """Whether a line promises at least as much as another one of the same action and channel. A line with an arm may be
    measured, so that its stated effect does not count.
    """
    return (
        (other.action, other.channel) == (play.action, play.channel)
        and other.effect >= play.effect
        and other.cost <= play.cost
        and other.discount <= play.discount
        and other.cool_down_days <= play.cool_down_days
        and not (other.arm or play.arm)
    )


def _covers(wide: Play, narrow: Play) -> bool:
    """Whether every customer and as_of of a line is one of another line too."""
    starts = wide.valid_from is None or (
        narrow.valid_from is not None and wide.valid_from <= narrow.valid_from
    )
    ends = wide.valid_to is None or (narrow.valid_to is not None and narrow.valid_to <= wide.valid_to)
    return (
        starts
        and ends
        and all(
            name in narrow.conditions and set(narrow.conditions[name]) <= set(values)
            for name, values in wide.conditions.items()
        )
    )


def _overlap(one: Play, other: Play) -> bool:
    """Whether there is a day on which both lines hold."""
    first, last = date.min, date.max
    return max(one.valid_from or first, other.valid_from or first) < min(
        one.valid_to or last, other.valid_to or last
    )
