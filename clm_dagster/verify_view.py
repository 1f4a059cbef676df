"""Output of `clm verify`: a line for each model and what differs for the terminal, a dict for programs.

Belongs here: texts and columns. Does not: verifying (`engines`).
"""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from clm_dagster.engines.comparing import CLOSE, DIFFERENT, EQUAL, TOLERANCE, Comparison
from clm_dagster.engines.results import FAILED, NOT_COMPARED, STALE, ModelResult, Verification

_WORDS = {CLOSE: f"equal to {TOLERANCE:g}"}
_STYLES = {
    EQUAL: "green",
    CLOSE: "yellow",
    DIFFERENT: "red",
    FAILED: "red",
    STALE: "red",
    NOT_COMPARED: "dim",
}


def render(found: Verification) -> RenderableType:
    """Return a table with a row per model, what differs, and the total."""
    table = Table(
        "model", found.engine, "stored", "rows", "DuckDB s", f"{found.engine} s", box=None, pad_edge=False
    )
    for column in table.columns[3:]:
        column.justify = "right"
    table.columns[0].no_wrap = True  # others wrap first
    for model in found.models:
        table.add_row(
            model.relation,
            _verdict(model.verdict),
            _verdict(model.stored_verdict),
            f"{model.rows:,}",
            f"{model.reference_seconds:,.2f}",
            f"{model.engine_seconds:,.2f}",
        )
    lines = [Text(line) for model in found.models for line in _findings(model, found.engine)]
    return Group(table, *([Text(), *lines] if lines else []), Text(), Text(total(found)))


def total(found: Verification) -> str:
    """Return the result in one sentence or two."""
    at = " and ".join(f"{as_of:%Y-%m-%d}" for as_of in found.as_ofs)
    compared = sum(model.stored is not None for model in found.models)
    seconds = [sum(getattr(m, f"{side}_seconds") for m in found.models) for side in ("reference", "engine")]
    what = (
        f"{len(found.models)} models at {at}: {found.reference} {seconds[0]:,.1f} s, {found.version} "
        f"{seconds[1]:,.1f} s; the warehouse's rows of {compared} of them were compared."
    )
    close = [model.relation for model in found.models if CLOSE in (model.verdict, model.stored_verdict)]
    some = f" {len(close)} of them only to a relative {TOLERANCE:g} in doubles." if close else ""
    if not found.red:
        return f"All equal. {what}{some}"
    stale = [model for model in found.red if model.stored_verdict == STALE]
    advice = f" Stale in the warehouse: {len(stale)}; run `clm run`." if stale else ""
    kept = f" The files are in {found.folder}." if found.folder else " --folder keeps the files."
    return f"Not equal: {len(found.red)} of {what}{advice}{some}{kept}"


def as_dict(found: Verification) -> dict[str, object]:
    """Return the result for programs."""
    return {
        "equal": not found.red,
        "engine": found.engine,
        "version": found.version,
        "reference": found.reference,
        "as_ofs": [f"{as_of:%Y-%m-%d}" for as_of in found.as_ofs],
        "tolerance": TOLERANCE,
        "models": [
            {
                "model": model.relation,
                "materialized": model.materialized,
                "verdict": model.verdict,
                "stored": model.stored_verdict,
                "stored_why": model.stored_why or None,
                "rows": model.rows,
                "reference_seconds": round(model.reference_seconds, 3),
                "engine_seconds": round(model.engine_seconds, 3),
                "error": model.error or None,
                "differences": {
                    way: _difference(each) for way, each in _comparisons(model) if each.verdict != EQUAL
                },
            }
            for model in found.models
        ],
    }


def _verdict(word: str) -> Text:
    return Text(_WORDS.get(word, word), style=_STYLES[word])


def _comparisons(model: ModelResult) -> Iterator[tuple[str, Comparison]]:
    if model.comparison:
        yield "engine", model.comparison
    yield from model.ways.items()
    if model.stored:
        yield "stored", model.stored


def _difference(found: Comparison) -> dict[str, object]:
    return {
        "verdict": found.verdict,
        "rows": found.rows,
        "other_rows": found.other_rows,
        "columns": list(found.columns),
        "only_in_reference": found.missing,
        "only_in_other": found.added,
        "close_rows": found.close,
        "largest_gap": found.gap,
        "differing_columns": list(found.differing),
        "nulls": {name: {"reference": a, "other": b} for name, (a, b) in found.nulls.items()},
        "examples": list(found.examples),
    }


def _findings(model: ModelResult, engine: str) -> Iterator[str]:
    """Yield what differs in a model, as lines."""
    if model.error:
        yield f"{model.relation}: {engine} failed: {model.error}"
    if model.is_stale:
        yield f"{model.relation}: the stored rows are stale: other code or inputs built them. Run `clm run`."
    for way, found in _comparisons(model):
        if found.verdict == EQUAL:
            continue
        place = {"engine": engine, "stored": "the warehouse"}.get(way, f"{engine}, {way}")
        yield from _lines(f"{model.relation} ({place})", found)


def _lines(title: str, found: Comparison) -> Iterator[str]:
    if found.close:
        yield f"{title}: {found.close:,} rows are equal only to {found.gap:.1e} in doubles"
    if found.verdict != DIFFERENT:
        return
    for text in found.columns:
        yield f"{title}: {text}"
    if found.missing or found.added:
        yield (
            f"{title}: {found.missing:,} rows are missing and {found.added:,} are added; "
            f"{found.rows:,} rows expected, {found.other_rows:,} found"
        )
    if found.differing:
        yield f"{title}: columns that differ: {', '.join(found.differing)}"
    for name, (expected, nulls) in found.nulls.items():
        yield f"{title}: {name} has {nulls:,} nulls, expected {expected:,}"
    for example in found.examples:
        side = "missing" if example["only_in_reference"] else "added"
        values = [
            f"{name} {value}" for name, value in example.items() if name not in ("row", "only_in_reference")
        ]
        yield f"  {side} {example['row']}: {', '.join(values) or 'only columns that are not shown'}"
