"""Damage of the landing area: what of it is missing or cut short.

Belongs here: finding damaged files, reading the state of the landing area. Does not: landing them anew (`landing`).

A day that is missing, or a Parquet file without its end, was deleted or cut short after it was landed: by a full disk,
an incomplete copy, a backup. A Parquet file ends with its footer, so one that is cut short has no end.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.files import InputFile

if TYPE_CHECKING:
    from clm_dagster.domains.ingest.landing import Delivery

_MAGIC = b"PAR1"
_SHOWN = 3


def is_whole(path: Path) -> bool:
    """Whether a Parquet file exists with its start and its end."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
            size = file.seek(0, 2)
            file.seek(max(size - 8, 0))
            end = file.read(8)
    except FileNotFoundError:
        return False
    footer = int.from_bytes(end[:4], "little")
    return start == _MAGIC and end[4:] == _MAGIC and footer + 12 <= size


def find_damage(folder: Path, deliveries: Iterable["Delivery"]) -> dict[str, list[Path]]:
    """Return the deliveries of which landed rows are lost, each with what is missing or cut short.

    folder: the landing area.
    """
    from clm_dagster.domains.ingest.parquet_writer import WHOLE_FILE, day_name

    checked: dict[Path, Path | None] = {}

    def lost(place: Path) -> Path | None:
        if place not in checked:
            files = list(place.iterdir()) if place.is_dir() else [place]
            checked[place] = next((file for file in files if not is_whole(file)), None if files else place)
        return checked[place]

    found: dict[str, list[Path]] = {}
    for delivery in deliveries:
        for feed, landed in delivery.tables.items():
            part = folder / feed / landed.part
            places = [part / day_name(day) for day in landed.days]
            if (part / WHOLE_FILE).exists():
                places.append(part / WHOLE_FILE)
            for place in places:
                if (bad := lost(place)) is not None:
                    found.setdefault(delivery.delivery_id, []).append(bad)
    return found


def check_restorable(
    damage: Mapping[str, list[Path]],
    known: Mapping[str, "Delivery"],
    files: Mapping[str, InputFile],
    given: str,
) -> None:
    """Raise InputError for damaged deliveries whose files are not in the input any more."""
    gone = [known[delivery] for delivery in damage if delivery not in files]
    if not gone:
        return
    listed = "; ".join(f"{damage[d.delivery_id][0]} of {d.path} ({d.rows:,} rows)" for d in gone[:_SHOWN])
    more = f" and {len(gone) - _SHOWN:,} more files" if len(gone) > _SHOWN else ""
    raise InputError(
        f"landed rows are lost: {listed}{more}. Put these files back into {given}, so that they are landed anew, or "
        "restore the landing area from a backup, and run again. What is loaded already is still in the warehouse."
    )


def read_state(path: Path, remedy: str) -> dict[str, Any]:
    """Return a JSON file of the landing area. Raise InputError with a remedy if it is damaged."""
    try:
        content = json.loads(path.read_text())
    except ValueError as error:  # no JSON, or no text
        raise InputError(f"{path} is damaged ({error}). {remedy}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged: expected a JSON object. {remedy}")
    return content
