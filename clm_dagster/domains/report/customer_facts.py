"""Facts about customers: who bought, who is new, who was lost, segments and stages and the moves between them.

Belongs here: these facts. Does not: sales (`sales_facts`), predictions (`plan_facts`).
"""

from collections.abc import Iterator
from datetime import timedelta

import pandas as pd

from clm_dagster.domains.report.fact import Compared, Fact, comparison
from clm_dagster.domains.report.fact_inputs import FOUR_WEEKS, WEEK, FactInputs
from clm_dagster.domains.report.names import COUNT
from clm_dagster.domains.report.sales_facts import compared
from clm_dagster.domains.report.sentences import Count, Day, Joined, Name, Percent, Piece, Said
from clm_dagster.statistics.changes import sampling_change

CAUSES = ("purchases", "time", "cutoffs", "late")
LOST, UNDETERMINED = "lost", "undetermined"
# How much a change in a segment matters to a shop; others have the least of them.
_SEGMENT_WEIGHTS = {"champions": 1.2, "loyal": 1.1, "cant_lose": 1.1, "at_risk": 1.0}
_STAGE_WEIGHTS = {"loyal": 1.0, "at_risk": 1.0, "reactivated": 0.8}
_LEAST_WEIGHT = 0.6
# The share of a change from which its sentence names the cut-offs.
_SHIFTED = 0.5


def customer_facts(inputs: FactInputs) -> Iterator[Fact]:
    """Yield the facts about customers."""
    if inputs.weeks.empty or inputs.last_day is None:
        return
    day = Day(inputs.day - timedelta(days=1))
    buyers, new = compared(inputs, "buyers", "buyers"), compared(inputs, "new_buyers", None)
    for fact, found, weight in (("active", buyers, 1.0), ("new", new, 1.3)):
        yield _of_week(fact, found, weight, day)
    returning = inputs.weeks.assign(returning=inputs.weeks["buyers"] - inputs.weeks["new_buyers"])
    yield _of_week("returning", compared(_with_weeks(inputs, returning), "returning", None), 1.2, day)
    yield from _states(inputs)
    yield from _moves(inputs)


def _with_weeks(inputs: FactInputs, weeks: pd.DataFrame) -> FactInputs:
    return FactInputs(inputs.day, weeks=weeks)


def _of_week(fact: str, found: Compared, weight: float, day: Day) -> Fact:
    values: dict[str, Piece] = {"day": day, "compare": comparison(COUNT, found)}
    return Fact(
        "customers",
        fact,
        COUNT,
        "customers",
        Said(f"customers.{fact}", values, n=found.value),
        found,
        weight=weight,
    )


def sized(inputs: FactInputs, kind: str, state: str) -> Compared:
    """Return the customers in a segment or stage beside earlier weeks.

    If nothing drew customers in or out, each of those who moved could as well have moved the other way: the change has
    their number as its variance.
    """
    sizes = inputs.states[(inputs.states["kind"] == kind) & (inputs.states["state"] == state)]
    known = set(inputs.states[inputs.states["kind"] == kind]["back"])
    by_back = {int(back): float(count) for back, count in zip(sizes["back"], sizes["customers"], strict=True)}
    # A snapshot that exists, without anybody in the state.
    counts = {back: by_back.get(back, 0.0) for back in known}
    widths = {back: _width(inputs.moves, kind, state, back) for back in (WEEK, FOUR_WEEKS)}
    return Compared(
        counts.get(0, 0.0),
        counts.get(WEEK),
        counts.get(FOUR_WEEKS),
        widths[WEEK] if WEEK in counts else None,
        widths[FOUR_WEEKS] if FOUR_WEEKS in counts else None,
    )


def _width(moves: pd.DataFrame, kind: str, state: str, back: int) -> float:
    if moves.empty:
        return 0.0
    rows = moves[(moves["kind"] == kind) & (moves["state"] == state) & (moves["back"] == back)]
    return sampling_change(float(rows["entered"].sum() + rows["gone"].sum()))


