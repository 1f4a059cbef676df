"""Layouts that Vega-Lite does not have: rectangles of a tree map, and ribbons between two columns.

Belongs here: geometry in a unit square. Does not: what is drawn (`sections`), colours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = 16
_GAP = 0.02
# A ribbon keeps visible, and so does its node.
_THINNEST = 0.004


@dataclass(frozen=True)
class Rectangle:
    """A rectangle in the unit square; y grows downwards."""

    x: float
    y: float
    width: float
    height: float


def squarified(amounts: Sequence[float], aspect: float = 2.0) -> list[Rectangle]:
    """Return one rectangle for each amount, with areas in proportion, as square as possible.

    Amounts are positive and descend (Bruls, Huizing, van Wijk 2000). aspect: width over height of the place.
    """
    total = sum(amounts)
    if not total:
        return []
    # Work in a place of the true shape, and return to the unit square at the end.
    x = y = 0.0
    width, height = aspect, 1.0
    areas = [amount / total * aspect for amount in amounts]
    found: list[Rectangle] = []
    start = 0
    while start < len(areas):
        side = min(width, height)
        end = start + 1
        while end < len(areas) and _worst(areas[start : end + 1], side) <= _worst(areas[start:end], side):
            end += 1
        row = areas[start:end]
        # The last row takes what is left, so that rounding neither leaves a gap nor goes beyond the place.
        depth = max(width, height) if end == len(areas) else sum(row) / side
        offset = 0.0
        for area in row:
            length = area / sum(row) * side
            if width >= height:
                found.append(Rectangle(x, y + offset, depth, length))
            else:
                found.append(Rectangle(x + offset, y, length, depth))
            offset += length
        if width >= height:
            x, width = x + depth, width - depth
        else:
            y, height = y + depth, height - depth
        start = end
    return [Rectangle(r.x / aspect, r.y, r.width / aspect, r.height) for r in found]


def _worst(row: Sequence[float], side: float) -> float:
    """Return the largest ratio of sides of a row of areas along a side."""
    total = sum(row)
    return max(max(side**2 * area / total**2, total**2 / (side**2 * area)) for area in row)


@dataclass(frozen=True)
class Flow:
    """An amount that moves from one state to another."""

    source: str
    target: str
    amount: float


@dataclass(frozen=True)
class Node:
    """A state in the left or right column, from `top` to `bottom`."""

    state: str
    amount: float
    top: float
    bottom: float


@dataclass(frozen=True)
class Ribbon:
    """The points of a flow from left (x = 0) to right (x = 1): x, top and bottom."""

    flow: Flow
    points: Sequence[tuple[float, float, float]]


def ribbons(
    flows: Sequence[Flow], order: Sequence[str]
) -> tuple[Sequence[Node], Sequence[Node], Sequence[Ribbon]]:
    """Return the nodes on the left and on the right, and the ribbons. order: of the states, from the top."""
    places = {state: place for place, state in enumerate(order)}
    left = _nodes([(flow.source, flow.amount) for flow in flows], places)
    right = _nodes([(flow.target, flow.amount) for flow in flows], places)
    scale = min(_scale(left), _scale(right))
    tops = [_stack(nodes, scale) for nodes in (left, right)]
    found: list[tuple[Flow, float, float, float]] = []
    used = [dict(column) for column in tops]
    by_place = sorted(flows, key=lambda flow: (places[flow.source], places[flow.target]))
    begins: dict[tuple[str, str], float] = {}
    for flow in by_place:
        begins[flow.source, flow.target] = used[0][flow.source]
        used[0][flow.source] += flow.amount * scale
    for flow in sorted(flows, key=lambda flow: (places[flow.target], places[flow.source])):
        ends = used[1][flow.target]
        used[1][flow.target] += flow.amount * scale
        found.append((flow, begins[flow.source, flow.target], ends, max(flow.amount * scale, _THINNEST)))
    return (
        [Node(state, amount, tops[0][state], tops[0][state] + amount * scale) for state, amount in left],
        [Node(state, amount, tops[1][state], tops[1][state] + amount * scale) for state, amount in right],
        [Ribbon(flow, _curve(begin, end, thick)) for flow, begin, end, thick in found],
    )


def _nodes(parts: Sequence[tuple[str, float]], places: dict[str, int]) -> list[tuple[str, float]]:
    sums: dict[str, float] = {}
    for state, amount in parts:
        sums[state] = sums.get(state, 0.0) + amount
    return sorted(sums.items(), key=lambda item: places[item[0]])


def _scale(nodes: Sequence[tuple[str, float]]) -> float:
    return (1 - _GAP * (len(nodes) - 1)) / sum(amount for _, amount in nodes)


def _stack(nodes: Sequence[tuple[str, float]], scale: float) -> dict[str, float]:
    """Return the top of each node; the column is centred."""
    used = sum(amount for _, amount in nodes) * scale + _GAP * (len(nodes) - 1)
    top, tops = (1 - used) / 2, {}
    for state, amount in nodes:
        tops[state] = top
        top += amount * scale + _GAP
    return tops


def _curve(begin: float, end: float, thick: float) -> list[tuple[float, float, float]]:
    points = []
    for step in range(_STEPS + 1):
        x = step / _STEPS
        y = begin + (end - begin) * x * x * (3 - 2 * x)
        points.append((round(x, 4), round(y, 5), round(y + thick, 5)))
    return points
