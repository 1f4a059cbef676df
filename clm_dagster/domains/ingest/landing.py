"""The landing area: a shop's files parsed once, as text, into day-partitioned Parquet.

Belongs here: what is on disk under `data/landing/<source>`. Does not: how rows are written (`parts`), what
a value means (`loading`).

    events/<part>/_event_date=2011-06-01/*.parquet  rows of one or more files
    manifests/<number>.json                         the deliveries of one landing run; written last, whole

A delivery exists once a manifest names it, so a landing run is there wholly or not at all. A part that no
manifest names is what a killed run left: it is never read, and the next run removes it.
"""

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from clm_dagster.domains.ingest import parts
from clm_dagster.domains.ingest.adapter import Adapter
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.files import InputFile, find_paths, fingerprint


@dataclass(frozen=True)
class LandedTable:
    """What one delivery brought for one contract table. `days` counts rows; "" is undated."""

    part: str
    columns: list[str]
    landing_version: str
    days: dict[str, int]


@dataclass(frozen=True)
class Delivery:
    """One file, landed. `history` says that it came with the source's first load."""

    delivery_id: str
    path: str
    size: int
    mtime_ns: int
    landed_at: str
    history: bool
    tables: dict[str, LandedTable] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(sum(table.days.values()) for table in self.tables.values())


@dataclass(frozen=True)
class Landed:
    """What one landing run did."""

    new: list[Delivery]
    known: int
    ignored: list[str]


class Landing:
    """The landing area of one source."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def deliveries(self) -> list[Delivery]:
        """Every delivery that is wholly landed, by id, as it was landed last."""
        found = {delivery.delivery_id: delivery for delivery in self._landed()}
        return [found[name] for name in sorted(found)]

    def superseded(self, table: str) -> set[tuple[str, str]]:
        """Parts that still hold rows of a delivery that was landed anew since: (part, delivery_id).

        Files of one shape share a part, so its other rows may still be needed.
        """
        ever, now = (
            {(d.tables[table].part, d.delivery_id) for d in found if table in d.tables}
            for found in (self._landed(), self.deliveries())
        )
        return ever - now

    def files(self, table: str, part: str, day: date | None) -> list[Path]:
        """Parquet files that hold a day's rows of a part."""
        return sorted((self.folder / table / part / parts.day_folder(day)).iterdir())

    def new_files(self, given: str, adapter: Adapter) -> list[Path]:
        """The files of an input that `land` would land; nothing is made or changed. Raise InputError."""
        known = {d.delivery_id: d for d in self.deliveries()}
        files, feeds, _ = _wanted(given, adapter, known)
        return [file.path for file in _fresh(files, feeds, adapter, known)]

    def land(self, given: str, adapter: Adapter, now: datetime) -> Landed:
        """Land every file of an input that is not landed yet; all of them or, on an error, none.

        `now` is the recorded start of the loading run, shop-local. Raise InputError.
        """
        with self._alone():
            known = {d.delivery_id: d for d in self.deliveries()}
            files, feeds, ignored = _wanted(given, adapter, known)
            fresh = _fresh(files, feeds, adapter, known)
            if not any("events" in names for names in (*feeds.values(), *(d.tables for d in known.values()))):
                raise InputError(
                    f"no file of {given} feeds the table events, which every source needs: found "
                    f"{_listed([f.relative for f in files.values()])}; expected "
                    f"{', '.join(adapter.tables['events'].patterns)}"
                )
            if not fresh:
                return Landed([], len(files), ignored)
            self._remove_leftovers(known)
            number = 1 + max((int(path.stem) for path in self._manifests()), default=0)
            landed = parts.write(self.folder, f"{number:06d}", fresh, feeds, adapter)
            new = [_delivery(f, landed[f.delivery_id], known, now) for f in fresh]
            if not any(d.rows for d in (*known.values(), *new)):
                raise InputError(
                    f"{_listed([str(f.path) for f in fresh])}: found a header and no rows; expected some"
                )
            manifest = {"landed_at": str(now), "deliveries": [asdict(d) for d in new]}
            _write_json(self.folder / "manifests" / f"{number:06d}.json", manifest)
            return Landed(new, len(files) - len(fresh), ignored)

    # ---------------------------------------------------------------- inside

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):
            yield

    def _landed(self) -> Iterator[Delivery]:
        """Every delivery of every landing run, the oldest first."""
        for path in self._manifests():
            for content in json.loads(path.read_text())["deliveries"]:
                tables = {name: LandedTable(**table) for name, table in content.pop("tables").items()}
                yield Delivery(**content, tables=tables)

    def _manifests(self) -> list[Path]:
        return sorted((self.folder / "manifests").glob("*.json"))

    def _remove_leftovers(self, known: Mapping[str, Delivery]) -> None:
        """Remove parts that no delivery has: of a killed run, or landed anew since."""
        kept = {(name, table.part) for d in known.values() for name, table in d.tables.items()}
        for part in self.folder.glob("*/[0-9]*-[0-9]*"):
            if (part.parent.name, part.name) not in kept:
                shutil.rmtree(part)


def _wanted(
    given: str, adapter: Adapter, known: Mapping[str, Delivery]
) -> tuple[dict[str, InputFile], dict[str, set[str]], list[str]]:
    """The input's files by delivery, the tables that each feeds, and the names of files that feed none.

    Files of the same content are one delivery, which feeds what each of its names says.
    """
    seen = {(d.path, d.size, d.mtime_ns): d.delivery_id for d in known.values()}
    files: dict[str, InputFile] = {}
    feeds: dict[str, set[str]] = {}
    ignored = []
    for path, relative in find_paths(given):
        tables = [name for name, table in adapter.tables.items() if table.takes(relative)]
        if not tables:
            ignored.append(relative)
            continue
        file = fingerprint(path, relative, seen)
        files.setdefault(file.delivery_id, file)
        feeds.setdefault(file.delivery_id, set()).update(tables)
    if not files:
        patterns = "; ".join(f"{n}: {', '.join(t.patterns)}" for n, t in adapter.tables.items())
        raise InputError(
            f"no file of {given} feeds a table of the source {adapter.name}: found {_listed(ignored)}; "
            f"expected {patterns}"
        )
    for delivery_id, tables_fed in feeds.items():
        if delivery_id in known:
            tables_fed.update(set(known[delivery_id].tables) & set(adapter.tables))
    return files, feeds, ignored


def _fresh(
    files: Mapping[str, InputFile],
    feeds: Mapping[str, set[str]],
    adapter: Adapter,
    known: Mapping[str, Delivery],
) -> list[InputFile]:
    """The files that are not landed yet, or not as the adapter parses them now."""
    return [f for i, f in files.items() if not _is_landed(known.get(i), feeds[i], adapter)]


def _is_landed(found: Delivery | None, tables: Collection[str], adapter: Adapter) -> bool:
    return found is not None and all(
        name in found.tables and found.tables[name].landing_version == adapter.landing_version(name)
        for name in tables
    )


def _delivery(
    file: InputFile, landed: parts.LandedTables, known: Mapping[str, Delivery], now: datetime
) -> Delivery:
    """A file's record. One that is landed anew was learnt when it came first."""
    before = known.get(file.delivery_id)
    return Delivery(
        delivery_id=file.delivery_id,
        path=str(file.path.absolute()),
        size=file.size,
        mtime_ns=file.mtime_ns,
        landed_at=before.landed_at if before else str(now),
        history=before.history if before else not known,
        tables={name: LandedTable(**values) for name, values in landed.items()},
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(content, indent=1) + "\n")
    scratch.replace(path)
