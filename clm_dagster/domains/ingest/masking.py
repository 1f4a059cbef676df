"""What a message may show of a shop's rows: the form of a value, never the value.

Belongs here: masking values and names. Does not: the messages. Messages stand in Dagster's event log and go to
webhooks; the rows themselves stay in the files and in raw.rejects.
"""

import re
from collections.abc import Sequence

_MOST_CHARACTERS = 40
# What a name of a column never is: an address, a number, a date, a phone number.
_DATA = re.compile(r"@|^[\s+(-]*\d[\d\s.,:/()Tt+-]*$")


def form_of(value: object) -> str:
    """Return the form of a value: x for each letter, 9 for each digit, and all other characters as they are.

    >>> form_of("jane.doe@example.com"), form_of("-4.50")
    ("'xxxx.xxx@xxxxxxx.xxx'", "'-9.99'")
    """
    text = str(value)
    form = "".join("9" if c.isdigit() else "x" if c.isalpha() else c for c in text[:_MOST_CHARACTERS])
    return repr(form + (" ..." if len(text) > _MOST_CHARACTERS else ""))


def shown_names(names: Sequence[str]) -> str:
    """Return the names of a file's columns for a message; only their forms if they are a row of data.

    A file without a header has its first row in the place of names.
    """
    if _is_data(names):
        forms = ", ".join(map(form_of, names))
        return f"a row of data of the form {forms} (is the header missing?)"
    return ", ".join(names)


def shown_name(name: str, names: Sequence[str]) -> str:
    """Return one of the names of a file's columns for a message, or its form as `shown_names` does."""
    return form_of(name) if _is_data(names) else repr(name)


def _is_data(names: Sequence[str]) -> bool:
    return any(_DATA.search(name) for name in names)
