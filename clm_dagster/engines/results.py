"""What a verification found, of each model and in total.

Belongs here: verdicts. Does not: building and comparing (`verifying`), output (`verify_view`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from clm_dagster.engines.comparing import CLOSE, DIFFERENT, EQUAL, Comparison

FAILED, STALE, NOT_COMPARED = "failed", "stale", "-"
_RED = (DIFFERENT, FAILED, STALE)
_WORST_FIRST = (DIFFERENT, CLOSE, EQUAL)


@dataclass(frozen=True)
class ModelResult:
    """What was found of one model.

    comparison: of the engine's rows with the reference; None if it failed. error: why it failed. ways: comparisons of
    other ways to build it, by name. stored: comparison of the warehouse's rows with the reference; None where these
    cannot be compared. stored_why: why not. is_stale: whether the build ledger says that other code or inputs built
    them. Seconds are those of the build alone; a view is built by reading all its rows.
    """

    relation: str
    materialized: str
    rows: int
    comparison: Comparison | None
    reference_seconds: float
    engine_seconds: float
    error: str = ""
    ways: Mapping[str, Comparison] = field(default_factory=dict)
    stored: Comparison | None = None
    stored_why: str = ""
    is_stale: bool = False

    @property
    def verdict(self) -> str:
        """`equal`, `close`, `different` or `failed`, the worst of all ways."""
        if self.comparison is None or self.error:
            return FAILED
        found = {each.verdict for each in (self.comparison, *self.ways.values())}
        return next(word for word in _WORST_FIRST if word in found)

    @property
    def stored_verdict(self) -> str:
        """`equal`, `close`, `different`, `stale`, or `-` where stored rows cannot be compared."""
        if self.is_stale:
            return STALE
        return self.stored.verdict if self.stored else NOT_COMPARED

    @property
    def is_red(self) -> bool:
        """Whether the engine or the warehouse has other rows than the reference."""
        return self.verdict in _RED or self.stored_verdict in _RED


@dataclass(frozen=True)
class Verification:
    """The result for all models. folder: where files are kept; None if they are not."""

    engine: str
    version: str
    reference: str
    as_ofs: tuple[datetime, ...]
    models: tuple[ModelResult, ...]
    folder: Path | None = None

    @property
    def red(self) -> list[ModelResult]:
        """The models with other rows than the reference, in the engine or in the warehouse."""
        return [model for model in self.models if model.is_red]

    @property
    def exit_code(self) -> int:
        """Exit status: 0 if all rows are equal, 1 if not."""
        return 1 if self.red else 0
