"""Facts about what will happen and what to do: churn, planned actions, campaigns, stock, reviews.

Belongs here: these facts. Does not: whether their models may be trusted (`trust_facts`).
"""

import json
from collections.abc import Iterator
from typing import Any

from clm_dagster.domains.report.fact import Compared, Fact, comparison
from clm_dagster.domains.report.fact_inputs import FOUR_WEEKS, WEEK, FactInputs
from clm_dagster.domains.report.names import COUNT, MONEY, NUMBER
from clm_dagster.domains.report.sentences import (
    Count,
    Day,
    Joined,
    Money,
    Name,
    Own,
    Percent,
    Piece,
    Points,
    Said,
)
from clm_dagster.statistics.changes import sampling_change

# What an effect is of. A shop that delivers the contacts of a plan has a campaign of its name on both bases.
_CAMPAIGN = ("basis", "campaign_id", "arm")


def plan_facts(inputs: FactInputs) -> Iterator[Fact]:
    """Yield the facts about predictions, plans and their results."""
    yield from _churn(inputs)
    yield from _actions(inputs)
    yield from _campaigns(inputs)
    yield from _stock(inputs)
    yield from _reviews(inputs)


def churn_is_trusted(inputs: FactInputs) -> bool:
    """Whether a champion scored churn and its inputs have not drifted."""
    if inputs.serving.empty:
        return False
    rows = inputs.serving[inputs.serving["model"] == "models.churn_model"]
    has_failed = len(inputs.drift) > 0 and bool((inputs.drift["status"] == "fail").any())
    return bool(len(rows) and rows["is_champion"].all()) and not has_failed


def _churn(inputs: FactInputs) -> Iterator[Fact]:
    if inputs.churn.empty:
        return
    rows = {int(row["back"]): row for row in inputs.churn.to_dict("records")}
    now = rows.get(0)
    if now is None:
        return
    is_trusted = churn_is_trusted(inputs)
    days = Count(float(now["horizon_days"]))
    high = _scored(inputs, rows, "high")
    values: dict[str, Piece] = {
        "all": Count(float(now["customers"])),
        "days": days,
        "share": Percent(high.value / float(now["customers"])),
        "compare": comparison(COUNT, high),
    }
    yield Fact(
        "churn",
        "customers_at_high_risk",
        COUNT,
        "churn",
        Said("churn.high", values, n=high.value),
        high,
        weight=1.3,
        is_trusted=is_trusted,
    )
    if _is_number(now["loss"]):
        loss = _scored(inputs, rows, "loss")
        values = {"value": Money(loss.value), "days": days, "compare": comparison(MONEY, loss)}
        yield Fact(
            "churn",
            "expected_loss",
            MONEY,
            "churn",
            Said("churn.loss", values),
            loss,
            weight=1.3,
            is_trusted=is_trusted,
        )


def _scored(inputs: FactInputs, rows: dict[int, dict[Any, Any]], column: str) -> Compared:
    """Return a figure of the scores beside earlier ones; a change counts only between scores of one model."""
    moves = {int(row["back"]): float(row[column] or 0.0) for row in inputs.churn_moves.to_dict("records")}
    before: dict[int, float | None] = {}
    widths: dict[int, float | None] = {}
    for back in (WEEK, FOUR_WEEKS):
        row = rows.get(back)
        before[back] = float(row[column]) if row is not None and _is_number(row[column]) else None
        is_same = row is not None and row["model"] == rows[0]["model"]
        widths[back] = sampling_change(moves.get(back, 0.0)) if is_same else None
    return Compared(
        float(rows[0][column]),
        before[WEEK],
        before[FOUR_WEEKS],
        widths[WEEK],
        widths[FOUR_WEEKS],
        "other_model",
    )


def _is_number(value: object) -> bool:
    return value is not None and value == value


