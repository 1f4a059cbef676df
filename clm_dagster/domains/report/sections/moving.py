"""Moves between states as ribbons, for segments and for stages.

Belongs here: counting moves between two snapshots, the chart. Does not: which moves are shown.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from clm_dagster.domains.report.layout import Flow, ribbons
from clm_dagster.domains.report.reading import PageReading, Row
from clm_dagster.domains.report.specs import chart, tones, tooltip, values
from clm_dagster.domains.report.words import Words, tone

# Room for names on each side, in pixels.
_ROOM = "min(190, 0.31 * width)"


def flows_since(reading: PageReading, relation: str, state: str, since: datetime) -> list[Row]:
    """Return the customers by state in two snapshots, most first; `absent` is who is in one of them only.

    The counts are those of marts.stage_transitions, which computes all snapshots to give those of one.
    """
    return reading.rows(
        f"""
        select
            coalesce(earlier.{state}, 'absent') as source,
            coalesce(later.{state}, 'absent') as target,
            count(*) as customers
        from (select customer_id, {state} from {relation} where as_of = $since) as earlier
        full join (select customer_id, {state} from {relation} where as_of = $as_of) as later
            on earlier.customer_id = later.customer_id
        group by 1, 2
        order by 3 desc, 1, 2
        """,
        since=since,
    )


def moving_spec(words: Words, kind: str, flows: Sequence[Flow], order: Sequence[str]) -> dict[str, Any]:
    """Return the chart of flows. kind: what the states are names of."""
    left, right, bands = ribbons(flows, order)
    points = [
        {
            "flow": f"{number}",
            "x": x,
            "top": top,
            "bottom": bottom,
            "tone": tone(band.flow.source),
            "source": words.name(kind, band.flow.source),
            "target": words.name(kind, band.flow.target),
            "said": words.wording.number(band.flow.amount),
        }
        for number, band in enumerate(bands)
        for x, top, bottom in band.points
    ]
    ends = [
        {
            "x": x,
            "x2": x + 0.012 if x == 0 else x - 0.012,
            "top": node.top,
            "bottom": node.bottom,
            "middle": (node.top + node.bottom) / 2,
            "tone": tone(node.state),
            "label": words.name(kind, node.state),
            "said": f"{words.name(kind, node.state)}  {words.wording.number(node.amount)}",
            "side": side,
        }
        for side, x, nodes in (("left", 0, left), ("right", 1, right))
        for node in nodes
    ]
    x: Mapping[str, Any] = {
        "field": "x",
        "type": "quantitative",
        "axis": None,
        "scale": {
            "domain": [0, 1],
            "range": [{"expr": _ROOM}, {"expr": f"width - {_ROOM}"}],
            "nice": False,
            "zero": False,
        },
    }
    y = {"type": "quantitative", "axis": None, "scale": {"domain": [1, 0], "nice": False, "zero": False}}
    tips = tooltip(
        source=words("moves.source"), target=words("moves.target"), said=words("columns.customers")
    )
    return chart(
        (),
        layer=[
            {
                "data": values(points),
                "mark": {"type": "area", "opacity": 0.38, "interpolate": "monotone"},
                "encoding": {
                    "x": x,
                    "y": {**y, "field": "top"},
                    "y2": {"field": "bottom"},
                    "detail": {"field": "flow", "type": "nominal"},
                    "color": tones(),
                    "tooltip": tips,
                },
            },
            {
                "data": values(ends),
                "mark": {"type": "rect"},
                "encoding": {
                    "x": x,
                    "x2": {"field": "x2"},
                    "y": {**y, "field": "top"},
                    "y2": {"field": "bottom"},
                    "color": tones(),
                },
            },
            *(
                {
                    "data": values(end for end in ends if end["side"] == side),
                    "mark": {
                        "type": "text",
                        "align": align,
                        "dx": dx,
                        "fontSize": {"expr": "width < 420 ? 11 : 12"},
                        "color": "$ink",
                        "limit": {"expr": f"{_ROOM} - 12"},
                    },
                    "encoding": {
                        "x": x,
                        "y": {**y, "field": "middle"},
                        "text": {"field": "said", "type": "nominal"},
                    },
                }
                for side, align, dx in (("left", "right", -8), ("right", "left", 8))
            ),
        ],
    )
