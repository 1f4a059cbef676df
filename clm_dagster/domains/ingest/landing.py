"""The landing area: a shop's files parsed once, as text, into day-partitioned Parquet.

Belongs here: the folder `data/landing/<source>`. Does not: writing rows (`parquet_writer`), the meaning of values
(`loading`).

    <feed>/<part>/_event_date=2011-06-01/*.parquet  rows of one or more files, by the feed's own time
    <feed>/<part>/whole_file                        all of these rows, for a feed whose SQL sees whole files
    manifests/<number>.json                         the deliveries of one landing run; written last and atomically
    prepared/<name>-<hash>.parquet                  files that are made of others, see `preparing`
    lookups.json, lookups/                          files that feeds join, see `lookups`
    inbox.json, stamps.json                         the files that the last landing run saw, read or not; their hashes

A delivery exists once it is in a manifest, so a landing run is complete or has no effect. A part that is in no manifest
was left by a killed run. It is never read, and the next run deletes it.
"""

import json
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from clm_dagster.domains.ingest import parquet_writer
from clm_dagster.domains.ingest.adapter import Adapter
from clm_dagster.domains.ingest.damage import check_restorable, find_damage, read_state
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.files import InputFile, Known, fingerprint, list_inbox
from clm_dagster.domains.ingest.first_layout import first_deliveries, move_first_layout, numbered_manifests
from clm_dagster.domains.ingest.lookups import FoundLookup, find_lookups, store_lookups, stored_lookups
from clm_dagster.domains.ingest.parquet_writer import LandedFeed, LandedFile
from clm_dagster.domains.ingest.prepared import FOLDER
from clm_dagster.domains.ingest.preparing import prepare, sources_of
from clm_dagster.storage import private_umask, restrict, write_json


@dataclass(frozen=True)
class Delivery:
    """One landed file. history: whether it was part of the source's first landing run.

    tables: the landed rows by name of the feed. decided: how the file is written, such as encoding and delimiter.
    """

    delivery_id: str
    path: str
    size: int
    mtime_ns: int
    landed_at: str
    history: bool
    tables: dict[str, LandedFeed] = field(default_factory=dict)
    decided: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """The number of rows of the file; every feed has them all."""
        return max((sum(feed.days.values()) for feed in self.tables.values()), default=0)

    def of_table(self, table: str) -> dict[str, LandedFeed]:
        """Return the landed feeds of a contract table by name."""
        return {name: feed for name, feed in self.tables.items() if feed.table == table}


@dataclass(frozen=True)
class LandingResult:
    """Result of a landing run.

    new: new deliveries. known: number of files landed before. skipped: files that are not read -> why.
    """

    new: list[Delivery]
    known: int
    skipped: dict[str, str]

    @property
    def ignored(self) -> list[str]:
        """The names of the files that are not read."""
        return list(self.skipped)


