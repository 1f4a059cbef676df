"""Environment variables in what users write, and hiding their values.

Belongs here: `${NAME}` in files and options, and texts without secrets. Does not: where secrets are used (the domains).
"""

import os
import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

from clm_dagster.errors import UserError

HIDDEN = "***"
_NAME = re.compile(r"\$\{(\w+)\}")
# Shorter values, such as a port, would hide harmless parts of a message.
_SHORTEST = 4
_SECRET_KEY = re.compile(r"password|passwd|secret|token|api_?key|^key$|credential|auth", re.I)


class UnknownNameError(UserError):
    """A `${NAME}` has no value. The message says where it stands and what to set."""


def filled(value: Any, where: str, parameters: Mapping[str, object] | None = None) -> Any:
    """Return a value with `${NAME}` replaced by a parameter, or without any given, by the environment variable.

    where: what names the value in messages. Raise UnknownNameError for a name without a value.
    """
    if isinstance(value, Mapping):
        return {key: filled(item, where, parameters) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, where, parameters) for item in value]
    if not isinstance(value, str):
        return value
    known: Mapping[str, object] = os.environ if parameters is None else parameters

    def replace(found: re.Match[str]) -> str:
        if found[1] not in known:
            what = "environment variable" if parameters is None else "parameter"
            raise UnknownNameError(f"{where}: the {what} {found[1]} is not set; set it, for example in .env")
        return str(known[found[1]])

    whole = _NAME.fullmatch(value)
    if whole and parameters is not None and whole[1] in known:
        return known[whole[1]]  # keeps the type of a number
    return _NAME.sub(replace, value)


def has_names(text: str) -> bool:
    """Return whether a text refers to an environment variable."""
    return _NAME.search(text) is not None


def secrets_in(entry: Any) -> set[str]:
    """Return the values to hide of an entry that is not filled: variables, secret keys, passwords in addresses."""
    found: set[str] = set()
    _collect(entry, "", found)
    spelled = {
        spelling for value in found for spelling in (value, quote(value), quote(value, ""), quote_plus(value))
    }
    return {value for value in spelled if len(value) >= _SHORTEST}


def _collect(value: Any, key: str, found: set[str]) -> None:
    if isinstance(value, Mapping):
        for name, item in value.items():
            _collect(item, str(name), found)
    elif isinstance(value, list):
        for item in value:
            _collect(item, key, found)
    elif isinstance(value, str):
        given = [os.environ[name] for name in _NAME.findall(value) if name in os.environ]
        found.update(given)
        if _SECRET_KEY.search(key) and not _NAME.search(value):
            found.add(value)
        for address in (value, *given):
            found.update(_passwords(address))


def _passwords(address: str) -> set[str]:
    """Return the password of an address such as a database's, as it is written and decoded."""
    if "://" not in address or "${" in address:
        return set()
    try:
        password = urlsplit(address).password
    except ValueError:
        return {address}  # not an address that can be taken apart: hide all of it
    return {password, unquote(password)} if password else set()


def hidden(text: str, secrets: Collection[str]) -> str:
    """Return a text with all secrets replaced, the longest first."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text