def _actions(inputs: FactInputs) -> Iterator[Fact]:
    """Yield what is planned: all of it, and line by line of the playbook."""
    is_trusted = churn_is_trusted(inputs)
    plays = inputs.plays
    now = plays[plays["back"] == 0] if len(plays) else plays
    contacts = int(now["contacts"].sum()) if len(now) else 0
    if not contacts:
        why = {None: "no_plan", 0: "nobody"}.get(inputs.contactable, "none")
        sentence = Said(f"actions.{why}")
        yield Fact(
            "actions", "planned", COUNT, "churn", sentence, value=0.0, weight=1.0, is_trusted=is_trusted
        )
        return
    sent = now[now["contacts"] > 0].sort_values(["gain", "play"], ascending=[False, True], kind="stable")
    gain, cost = float(now["gain"].sum()), float(now["cost"].sum())
    best = sent.iloc[0]
    values: dict[str, Piece] = {"gain": Money(gain), "cost": Money(cost)}
    parts: list[Piece] = [Said("actions.planned", values, n=contacts)]
    if len(sent) > 1:
        first: dict[str, Piece] = {
            "play": Name("play", str(best["play"])),
            "gain": Money(float(best["gain"])),
        }
        parts.append(Said("actions.best", first, n=int(best["contacts"])))
    else:
        parts.append(Said("actions.only", {"play": Name("play", str(best["play"]))}))
    yield Fact(
        "actions", "planned", COUNT, "churn", Joined(parts), value=contacts, weight=1.0, is_trusted=is_trusted
    )
    yield Fact(
        "actions",
        "expected_gain",
        MONEY,
        "churn",
        Said("actions.gain", values),
        value=gain,
        is_trusted=is_trusted,
    )
    yield Fact("actions", "cost", MONEY, "churn", Said("actions.cost", {"cost": Money(cost)}), value=cost)
    held = int(now["held_out"].sum())
    yield Fact("actions", "held_out", COUNT, "churn", Said("actions.held_out", n=held), value=held)
    for row in sent.to_dict("records"):
        line: dict[str, Piece] = {
            "play": Name("play", str(row["play"])),
            "gain": Money(float(row["gain"])),
            "cost": Money(float(row["cost"])),
        }
        yield Fact(
            "actions",
            "expected_gain_of_play",
            MONEY,
            "churn",
            Said("actions.play", line, n=int(row["contacts"])),
            value=float(row["gain"]),
            subject=str(row["play"]),
            is_trusted=is_trusted,
        )


def _campaigns(inputs: FactInputs) -> Iterator[Fact]:
    """Yield the effects that count as discoveries."""
    rows = inputs.campaigns
    if rows.empty:
        return
    found = rows[rows["is_discovery"].astype(bool)]
    if found.empty:
        measured = int(rows["campaign_id"].nunique())
        yield Fact(
            "campaigns", "discoveries", COUNT, "campaigns", Said("campaigns.none", n=measured), value=0.0
        )
        return
    for row in found.to_dict("records"):
        effect, low, high = (float(row[name]) for name in ("effect", "low", "high"))
        is_money = row["metric"] == "revenue"
        piece = (lambda value: Money(value, True)) if is_money else Points
        values: dict[str, Piece] = {
            "campaign": Name("play", str(row["campaign_id"])),
            "arm": Own(str(row["arm"])),
            "effect": piece(effect),
            "low": piece(low),
            "high": piece(high),
            "total": Money(float(row["total"]), True) if is_money else Count(float(row["total"])),
        }
        way = "works" if effect > 0 else "harms"
        yield Fact(
            "campaigns",
            f"effect_on_{row['metric']}",
            MONEY if is_money else NUMBER,
            "campaigns",
            Said(f"campaigns.{row['metric']}_{way}", values),
            value=effect,
            low=low,
            high=high,
            subject=json.dumps([str(row[name]) for name in _CAMPAIGN], ensure_ascii=False),
            weight=3.0 if is_money else 2.8,
        )


def _stock(inputs: FactInputs) -> Iterator[Fact]:
    """Yield the product with the largest demand in its lead time."""
    if inputs.stock.empty:
        return
    first = inputs.stock.iloc[0]
    values: dict[str, Piece] = {
        "product": Own(str(first["name"])),
        "days": Count(float(first["lead_days"])),
        "demand": Count(float(first["expected_demand"])),
        "point": Count(float(first["reorder_point"])),
    }
    count = len(inputs.stock)
    yield Fact(
        "stock", "products_to_watch", COUNT, "stock", Said("stock.products", values, n=count), value=count
    )


def _reviews(inputs: FactInputs) -> Iterator[Fact]:
    """Yield the mean rating of the last four weeks beside that of the four weeks before."""
    rows = {int(row["back"]): row for row in inputs.reviews.to_dict("records")}
    now = rows.get(0)
    if now is None or not any(row["reviews"] for row in rows.values()):
        return
    count = int(now["reviews"])
    day: dict[str, Piece] = {"day": Day(inputs.day)}
    if not count or not _is_number(now["rating"]):
        yield Fact("voice", "reviews", COUNT, "voice", Said("voice.none", day), value=count)
        return
    earlier = rows.get(FOUR_WEEKS)
    before = float(earlier["rating"]) if earlier is not None and _is_number(earlier["rating"]) else None
    width = None
    if before is not None and earlier is not None and min(count, earlier["reviews"]) > 1:
        width = sampling_change(
            float(now["variance"]) / count + float(earlier["variance"]) / float(earlier["reviews"])
        )
    found = Compared(float(now["rating"]), None, before, None, width)
    values: dict[str, Piece] = {
        "rating": Count(found.value, 1),
        "compare": comparison(NUMBER, found),
    }
    yield Fact("voice", "rating", NUMBER, "voice", Said("voice.rating", values, n=count), found, weight=0.9)
