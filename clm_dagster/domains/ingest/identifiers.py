"""SQL that reads ids as other programs write them.

Belongs here: what makes two spellings the same id, and which texts stand for no id. Does not: which columns are ids
(`adapter`), other values (instants, numbers).
"""

import re
from collections.abc import Sequence

from clm_dagster.platform import quoting

# What programs write for a missing value, in lower case.
# "NA" is none of them: it is also the code of Namibia.
MISSING = ("", "nan", "null", "none", "nat", "nil", "undefined", "n/a", "<na>", "#n/a", "#null!", "\\n")
# A large number that a spreadsheet shortened, such as 1.23457E+12. Its last digits are lost.
_MANGLED = "^-?[0-9]+([.,][0-9]+)?[eE][+][0-9]+$"
_WHOLE_FLOAT = "^-?[0-9]+[.]0+$"
_GUARDED = '^="(.*)"$'


def _suspect(value: str, tokens: Sequence[str]) -> str:
    """Return SQL that is true for text that may need cleaning. Most ids do not, and are taken as they are."""
    words = "|".join(re.escape(token) for token in tokens if token)
    pattern = rf"^[=' ]| $|[.]0+$|^(?i:{words})?$"
    return f"regexp_matches({value}, {quoting.text(pattern)})"


def identifier(value: str) -> str:
    """Return SQL that reads text as an id.

    The guards of spreadsheets (`="0012"`, a leading apostrophe) are removed, the whole number of a float (`12345.0`)
    loses its fraction, and text for a missing value becomes null.
    """
    return f"case when {_suspect(value, MISSING)} then {_cleaned(value)} else {value} end"


def _cleaned(value: str) -> str:
    text = f"trim({value})"
    unguarded = (
        f"case when starts_with({text}, '=\"') then trim(regexp_replace({text}, '{_GUARDED}', '\\1')) "
        f"when starts_with({text}, '''') then trim(substr({text}, 2)) else {text} end"
    )
    listed = ", ".join(quoting.text(token) for token in MISSING)
    return (
        f"list_transform([{unguarded}], lambda id: case when lower(id) in ({listed}) then null "
        f"when ends_with(id, '0') and regexp_matches(id, '{_WHOLE_FLOAT}') then split_part(id, '.', 1) "
        "else id end)[1]"
    )


def customer(value: str, no_customer: Sequence[str]) -> str:
    """Return SQL that reads text as the id of a customer. no_customer: ids that mean a guest, in any case."""
    if not no_customer:
        return identifier(value)
    tokens = [token.strip().lower() for token in no_customer]
    listed = ", ".join(quoting.text(token) for token in tokens)
    kept = f"list_transform([{_cleaned(value)}], lambda id: case when lower(id) not in ({listed}) then id end)[1]"
    return f"case when {_suspect(value, [*MISSING, *tokens])} then {kept} else {value} end"


def mangled(value: str) -> str:
    """Return SQL that is true for an id that a spreadsheet wrote in scientific notation."""
    return f"(contains({value}, '+') and regexp_matches({value}, '{_MANGLED}'))"
