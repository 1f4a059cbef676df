"""Many small files read as one.

Belongs here: which delimited files are read together, and the file that holds their rows. Does not: reading a single
file (`reading`), writing parts (`parquet_writer`).

Every file that is read alone costs two statements and a folder of Parquet files, however few rows it has, so thousands
of small files would take minutes. The rows of small files with the same columns are written into one file, each with
the delivery and its row number.
"""

import csv
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from clm_dagster.domains.ingest.formats import delimited
from clm_dagster.domains.ingest.reading import PLAIN, Readable, is_rewritten

# A larger file is read faster by DuckDB itself.
_SMALL_BYTES = 1 << 20
# Files of one group: if one of them is wrong, only its group is written again.
_MOST_FILES = 2_000


def is_small(readable: Readable) -> bool:
    """Whether a file is better read together with others."""
    return readable.kind == "csv" and readable.file.size <= _SMALL_BYTES


def batches(readables: Sequence[Readable]) -> Iterator[list[Readable]]:
    """Yield the files in groups that are read together."""
    for start in range(0, len(readables), _MOST_FILES):
        yield list(readables[start : start + _MOST_FILES])


def combine(readables: Sequence[Readable], target: Path) -> list[Readable]:
    """Write the rows of files with the same columns into one file, and return each file as read from there.

    Raise InputError with file and line of a row that has another number of columns than its header.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    combined = []
    with target.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([*readables[0].columns, "_file", "_source_row"])
        for readable in readables:
            count = 0
            for count, row in enumerate(_rows(readable), 1):
                writer.writerow([*row, readable.file.delivery_id, count])
            combined.append(
                replace(
                    readable,
                    path=target,
                    dialect=PLAIN,
                    rows=count,
                    source=readable.source or readable.path,
                    alone=readable,
                )
            )
    return combined


def _rows(readable: Readable) -> Iterable[list[str]]:
    codec = "utf-8" if is_rewritten(readable) else readable.codec
    records = delimited.records(readable.path, readable.file.path, codec, readable.dialect)
    width = len(readable.columns)
    for row, line in itertools.islice(records, 1, None):
        yield delimited.fit(row, width, readable.file.path, line)
