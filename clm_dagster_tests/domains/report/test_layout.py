"""Geometry of tree maps and ribbons."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clm_dagster.domains.report.layout import Flow, ribbons, squarified

AMOUNTS = st.lists(st.floats(0.001, 1e9), min_size=1, max_size=25).map(
    lambda found: sorted(found, reverse=True)
)


@given(AMOUNTS)
def test_areas_are_in_proportion_and_fill_the_place(amounts: list[float]) -> None:
    places = squarified(amounts)
    total = sum(amounts)
    assert [p.width * p.height for p in places] == pytest.approx([a / total for a in amounts], abs=1e-9)
    assert all(p.x >= -1e-9 and p.x + p.width <= 1 + 1e-9 for p in places)
    assert all(p.y >= -1e-9 and p.y + p.height <= 1 + 1e-9 for p in places)


def test_rectangles_do_not_overlap() -> None:
    places = squarified([6, 6, 4, 3, 2, 2, 1])
    for number, one in enumerate(places):
        for other in places[number + 1 :]:
            apart_x = one.x + one.width <= other.x + 1e-9 or other.x + other.width <= one.x + 1e-9
            apart_y = one.y + one.height <= other.y + 1e-9 or other.y + other.height <= one.y + 1e-9
            assert apart_x or apart_y


def test_the_published_example_has_its_rows() -> None:
    """Bruls, Huizing and van Wijk (2000): 6 6 4 3 2 2 1 in a place of 6 by 4."""
    places = squarified([6, 6, 4, 3, 2, 2, 1], aspect=1.5)
    assert [(round(p.width * 6, 3), round(p.height * 4, 3)) for p in places[:4]] == [
        (3, 2),
        (3, 2),
        (1.714, 2.333),
        (1.286, 2.333),
    ]


def test_nothing_has_no_places() -> None:
    assert squarified([]) == []


def test_ribbons_begin_and_end_in_their_nodes() -> None:
    flows = [Flow("a", "b", 30), Flow("a", "c", 10), Flow("b", "c", 20)]
    left, right, found = ribbons(flows, ["a", "b", "c"])
    assert [(node.state, node.amount) for node in left] == [("a", 40), ("b", 20)]
    assert [(node.state, node.amount) for node in right] == [("b", 30), ("c", 30)]
    tops = {("left", node.state): (node.top, node.bottom) for node in left}
    tops |= {("right", node.state): (node.top, node.bottom) for node in right}
    for ribbon in found:
        x, top, bottom = ribbon.points[0]
        begin, end = tops["left", ribbon.flow.source]
        assert x == 0 and begin - 1e-4 <= top and bottom <= end + 1e-4
        x, top, bottom = ribbon.points[-1]
        begin, end = tops["right", ribbon.flow.target]
        assert x == 1 and begin - 1e-4 <= top and bottom <= end + 1e-4
