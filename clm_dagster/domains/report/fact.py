"""A fact, and the comparisons that it is made of.

Belongs here: the shape of a fact, whether a change may be told. Does not: facts of a topic (`*_facts`), the choice of
headlines (`choosing`).
"""

from dataclasses import dataclass

from clm_dagster.domains.report.names import CHARTS, COUNT, MONEY, SECTIONS, SHARE, UNITS
from clm_dagster.domains.report.sentences import Count, Money, Percent, Piece, Points, Said

# What counts fully as a headline: a change of three times its noise, and of a quarter of the value before.
_MOST_TIMES, _LARGE = 3.0, 0.25


@dataclass(frozen=True)
class Compared:
    """A value beside those of earlier weeks; None where there is no such week.

    noise_week, noise_4_weeks: how far it moves from them without a reason; None where nothing says so. unknown: why
    nothing does, the name of a phrase.
    """

    value: float
    week_ago: float | None = None
    four_weeks_ago: float | None = None
    noise_week: float | None = None
    noise_4_weeks: float | None = None
    unknown: str = "short"

    @property
    def change_week(self) -> float | None:
        """The change since a week ago."""
        return None if self.week_ago is None else self.value - self.week_ago

    @property
    def change_4_weeks(self) -> float | None:
        """The change since four weeks ago."""
        return None if self.four_weeks_ago is None else self.value - self.four_weeks_ago

    @property
    def is_change_week(self) -> bool | None:
        """Whether the change since a week ago may be told as one; None where nothing says so."""
        return _is_change(self.change_week, self.noise_week)

    @property
    def is_change_4_weeks(self) -> bool | None:
        """Whether the change since four weeks ago may be told as one; None where nothing says so."""
        return _is_change(self.change_4_weeks, self.noise_4_weeks)

    @property
    def low(self) -> float | None:
        """The lower end of where the value lies if nothing has changed since a week ago."""
        return None if self.week_ago is None or self.noise_week is None else self.week_ago - self.noise_week

    @property
    def high(self) -> float | None:
        """The upper end of that range."""
        return None if self.week_ago is None or self.noise_week is None else self.week_ago + self.noise_week

    @property
    def strength(self) -> float:
        """How much of a change it is: how many times its noise (0 within it, at most 3), times its size.

        The size is the change as a share of the value before, where a quarter and more counts as 1.
        """
        pairs = (
            (self.week_ago, self.change_week, self.noise_week),
            (self.four_weeks_ago, self.change_4_weeks, self.noise_4_weeks),
        )
        return max(_strength(*pair) for pair in pairs)

    @property
    def strength_week(self) -> float:
        """How much of a change it is since a week ago."""
        return _strength(self.week_ago, self.change_week, self.noise_week)


def _is_change(change: float | None, noise: float | None) -> bool | None:
    if change is None or noise is None:
        return None
    return abs(change) > noise


def _strength(before: float | None, change: float | None, noise: float | None) -> float:
    if before is None or change is None or noise is None or abs(change) <= noise:
        return 0.0
    times = min(_MOST_TIMES, abs(change) / noise) if noise else _MOST_TIMES
    return times * (min(1.0, abs(change) / abs(before) / _LARGE) if before else 1.0)


@dataclass(frozen=True)
class Fact:
    """One row of the table of facts.

    sentence: says it. low, high: bounds that are stated; those of `compared` if None. weight: importance of its topic
    as a headline, see `choosing`; 0 for a fact that is no headline. is_weekly: whether only the change since a week ago
    makes it one.
    """

    section: str
    fact: str
    unit: str
    chart: str
    sentence: Piece
    compared: Compared | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    subject: str | None = None
    weight: float = 0.0
    is_trusted: bool = True
    is_weekly: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for a name that is not in the lists."""
        for name, known in ((self.section, SECTIONS), (self.unit, UNITS), (self.chart, CHARTS)):
            if name not in known:
                raise ValueError(f"{self.fact}: expected one of {', '.join(known)}, found {name!r}")

    @property
    def name(self) -> tuple[str, str, str]:
        """What tells facts apart, for an order that does not depend on how they were made."""
        return self.section, self.fact, self.subject or ""

    @property
    def amount(self) -> float | None:
        """The value."""
        return self.compared.value if self.compared is not None else self.value

    @property
    def importance(self) -> float:
        """Weight of the topic times the strength of the change."""
        if self.compared is None:
            return self.weight
        return self.weight * (self.compared.strength_week if self.is_weekly else self.compared.strength)


def shown(unit: str, value: float, is_signed: bool = False) -> Piece:
    """Return a value as a sentence says it."""
    if unit == MONEY:
        return Money(value, is_signed)
    if unit == SHARE:
        return Points(value, is_signed) if is_signed else Percent(value)
    return Count(value, 0 if unit == COUNT or float(value).is_integer() else 1)


def comparison(unit: str, compared: Compared) -> Said:
    """Return the phrase that compares a value with a week ago and four weeks ago."""
    if compared.is_change_week is False and compared.is_change_4_weeks is False:
        before = (compared.week_ago or 0.0, compared.four_weeks_ago or 0.0)
        return Said("compare.neither", {"week": shown(unit, before[0]), "four": shown(unit, before[1])})
    parts: list[Piece] = [
        _compared(unit, compared, before, noise, Said(f"compare.{key}"))
        for key, before, noise in (
            ("week", compared.week_ago, compared.noise_week),
            ("four", compared.four_weeks_ago, compared.noise_4_weeks),
        )
        if before is not None
    ]
    if not parts:
        return Said("compare.none")
    if len(parts) == 1:
        return Said("compare.one", {"first": parts[0]})
    return Said("compare.both", {"first": parts[0], "second": parts[1]})


def _compared(unit: str, compared: Compared, before: float, noise: float | None, when: Said) -> Said:
    change = compared.value - before
    is_change = _is_change(change, noise)
    values: dict[str, Piece] = {"when": when, "before": shown(unit, before)}
    if is_change is None:
        return Said(f"compare.{compared.unknown}", values)
    if not is_change:
        return Said("compare.same", values)
    way = "up" if change > 0 else "down"
    size: Piece = Points(abs(change), is_signed=False) if unit == SHARE else shown(unit, abs(change))
    values = {"when": when, "change": size}
    # A percentage of nothing or of a negative amount says nothing, and one above tenfold is read better as amounts.
    if unit != SHARE and before > 0 and 0.001 <= abs(change) / before < 10:
        return Said(f"compare.{way}_by", {**values, "share": Percent(abs(change) / before)})
    return Said(f"compare.{way}", values)
