"""The choice of headlines: which facts are Monday's sentences, and the order of all others.

Belongs here: the rule. Does not: the weights of facts, which stand where these are made.

1. Revenue and why it changed: always the first sentence.
2. to 5. The most important facts of different topics. Importance is the weight of the topic, times how many times its
   noise a change is (0 within it, at most 3), times its size as a share of the value before (a quarter and more is 1).
   So no change within its noise is told as one. Where too little changed: how many customers ordered, how many are new
   and returning, and how revenue compares with its forecast.
6. What to do: the planned actions.
7. What may not be trusted.

All other facts follow by importance, then by section, name and subject. No step depends on the order in which facts
were made, or on chance.
"""

from collections.abc import Sequence

from clm_dagster.domains.report.fact import Fact
from clm_dagster.domains.report.names import HEADLINES, SECTIONS

FIRST = ("revenue", "revenue")
LAST = (("actions", "planned"), ("trust", "summary"))
# What is said where too little changed.
_QUIET = (
    ("customers", "active"),
    ("customers", "new"),
    ("customers", "returning"),
    ("revenue", "revenue_and_forecast"),
)
# Sections that hold no news of the week.
_NO_NEWS = frozenset({"actions", "trust"})

# Sections that say the same in other words.
_TOPICS = {"lifecycle": "segments"}


def _topic(fact: Fact) -> str:
    return _TOPICS.get(fact.section, fact.section)


def ranked(facts: Sequence[Fact]) -> list[Fact]:
    """Return all facts, the headlines first. A headline that does not exist is replaced by the next important fact."""
    ordered = sorted(facts, key=lambda fact: (-fact.importance, SECTIONS.index(fact.section), fact.name))
    by_key = {(fact.section, fact.fact): fact for fact in reversed(ordered)}
    first = [by_key[FIRST]] if FIRST in by_key else []
    last = [by_key[key] for key in LAST if key in by_key]
    others = [fact for fact in ordered if fact not in first and fact not in last]
    wanted = HEADLINES - len(first)
    middle: list[Fact] = []
    for fact in others:
        is_new = _topic(fact) not in {_topic(chosen) for chosen in middle}
        if len(middle) < wanted and fact.importance > 0 and is_new:
            middle.append(fact)
    news = [fact for fact in others if fact.section not in _NO_NEWS]
    for fact in (*(by_key[key] for key in _QUIET if key in by_key), *news):
        if len(middle) < wanted and fact not in middle:
            middle.append(fact)
    headlines = [*first, *middle, *last]
    return [*headlines, *(fact for fact in ordered if fact not in headlines)]