def _states(inputs: FactInputs) -> Iterator[Fact]:
    """Yield the size of each segment and of each stage."""
    if inputs.states.empty:
        return
    now = inputs.states[inputs.states["back"] == 0]
    for kind, section, weights in (
        ("segment", "segments", _SEGMENT_WEIGHTS),
        ("stage", "lifecycle", _STAGE_WEIGHTS),
    ):
        rows = now[now["kind"] == kind]
        everybody = float(rows["customers"].sum())
        states = sorted(set(inputs.states[inputs.states["kind"] == kind]["state"]))
        for state in states:
            found = sized(inputs, kind, state)
            values: dict[str, Piece] = {
                kind: Name(kind, state),
                "share": Percent(found.value / everybody if everybody else 0.0),
                "compare": comparison(COUNT, found),
            }
            weight = weights.get(state, _LEAST_WEIGHT)
            sentence: Piece = Said(f"{section}.size", values, n=found.value)
            shifted = _by_cutoffs(inputs, state) if kind == "segment" else 0.0
            if found.is_change_week and abs(shifted) >= _SHIFTED * abs(found.change_week or 0.0):
                sentence = Joined([sentence, Said("segments.cutoffs", {"effect": Count(shifted, 0)})])
                weight = 0.0
            # Who was lost is told by those who became lost.
            is_headline = state not in (LOST, UNDETERMINED)
            yield Fact(
                section,
                f"customers_in_{kind}",
                COUNT,
                section,
                sentence,
                found,
                subject=state,
                weight=weight if is_headline else 0.0,
                # Cut-offs that moved within four weeks can move whole segments.
                is_weekly=kind == "segment",
            )
    yield from _lost(inputs)


def _by_cutoffs(inputs: FactInputs, state: str) -> float:
    """Return how many customers a segment gained since a week ago because the cut-offs of the scores moved."""
    if inputs.causes.empty:
        return 0.0
    gained = inputs.causes[inputs.causes["segment"] == state]["cutoffs"].sum()
    return float(gained - inputs.causes[inputs.causes["previous_segment"] == state]["cutoffs"].sum())


def _lost(inputs: FactInputs) -> Iterator[Fact]:
    """Yield the customers who became lost in the week, and the lost ones who ordered again."""
    rows = {int(row["back"]): row for row in inputs.lost.to_dict("records")}
    if 0 not in rows:
        return
    for fact, weight in (("lost", 1.2), ("won_back", 0.8)):
        counts = {back: float(row[fact]) for back, row in rows.items()}
        widths = {
            back: sampling_change(counts[0] + counts[back]) if back in counts else None
            for back in (WEEK, FOUR_WEEKS)
        }
        found = Compared(
            counts[0], counts.get(WEEK), counts.get(FOUR_WEEKS), widths[WEEK], widths[FOUR_WEEKS]
        )
        sentence = Said(f"customers.{fact}", {"compare": comparison(COUNT, found)}, n=counts[0])
        yield Fact("customers", fact, COUNT, "lifecycle", sentence, found, weight=weight)


def _moves(inputs: FactInputs) -> Iterator[Fact]:
    """Yield the largest movement between two segments, less those the other way, with its main cause."""
    causes = inputs.causes
    if causes.empty:
        return
    reverse = {
        (row["segment"], row["previous_segment"]): float(row["customers"])
        for row in causes.to_dict("records")
    }
    rows = [
        (float(row["customers"]) - reverse.get((row["previous_segment"], row["segment"]), 0.0), row)
        for row in causes.to_dict("records")
    ]
    net, largest = min(rows, key=lambda pair: (-pair[0], pair[1]["previous_segment"], pair[1]["segment"]))
    customers = float(largest["customers"])
    back = reverse.get((largest["previous_segment"], largest["segment"]), 0.0)
    shares = {cause: float(largest[cause]) / customers for cause in CAUSES}
    cause = max(CAUSES, key=lambda name: shares[name])
    values: dict[str, Piece] = {
        "from": Name("segment", str(largest["previous_segment"])),
        "to": Name("segment", str(largest["segment"])),
        "cause": Name("move_causes", cause),
        "share": Percent(shares[cause]),
        "back": Said("segments.the_other_way", n=back) if back else Said("segments.nobody_back"),
    }
    noise = sampling_change(customers + back)
    yield Fact(
        "segments",
        "largest_move",
        COUNT,
        "segments",
        Said("segments.largest_move", values, n=customers),
        value=customers,
        subject=f"{largest['previous_segment']} > {largest['segment']}",
        low=None,
        high=None,
        # Told as a headline if more went this way than chance explains, and not because of the other customers.
        weight=0.6 * min(3.0, net / noise) if noise and net > noise and cause != "cutoffs" else 0.0,
    )
