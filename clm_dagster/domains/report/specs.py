"""Vega-Lite specifications that several sections share.

Belongs here: kinds of charts. Does not: which data a section shows; colours and fonts, which the page's script takes
from its style sheet, so that they follow light and dark: a colour here is a name with a dollar sign, such as `$accent`.

Names of fields are this project's own and never a shop's: Vega-Lite reads dots and brackets in them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clm_dagster.domains.report.words import TONES, plain

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
# The parameter that the choice of a segment sets; `all` shows everything.
SEGMENT = "segment"
_FILTER = {"filter": f"{SEGMENT} == 'all' || datum.segment == {SEGMENT}"}


def values(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the data of a chart."""
    return {"values": [{name: plain(value) for name, value in row.items()} for row in rows]}


def chart(rows: Iterable[Mapping[str, Any]], follows_segment: bool = False, **parts: Any) -> dict[str, Any]:
    """Return a specification as wide as its place. follows_segment: its rows have a segment that can be chosen."""
    spec: dict[str, Any] = {"data": values(rows), "width": "container", **parts}
    if follows_segment:
        spec["params"] = [{"name": SEGMENT, "value": "all"}, *spec.get("params", ())]
        spec["transform"] = [_FILTER, *spec.get("transform", ())]
    return spec


def x_time(title: str | None = None, **axis: Any) -> dict[str, Any]:
    """Return a time axis below the chart. `day` is an ISO date."""
    return {
        "field": "day",
        "type": "temporal",
        "title": title,
        "axis": {"grid": False, "labelOverlap": True, "tickCount": {"expr": "width / 90"}, **axis},
    }


def quantity(field: str, title: str | None = None, zero: bool = True, **more: Any) -> dict[str, Any]:
    """Return a quantitative channel whose axis has few, short labels."""
    axis = {"tickCount": 5, "format": "~s", **more.pop("axis", {})}
    scale = {"zero": zero, "nice": True, **more.pop("scale", {})}
    return {"field": field, "type": "quantitative", "title": title, "axis": axis, "scale": scale, **more}


def names(field: str, order: Sequence[str] | None = None, **more: Any) -> dict[str, Any]:
    """Return a channel of names in the order of the data, or in `order`."""
    return {"field": field, "type": "nominal", "sort": list(order) if order else None, "title": None, **more}


def tones(labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the colour of groups of segments or stages. labels: of the legend; none for no legend."""
    known = {name: labels[name] for name in TONES if labels and name in labels}
    named = "{" + ", ".join(f"{name}: {_text(label)}" for name, label in known.items()) + "}"
    legend = {"title": None, "labelExpr": f"{named}[datum.label]", "values": list(known)} if known else None
    return {
        "field": "tone",
        "type": "nominal",
        "scale": {"domain": list(TONES), "range": [f"${name}" for name in TONES]},
        "legend": legend,
    }


def tooltip(**labels: str) -> list[dict[str, Any]]:
    """Return the tooltip: fields that hold formatted texts, with their labels."""
    return [{"field": field, "type": "nominal", "title": label} for field, label in labels.items()]


def _text(label: str) -> str:
    return "'" + label.replace("\\", "\\\\").replace("'", "\\'") + "'"
