"""The databases in CLM_PUBLISH_TO.

Belongs here: their names, addresses and kinds. Does not: connecting to them (`targets`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import SecretStr

from clm_dagster.domains.warehouses.errors import PublishError
from clm_dagster.platform.secrets import secrets_in
from clm_dagster.settings import reveal

if TYPE_CHECKING:
    import sqlalchemy as sa

VARIABLE = "CLM_PUBLISH_TO"
POSTGRESQL, SNOWFLAKE, BIGQUERY = "postgresql", "snowflake", "bigquery"
KINDS = (POSTGRESQL, SNOWFLAKE, BIGQUERY)
_OTHER_NAMES = {"postgres": POSTGRESQL}
# The published copy has this name among the assets.
_TAKEN = "warehouse"
_PART = re.compile(r"(?:(?P<name>\w+)=)?(?P<address>\S+)")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_SCHEME = re.compile(r"(?P<kind>[a-z]+)(?:\+\w+)?://")


@dataclass(frozen=True)
class Destination:
    """A database that gets tables. address: as it is written; it may be a secret, or refer to one.

    kind: what it is, None where only the file or the variable says so.
    """

    name: str
    address: SecretStr
    kind: str | None

    def url(self) -> "sa.URL":
        """Return the address. Raise PublishError, SettingsError, without showing it."""
        import sqlalchemy as sa

        text = reveal(self.address, f"{VARIABLE} ({self.name})")
        try:
            url = sa.make_url(text)
        except (sa.exc.ArgumentError, ValueError):
            url = None
        kind = _kind(text)
        if url is None or kind is None:
            raise PublishError(
                f"{VARIABLE} ({self.name}) is no address of a database; expected one like "
                f"postgresql://user:password@host/db that starts with {', '.join(f'{kind}://' for kind in KINDS)}"
            )
        return url.set(drivername=kind)

    def secrets(self) -> set[str]:
        """Return the texts that no message may show."""
        written = self.address.get_secret_value()
        try:
            revealed = reveal(self.address, VARIABLE)
        except ValueError:
            revealed = written
        return secrets_in({"url": written, "revealed": revealed}) | {written, revealed} - {""}


def split_destinations(addresses: SecretStr) -> list[Destination]:
    """Return the destinations of the setting. Raise ValueError, which shows no address."""
    found: list[Destination] = []
    for number, part in enumerate(filter(None, map(str.strip, addresses.get_secret_value().split(","))), 1):
        match = _PART.fullmatch(part)
        address = match["address"] if match else part
        kind = _kind(address)
        name = match["name"] if match and match["name"] else kind
        if name is None:
            raise ValueError(
                f"address {number} does not start with {', '.join(f'{kind}://' for kind in KINDS)}; write a name "
                "before it, as in dwh=file:/run/secrets/dwh_url. A comma in a password is %2C"
            )
        if not _NAME.fullmatch(name) or name == _TAKEN:
            raise ValueError(
                f"{name!r} is not a name for a destination; expected small letters, digits and underscores, and not "
                f"{_TAKEN!r}, the published copy"
            )
        if name in [other.name for other in found]:
            raise ValueError(
                f"two addresses are called {name!r}; write another name before one: name=address"
            )
        found.append(Destination(name, SecretStr(address), kind))
    return found


def chosen(found: Sequence[Destination], name: str | None) -> list[Destination]:
    """Return the destination of a name, all without one. Raise PublishError if there is none."""
    if not found:
        raise PublishError(
            f"there is nothing to publish to: the setting {VARIABLE} is empty. Set it, for example to "
            "postgresql://user:${PASSWORD}@host/db; see 'Warehouses' in the documentation"
        )
    kept = [each for each in found if name in (None, each.name)]
    if not kept:
        names = ", ".join(each.name for each in found)
        raise PublishError(f"{VARIABLE} has no destination {name!r}; it has {names}")
    return kept


def _kind(address: str) -> str | None:
    scheme = _SCHEME.match(address)
    kind = _OTHER_NAMES.get(scheme["kind"], scheme["kind"]) if scheme else None
    return kind if kind in KINDS else None
