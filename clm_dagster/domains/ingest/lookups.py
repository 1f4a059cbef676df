"""Files that feeds join, such as the campaigns beside their recipients: stored with the landed rows.

Belongs here: storing these files in the landing area, and the views in which `delivery('...')` finds them. Does not:
their entry in adapter.yml (`joins`), the files of a feed's own rows (`landing`).

    lookups.json                  the files that the last landing run found for each lookup
    lookups/<name>-<hash>.parquet all their rows as text

A lookup is all files of the input that match it. Files that are gone from the input are kept as they were found last.
The hash is that of their content. It is part of the version of the rows that join them, so a changed file makes these
rows stale. The rows themselves are not landed again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from clm_dagster.domains.ingest.adapter import Adapter
from clm_dagster.domains.ingest.damage import is_whole, read_state
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.files import InputFile, Known, Place, fingerprint
from clm_dagster.domains.ingest.joins import view_of
from clm_dagster.domains.ingest.prepared import Part
from clm_dagster.domains.ingest.preparing import digest_of, write_part
from clm_dagster.platform import quoting
from clm_dagster.platform.warehouse import Connection
from clm_dagster.storage import write_json

FOLDER, STATE = "lookups", "lookups.json"


@dataclass(frozen=True)
class LandedLookup:
    """A stored lookup. version: a hash of its content. sources: paths of its files, relative to the input."""

    name: str
    version: str
    sources: list[str] = field(default_factory=list)

    @property
    def relative(self) -> str:
        """The path of its rows in the landing area."""
        return f"{FOLDER}/{self.name}-{self.version}.parquet"


@dataclass(frozen=True)
class FoundLookup:
    """A lookup in the input, stored or not."""

    part: Part
    files: Sequence[InputFile]
    landed: LandedLookup


def stored_lookups(folder: Path) -> dict[str, LandedLookup]:
    """Return the lookups that the last landing run stored or kept, by name. folder: of the landing area."""
    path = folder / STATE
    if not path.exists():
        return {}
    remedy = "It lists the files that feeds join. Put them into the input, delete this file and run again."
    return {name: LandedLookup(**entry) for name, entry in read_state(path, remedy).items()}


def find_lookups(
    adapter: Adapter, places: Sequence[Place], known: Known, stored: Collection[str], fed: Collection[str]
) -> list[FoundLookup]:
    """Return the lookups of the input that feeds read. fed: feeds that have files.

    stored: names of lookups that are stored already, which the input may lack. Raise InputError if a file is missing.
    """
    readers = {
        name: [feed for feed in adapter.feeds if name in adapter.reads(feed).lookups]
        for name in adapter.lookups
    }
    found = []
    for name, part in adapter.lookups.items():
        of_part = [p for p in places if part.matches(p.member) or part.matches(p.relative)]
        if not readers[name]:
            continue
        if of_part:
            # In an order that does not depend on the names of folders; the same content counts once.
            files = list(
                {f.delivery_id: f for f in (fingerprint(place, known) for place in of_part)}.values()
            )
            version = digest_of((part, [file.delivery_id for file in files], sorted(adapter.csv.items())))
            landed = LandedLookup(name, version, [place.relative for place in of_part])
            found.append(FoundLookup(part, files, landed))
        elif name not in stored and not part.optional and set(readers[name]) & set(fed):
            feed = next(feed for feed in readers[name] if feed in fed)
            raise InputError(
                f"{adapter.path / 'adapter.yml'}: the feed {feed} joins the file {name}, which is missing: expected "
                f"{', '.join(part.patterns)} with the columns {', '.join(part.required)}, beside the files of the "
                "feed. If a delivery may lack it, set `optional: true`."
            )
    return found


def store_lookups(
    folder: Path, adapter: Adapter, found: Iterable[FoundLookup], stored: Mapping[str, LandedLookup]
) -> None:
    """Store the lookups of the input, and keep those that are stored and not in it. Raise InputError."""
    kept = {name: landed for name, landed in stored.items() if name in adapter.lookups}
    # A load that runs may still read the rows of the state before, but not older ones.
    needed = {landed.relative for landed in stored.values()}
    for path in (folder / FOLDER).glob("*.parquet"):
        if f"{FOLDER}/{path.name}" not in needed:
            path.unlink()
    for each in found:
        target = folder / each.landed.relative
        if not is_whole(target):
            write_part(each.part, each.files, adapter.csv, target)
        kept[each.part.name] = each.landed
    if kept == stored:
        return
    write_json(folder / STATE, {name: asdict(landed) for name, landed in kept.items()})


def version_of(adapter: Adapter, feed: str, stored: Mapping[str, LandedLookup]) -> str:
    """Return the versions of all files that a feed joins; empty for a feed without any."""
    read = adapter.reads(feed).lookups
    return "".join(f" {name} {stored[name].version if name in stored else 'absent'}" for name in read)


def create_views(connection: Connection, adapter: Adapter, feeds: Iterable[str], folder: Path) -> None:
    """Create the views in which `delivery('...')` finds the rows of lookups. Raise InputError for one not stored."""
    stored = stored_lookups(folder)
    for name in dict.fromkeys(name for feed in feeds for name in adapter.reads(feed).lookups):
        part = adapter.lookups[name]
        columns = ", ".join(quoting.name(column) for column in part.columns)
        if name in stored:
            rows = f"select {columns} from read_parquet({quoting.path(folder / stored[name].relative)})"
        elif part.optional:
            nulls = ", ".join(f"cast(null as varchar) as {quoting.name(column)}" for column in part.columns)
            rows = f"select {nulls} where false"
        else:
            raise InputError(
                f"{adapter.path / 'adapter.yml'}: the file {name} is not landed yet: expected "
                f"{', '.join(part.patterns)} in the input. Land the files again (clm run, or the asset landing/files)."
            )
        connection.execute(f"create or replace temp view {view_of(name)} as {rows}")
