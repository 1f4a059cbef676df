"""Pseudonyms of customers on the page: keyed hashes of their ids.

Belongs here: the key of the shop, a pseudonym, whose it is. Does not: where the page shows it (`sections`).

Ids of a shop can be guessed, often they are numbers. A hash without a key could be computed for all of them, so that a
page that is passed on would name its customers. The key is a file in the data folder, which only its owner can read. It
stays the same, so that a customer has the same pseudonym on each page; a backup contains it.
"""

import hmac
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile

from clm_dagster.errors import UserError
from clm_dagster.platform.publish.reading import connect_published
from clm_dagster.settings import Settings
from clm_dagster.storage import PSEUDONYM_KEY

_BYTES = 32
# Bytes of a block of SHA-256, to which HMAC fills up the key.
_BLOCK = 64
# Ten hexadecimal digits: of a million customers, two or none share a pseudonym.
_DIGITS = 10
_TABLE = "marts.churn_scores"


class PseudonymError(UserError):
    """A key that is none, or a pseudonym that is nobody's. The message says what to do."""


@dataclass(frozen=True)
class Pseudonyms:
    """The pseudonyms of a shop, by its secret key."""

    key: bytes = field(repr=False)

    def of(self, customer_id: str) -> str:
        """Return the pseudonym of a customer."""
        return f"c{hmac.new(self.key, customer_id.encode(), sha256).hexdigest()[:_DIGITS]}"

    def sql(self, column: str) -> str:
        """Return SQL for the pseudonyms of the ids in a column. It holds the key: nothing may store or show it."""
        inner, outer = (
            bytes(byte ^ pad for byte in self.key.ljust(_BLOCK, b"\0")).hex() for pad in (0x36, 0x5C)
        )
        # The definition of HMAC (RFC 2104) with the hash function of DuckDB.
        message = f"unhex(sha256(unhex('{inner}') || encode({column})))"
        return f"'c' || left(sha256(unhex('{outer}') || {message}), {_DIGITS})"

    @classmethod
    def of_shop(cls, settings: Settings) -> "Pseudonyms":
        """Return the pseudonyms of a shop; make its key if it has none. Raise PseudonymError if that is damaged."""
        path = settings.data_dir.resolve() / PSEUDONYM_KEY
        if not path.exists():
            _make(path)
        text = path.read_text(encoding="ascii", errors="replace").strip()
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(key) != _BYTES:
            raise PseudonymError(
                f"{path}: expected {2 * _BYTES} hexadecimal digits, the key of the pseudonyms on the page, found "
                f"{len(text)} characters. Restore it from a backup; or remove it: then a new key is made, and "
                "customers get new pseudonyms"
            )
        return cls(key)


def _make(path: Path) -> None:
    """Make a key. Where another process makes one at the same time, the first one stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", suffix=".tmp", encoding="ascii"
    ) as scratch:
        # Only its owner can read what NamedTemporaryFile makes, whatever the umask is.
        scratch.write(secrets.token_hex(_BYTES) + "\n")
        scratch.flush()
        os.fsync(scratch.fileno())
        try:
            os.link(scratch.name, path)
        except FileExistsError:
            return


def customers_of(settings: Settings, pseudonym: str) -> Sequence[str]:
    """Return the ids of the customers with a pseudonym, of all who were ever scored; hardly ever more than one.

    Raise PseudonymError if there is none, SettingsError if nothing was published.
    """
    pseudonyms = Pseudonyms.of_shop(settings)
    wanted = pseudonym.strip().lower()
    with connect_published(settings, "the customer of a pseudonym") as connection:
        rows = (
            []
            if connection.relation_kind(_TABLE) is None
            else connection.execute(f"select distinct customer_id from {_TABLE} order by customer_id")
        )
    found = [customer_id for (customer_id,) in rows if pseudonyms.of(customer_id) == wanted]
    if not found:
        raise PseudonymError(
            f"no customer has the pseudonym {pseudonym!r}; expected c and {_DIGITS} hexadecimal digits, as on a "
            "page of this shop. Pages that were written with another key than that of this data folder have other ones"
        )
    return found