class Landing:
    """The landing area of one source."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def deliveries(self) -> list[Delivery]:
        """Return all deliveries by id, each as it was landed last."""
        found = {delivery.delivery_id: delivery for delivery in self._all_deliveries()}
        return [found[name] for name in sorted(found)]

    def superseded(self, feed: str) -> set[tuple[str, str]]:
        """Return the parts with outdated rows of a delivery that was landed again later, as (part, delivery_id).

        Files with the same columns share a part, so its other rows may still be needed.
        """
        ever, current = (
            {(d.tables[feed].part, d.delivery_id) for d in found if feed in d.tables}
            for found in (self._all_deliveries(), self.deliveries())
        )
        return ever - current

    def files(self, feed: str, part: str, day: date | None) -> list[Path]:
        """Return the Parquet files with a day's rows of a part. Raise InputError if they are gone."""
        place = self.folder / feed / part / parquet_writer.day_folder(day)
        if not place.is_dir():
            raise InputError(f"{place} is missing: landed rows are lost. `clm run` lands their files anew")
        return sorted(place.iterdir())

    def all_files(self, feed: str, landed: LandedFeed) -> list[Path]:
        """Return the Parquet files with all rows of a landed feed: one, if its SQL sees whole files."""
        whole = self.folder / feed / landed.part / parquet_writer.WHOLE_FILE
        if whole.exists():
            return [whole]
        days = (date.fromisoformat(key) if key else None for key in landed.days)
        return [path for day in days for path in self.files(feed, landed.part, day)]

    def new_files(self, given: str, adapter: Adapter) -> list[Path]:
        """Return the files of an input that `land` would land. Change nothing. Raise InputError."""
        known = {d.delivery_id: d for d in self.deliveries()}
        matched = _match_files(given, adapter, known, self.folder, self._stamps())
        if not first_deliveries(self.folder):  # those lie elsewhere until they are moved
            for delivery in find_damage(self.folder, known.values()):
                del known[delivery]
        stored = stored_lookups(self.folder)
        new = [file.path for file in _not_landed(matched.files, matched.feeds, adapter, known)]
        changed = (found for found in matched.lookups if stored.get(found.part.name) != found.landed)
        return list(dict.fromkeys([*new, *(file.path for found in changed for file in found.files)]))

    def land(self, given: str, adapter: Adapter, now: datetime) -> LandingResult:
        """Land all files of an input that are not landed yet; on an error, land none.

        now: start time of the run in the shop's time zone. Raise InputError.
        """
        with self.locked():
            move_first_layout(self.folder)
            known = {d.delivery_id: d for d in self.deliveries()}
            stamps = self._stamps()
            matched = _match_files(given, adapter, known, self.folder, stamps)
            files, feeds, skipped = matched.files, matched.feeds, matched.skipped
            damage = find_damage(self.folder, known.values())
            check_restorable(damage, known, files, given)
            before, known = known, {name: d for name, d in known.items() if name not in damage}
            new_files = _not_landed(files, feeds, adapter, known)
            events = {feed.name for feed in adapter.tables["events"]}
            if not any(
                events & set(names) for names in (*feeds.values(), *(d.tables for d in known.values()))
            ):
                patterns = dict.fromkeys(p for feed in adapter.tables["events"] for p in feed.patterns)
                raise InputError(
                    f"no file of {given} matches the required table events: found "
                    f"{_shorten([f.relative for f in files.values()])}; expected {', '.join(patterns)}"
                )
            _check_former_feeds(self.folder, adapter, known, files)
            stored = stored_lookups(self.folder)
            if not new_files:
                store_lookups(self.folder, adapter, matched.lookups, stored)
                self._write_inbox(matched, stamps)
                return LandingResult([], len(files), skipped)
            for part in self._unused_parts(known.values()):
                shutil.rmtree(part)
            number = 1 + max((int(path.stem) for path in numbered_manifests(self.folder)), default=0)
            landed = parquet_writer.write_parts(self.folder, f"{number:06d}", new_files, feeds, adapter)
            new = [_delivery(f, landed[f.delivery_id], before, now) for f in new_files]
            if not any(d.rows for d in (*known.values(), *new)):
                raise InputError(
                    f"{_shorten([str(f.path) for f in new_files])}: found only a header; expected at least one row"
                )
            # Before the manifest: rows that are landed find what they join.
            store_lookups(self.folder, adapter, matched.lookups, stored)
            manifest = {"landed_at": str(now), "deliveries": [asdict(d) for d in new]}
            write_json(self.folder / "manifests" / f"{number:06d}.json", manifest)
            self._write_inbox(matched, stamps)
            return LandingResult(new, len(files) - len(new_files), skipped)

    def inbox(self) -> dict[str, dict[str, str]]:
        """Return the files of the last landing run.

        `read` (path -> delivery), `joined` (path -> lookup) and `skipped` (path -> why).
        """
        seen = self._read_derived("inbox.json")
        return {"read": {}, "joined": {}, "skipped": {}} | seen

    def _write_inbox(self, matched: "_Matched", stamps: Known) -> None:
        seen = {"read": matched.read, "joined": matched.joined, "skipped": matched.skipped}
        write_json(self.folder / "inbox.json", seen)
        # Of several stamps of a path, the last is the current one.
        write_json(
            self.folder / "stamps.json", {path: [*rest, name] for (path, *rest), name in stamps.items()}
        )

    def _stamps(self) -> Known:
        """Return the hashes of the files that the last landing run saw, by path, size and times."""
        found = self._read_derived("stamps.json")
        return {(path, size, mtime, changed): name for path, (size, mtime, changed, name) in found.items()}

    def _read_derived(self, name: str) -> dict[str, Any]:
        """Return a file that every landing run writes anew; empty if it is missing or damaged."""
        path = self.folder / name
        try:
            content = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the landing area in the block: nothing lands meanwhile."""
        private_umask()  # also of a process that Dagster started
        self.folder.mkdir(parents=True, exist_ok=True)
        restrict(self.folder)
        with FileLock(self.folder / ".lock"):
            yield

    def _all_deliveries(self) -> Iterator[Delivery]:
        """Yield the deliveries of all landing runs, oldest first."""
        for path in numbered_manifests(self.folder):
            remedy = (
                "It lists landed files. Restore it from a backup. Without one, put all files of the shop into the "
                f"input, delete {self.folder} and run again: everything is landed and loaded anew."
            )
            for content in read_state(path, remedy).get("deliveries", []):
                yield _read_delivery(content)
        for content in first_deliveries(self.folder):
            yield _read_delivery(content)

    def unused_parts(self) -> list[Path]:
        """Return the parts that no delivery names: left by a killed run, or landed again since. Call it locked."""
        return [] if first_deliveries(self.folder) else self._unused_parts(self.deliveries())

    def _unused_parts(self, known: Iterable[Delivery]) -> list[Path]:
        kept = {(name, feed.part) for d in known for name, feed in d.tables.items()}
        parts = self.folder.glob("*/[0-9]*-[0-9]*")
        return [part for part in parts if (part.parent.name, part.name) not in kept]


@dataclass(frozen=True)
class _Matched:
    """The files of an input.

    files: by delivery. feeds: of each delivery. skipped: what is not read, and why. read: path -> delivery. joined:
    path -> lookup, for files that are only joined. lookups: all that are joined.
    """

    files: dict[str, InputFile]
    feeds: dict[str, set[str]]
    skipped: dict[str, str]
    read: dict[str, str]
    joined: dict[str, str]
    lookups: list[FoundLookup]


def _match_files(
    given: str, adapter: Adapter, known: Mapping[str, Delivery], folder: Path, seen: Known
) -> _Matched:
    """Match the files of an input with feeds and lookups.

    Files with the same content are one delivery. It belongs to all feeds that any of these files matches. A file that
    another one is prepared of is read as that one. folder: of the landing area, for prepared files. seen: hashes of
    files, to which new ones are added.
    """
    files: dict[str, InputFile] = {}
    feeds: dict[str, set[str]] = {}
    read: dict[str, str] = {}
    inbox = list_inbox(given)
    skipped = dict(inbox.skipped)
    made = prepare(adapter.prepared, inbox.places, adapter.csv, seen, folder)
    sources = sources_of(made)
    for place in (*(each.place for each in made), *inbox.places):
        # A member of an archive goes by its own name, or else by the archive's.
        is_made = place.relative in set(sources.values())
        names = _feeds(adapter, place.member, is_made) or _feeds(adapter, place.relative, is_made)
        if not names and sources.get(place.relative) in read:
            read[place.relative] = read[sources[place.relative]]
            continue
        if not names:
            skipped[place.relative] = f"matches no table of the source {adapter.name}"
            continue
        file = fingerprint(place, seen)
        files.setdefault(file.delivery_id, file)
        feeds.setdefault(file.delivery_id, set()).update(names)
        read[place.relative] = file.delivery_id
    fed = {name for names in (*feeds.values(), *(d.tables for d in known.values())) for name in names}
    lookups = find_lookups(adapter, inbox.places, seen, set(stored_lookups(folder)), fed)
    joined = {path: found.part.name for found in lookups for path in found.landed.sources if path not in read}
    skipped = {path: reason for path, reason in skipped.items() if path not in joined}
    if not files and not (joined and known):
        patterns = "; ".join(f"{n}: {', '.join(f.patterns)}" for n, f in adapter.feeds.items())
        raise InputError(
            f"no file of {given} matches a table of the source {adapter.name}: found {_shorten(list(skipped))}; "
            f"expected {patterns}"
        )
    for delivery_id, fed in feeds.items():
        if delivery_id in known:
            fed.update(set(known[delivery_id].tables) & set(adapter.feeds))
    return _Matched(files, feeds, skipped, read, joined, lookups)


def _feeds(adapter: Adapter, name: str, is_made: bool) -> list[str]:
    """Return the feeds that a file belongs to. is_made: a prepared file, which only its own patterns mean."""
    return [
        feed.name
        for feed in adapter.feeds.values()
        if feed.matches(name) and (not is_made or any(p.startswith(f"{FOLDER}/") for p in feed.patterns))
    ]


def _not_landed(
    files: Mapping[str, InputFile],
    feeds: Mapping[str, set[str]],
    adapter: Adapter,
    known: Mapping[str, Delivery],
) -> list[InputFile]:
    """Return the files that are not landed yet, or were landed with another version of the adapter."""
    return [f for i, f in files.items() if not _is_landed(known.get(i), feeds[i], adapter)]


def _check_former_feeds(
    folder: Path, adapter: Adapter, known: Mapping[str, Delivery], files: Collection[str]
) -> None:
    """Raise InputError if a feed was replaced by others, and a file is not there to be landed for them.

    files: the deliveries that are in the input.
    """
    for delivery in known.values():
        for name, feed in delivery.tables.items():
            if name in adapter.feeds or feed.table not in adapter.tables or delivery.delivery_id in files:
                continue
            if any(other.name not in delivery.tables for other in adapter.tables[feed.table]):
                raise InputError(
                    f"{delivery.path} was landed for the feed {name} of {feed.table}, but {adapter.path} now has "
                    f"the feeds {', '.join(f.name for f in adapter.tables[feed.table])}. Put the file back so that "
                    f"it is landed again, or delete {folder} to begin with the files that are there."
                )


def _is_landed(found: Delivery | None, feeds: Collection[str], adapter: Adapter) -> bool:
    return found is not None and all(
        name in found.tables and found.tables[name].landing_version == adapter.landing_version(name)
        for name in feeds
    )


def _read_delivery(content: dict[str, Any]) -> Delivery:
    """Return a delivery of a manifest. Those that were written before there were feeds have tables only."""
    tables = {name: LandedFeed(**{"table": name} | feed) for name, feed in content["tables"].items()}
    return Delivery(**{**content, "tables": tables})


def _delivery(file: InputFile, landed: LandedFile, known: Mapping[str, Delivery], now: datetime) -> Delivery:
    """Return the delivery of a file. A file that is landed again keeps the time of its first landing."""
    before = known.get(file.delivery_id)
    return Delivery(
        delivery_id=file.delivery_id,
        path=str(file.path.absolute()),
        size=file.size,
        mtime_ns=file.mtime_ns,
        landed_at=before.landed_at if before else str(now),
        history=before.history if before else not known,
        tables=landed.feeds,
        decided=landed.decided,
    )


def _shorten(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
