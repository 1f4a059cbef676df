"""Sentences that other tables have in English only, said in the language of the page.

Belongs here: reasons of churn scores, states of campaigns, reasons of rejected rows. Does not: the sentences
(`languages`), names of plain codes (`words`). A text of a form that is not known here is shown as it is.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from clm_dagster.domains.report.wording import Wording
from clm_dagster.domains.report.words import NOTHING, Words

_ENGLISH = "en"
_UNKNOWN = "unknown"
_WAITING = re.compile(r"Not enough data yet: .*?(?:; about (?P<n>[\d,]+) customers at the present rate)?\.")
_MISMATCH = ("Customers by arm: ", "The sizes contradict the plan")
_UNREADABLE = "unreadable_"


def reason_of(words: Words, text: str | None) -> str:
    """Return a reason of a churn score. The English sentences of `page.reasons` are the forms of the model's own."""
    if text is None:
        return NOTHING
    if words.wording.language == _ENGLISH:
        return text
    for key, form in _forms().items():
        if found := form.fullmatch(text):
            return words(f"reasons.{key}", **_values(words, found.groupdict()))
    return text


def _values(words: Words, found: Mapping[str, str]) -> dict[str, str]:
    return {name: words.wording.missing if text == _UNKNOWN else text for name, text in found.items()}


@lru_cache
def _forms() -> Mapping[str, re.Pattern[str]]:
    """Return the English sentences as patterns, the longest first, because shorter ones may be part of them."""
    prefix = "page.reasons."
    said = {
        key.removeprefix(prefix): forms["other"]
        for key, forms in Wording.of(_ENGLISH).sentences.items()
        if key.startswith(prefix)
    }
    return {
        key: re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(said[key])))
        for key in sorted(said, key=lambda key: -len(said[key]))
    }


def status_of(words: Words, text: str | None) -> str:
    """Return the state of a campaign."""
    if text is None:
        return NOTHING
    if found := _WAITING.fullmatch(text):
        wanted = found["n"]
        if wanted is None:
            return words("campaigns.waiting")
        return words("campaigns.waiting_about", n=int(wanted.replace(",", "")))
    if text.startswith(_MISMATCH[0]) and _MISMATCH[1] in text:
        return words("campaigns.mismatch")
    return words.name("campaign_status", text)


def reject_of(words: Words, code: str | None) -> str:
    """Return the reason of rejected rows: a code of the contract, or of an adapter, which may be its own."""
    if code is not None and code.startswith(_UNREADABLE):
        return words("quality.unreadable", column=words.name("no_names", code.removeprefix(_UNREADABLE)))
    return words.name("reject", code)
