"""E-mail addresses, which the warehouse does not have: read at export time, never stored, logged or reported.

Belongs here: the file of addresses, their normal forms and hashes. Does not: which destination needs them
(`destinations`).
"""

import csv
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from clm_dagster.domains.actions.exports.cells import is_formula
from clm_dagster.domains.actions.exports.errors import ExportError

_COLUMNS = ("customer_id", "email")
_ADDRESS = re.compile(r"[^\s@,;\"<>()\[\]]+@[^\s@,;\"<>()\[\]]+\.[^\s@,;\"<>()\[\].]+")
_INVISIBLE = re.compile(r"[\s\u00ad\u200b-\u200f\u2060\ufeff]+")
_HASH = re.compile(r"[0-9a-fA-F]{64}")
# Domains of which Google ignores dots and what follows a plus sign.
_GMAIL = ("gmail.com", "googlemail.com")


def read_addresses(path: Path) -> dict[str, str]:
    """Return the address of each customer in a CSV file. Leave out what is no address.

    Raise ExportError, which names lines and never their content.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read(path, csv.reader(file))
    except OSError as error:
        raise ExportError(f"the file of addresses {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ExportError(f"the file of addresses {path} is not UTF-8; save it as CSV in UTF-8") from None
    except csv.Error:
        raise ExportError(f"the file of addresses {path} is no CSV file; expected {_expected()}") from None


def _expected() -> str:
    return f"a header with the columns {' and '.join(_COLUMNS)}, separated by commas"


def _read(path: Path, rows: "csv._reader") -> dict[str, str]:  # type: ignore[name-defined]
    header = [name.strip().lower() for name in next(rows, [])]
    if any(header.count(name) != 1 for name in _COLUMNS):
        # What was found is not shown: without a header, it is an address.
        raise ExportError(f"the file of addresses {path} starts with another header; expected {_expected()}")
    customer, email = (header.index(name) for name in _COLUMNS)
    found: dict[str, str] = {}
    for row in rows:
        if not row:
            continue
        if len(row) != len(header):
            raise ExportError(
                f"the file of addresses {path}, line {rows.line_num}: {len(row)} cells, but the header has "
                f"{len(header)}; put cells with commas into quotes"
            )
        key, address = row[customer].strip(), _INVISIBLE.sub("", row[email])
        if not is_address(address):
            continue
        if found.setdefault(key, address) != address:
            raise ExportError(
                f"the file of addresses {path}, line {rows.line_num}: the customer has another address above; "
                "keep one line for each customer"
            )
    return found


def is_address(text: str) -> bool:
    """Return whether a text can be an address. One that a spreadsheet would run as a formula cannot be sent."""
    return _ADDRESS.fullmatch(text) is not None and not is_formula(text)


def sha256_address(address: str, is_google: bool = False) -> str:
    """Return the SHA-256 of an address in lower case without blanks, as lower-case hex digits.

    is_google: whether to use Google's form, in which Gmail addresses have neither dots nor what follows a plus sign.
    """
    plain = _INVISIBLE.sub("", address).lower()
    if is_google:
        local, _, domain = plain.rpartition("@")
        if domain in _GMAIL:
            plain = f"{local.partition('+')[0].replace('.', '')}@{domain}"
    return hashlib.sha256(plain.encode()).hexdigest()


def hashed(
    customer_id: str, email_hash: str | None, addresses: Mapping[str, str], is_google: bool
) -> str | None:
    """Return the hash of a customer's address: of the file, else the shop's own if it is a SHA-256; else None."""
    if customer_id in addresses:
        return sha256_address(addresses[customer_id], is_google)
    own = (email_hash or "").strip()
    return own.lower() if _HASH.fullmatch(own) else None
