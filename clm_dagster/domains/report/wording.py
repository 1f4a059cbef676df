"""Words of the report: sentences of a language, and numbers, money and dates as its readers write them.

Belongs here: reading `languages/<code>.yml`, filling sentences, formatting. Does not: which sentence is said (`facts`),
how the page looks.

A language is one file. Its leaves are sentences with `{placeholders}`. A sentence that depends on a number has a form
for each plural category of its language; the number is the placeholder `n`. All files have the same keys and, key by
key, the same placeholders, and so no language can leave out a number.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any

import yaml

from clm_dagster.errors import UserError

if TYPE_CHECKING:
    from babel import Locale

FOLDER = Path(__file__).parent / "languages"
# The language in which other files are compared.
FIRST = "en"
# Definitions read all languages, so the fast one where it is compiled.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CATEGORIES = frozenset({"zero", "one", "two", "few", "many", "other"})
_FORM = "n"
# Values that are formatted by a language before they go into a sentence.
Number = int | float | Decimal


class WordingError(UserError):
    """A language is missing, or its file does not say what the others say."""


def languages(folder: Path = FOLDER) -> tuple[str, ...]:
    """Return the codes of all languages: the names of the files, `en` first."""
    found = sorted(path.stem for path in folder.glob("*.yml"))
    return tuple(sorted(found, key=lambda code: code != FIRST))


@dataclass(frozen=True)
class Wording:
    """The words of one language. sentences: by key, with a text for each plural category."""

    language: str
    sentences: Mapping[str, Mapping[str, str]] = field(repr=False)

    @classmethod
    def of(cls, language: str, folder: Path = FOLDER) -> "Wording":
        """Return a language. Raise WordingError if it has no file, or if any two files do not say the same."""
        found = _read_all(folder)
        if language not in found:
            raise WordingError(
                f"the report has no language {language!r}; expected one of {', '.join(found)} (setting "
                f"CLM_REPORT_LANGUAGE). A language is a file {folder.name}/{language}.yml"
            )
        return found[language]

    @property
    def locale(self) -> "Locale":
        """Babel's locale."""
        return _locale(self.sentences["format.locale"]["other"])

    @property
    def digest(self) -> str:
        """Hash of all sentences, for versions of what is written with them."""
        return sha256(
            repr(sorted((key, sorted(forms.items())) for key, forms in self.sentences.items())).encode()
        ).hexdigest()[:16]

    def has(self, key: str) -> bool:
        """Whether there is a sentence of this key."""
        return key in self.sentences

    def name(self, kind: str, code: str, place: str) -> str | None:
        """Return the name of a code, such as a segment, from the common list or that of a place; None if unknown."""
        # A dot in a code would name another sentence.
        keys = () if "." in code else (f"names.{kind}.{code}", f"{place}.{kind}.{code}")
        return next((self.say(key) for key in keys if self.has(key)), None)

    def say(self, key: str, **values: object) -> str:
        """Return a sentence with its values. Raise WordingError for an unknown key, and for a missing value.

        Numbers are formatted without decimals, dates as days; everything else is taken as it is: format it first.
        """
        forms = self.sentences.get(key)
        if forms is None:
            raise WordingError(f"{self.language}.yml has no sentence {key!r}")
        form = forms["other"]
        if len(forms) > 1:
            count = values.get(_FORM)
            if not isinstance(count, int | float | Decimal):
                raise WordingError(
                    f"{self.language}.yml: the form of {key!r} depends on the number n; give one"
                )
            form = forms.get(self.locale.plural_form(abs(float(count))), form)
        try:
            return form.format_map({name: self._text(value) for name, value in values.items()})
        except KeyError as error:
            raise WordingError(
                f"{self.language}.yml: the sentence {key!r} needs a value for {error}"
            ) from None

    def number(self, value: Number | None, digits: int = 0) -> str:
        """Return a number with a fixed count of decimals."""
        from babel.numbers import format_decimal

        if (exact := _decimal(value)) is None:
            return self.missing
        with localcontext(_WIDE):
            return format_decimal(
                _rounded(exact, digits), format="#,##0" + _decimals(digits), locale=self.locale
            )

    def percent(self, value: Number | None, digits: int | None = None) -> str:
        """Return a share as a percentage; below ten percent with one decimal, if `digits` is None."""
        from babel.numbers import format_percent

        if (exact := _decimal(value)) is None:
            return self.missing
        places = digits if digits is not None else _percent_digits(exact)
        with localcontext(_WIDE):
            return format_percent(
                _rounded(exact, places + 2), format="#,##0" + _decimals(places) + "%", locale=self.locale
            )

    def points(self, value: Number | None, digits: int = 1) -> str:
        """Return a difference of two shares in percentage points, with its sign."""
        exact = _decimal(value)
        if exact is None:
            return self.missing
        return self.say("format.points", points=self.signed(exact * 100, digits=digits))

    def money(self, value: Number | None, currency: str | None, digits: int | None = None) -> str:
        """Return an amount in a currency, or as a bare number if there is none.

        Without `digits`, amounts from 100 on have no decimals and smaller ones those of the currency.
        """
        from babel.numbers import format_currency, get_currency_precision

        exact = _decimal(value)
        if exact is None:
            return self.missing
        if digits is None:
            # What rounds to 100 is shown as 100.
            digits = 0 if abs(exact) >= Decimal("99.995") else get_currency_precision(currency or "EUR")
        if not currency:
            return self.number(exact, digits)
        pattern = self.locale.currency_formats["standard"].pattern
        positive = pattern.split(";")[0].replace("0.00", "0" + _decimals(digits))
        with localcontext(_WIDE):
            return format_currency(
                _rounded(exact, digits), currency, format=positive, locale=self.locale, currency_digits=False
            )

    def signed(
        self,
        value: Number | None,
        unit: str = "count",
        currency: str | None = None,
        digits: int | None = None,
    ) -> str:
        """Return a change with its sign, also if it is positive. unit: count, percent or money. No sign for zero."""
        text = self._unsigned(value, unit, currency, digits)
        exact = _decimal(value)
        is_zero = not any(int(sign) for sign in text if sign.isdecimal())
        return text if exact is None or exact <= 0 or is_zero else f"+{text}"

    def day(self, value: date | datetime | None) -> str:
        """Return a day, with its year."""
        return self._date(value, "format.day")

    def short_day(self, value: date | datetime | None) -> str:
        """Return a day without its year, for axes and tables."""
        return self._date(value, "format.short_day")

    def month(self, value: date | datetime | None) -> str:
        """Return a month, with its year."""
        return self._date(value, "format.month")

    def country(self, code: str) -> str | None:
        """Return the name of a country by its code of two letters; None for any other text."""
        is_code = len(code) == 2 and code.isalpha() and code.isupper()
        return self.locale.territories.get("GB" if code == "UK" else code) if is_code else None

    def listed(self, parts: list[str]) -> str:
        """Return a list of phrases as the language joins them: a, b and c."""
        if len(parts) < 2:
            return "".join(parts)
        *first, last = parts
        comma = self.sentences["format.list_comma"]["other"].replace("_", " ")
        return self.say("format.list_end", first=comma.join(first), last=last)

    @property
    def missing(self) -> str:
        """What stands for a value that is not known."""
        return self.say("format.missing")

    def _unsigned(self, value: Number | None, unit: str, currency: str | None, digits: int | None) -> str:
        if unit == "money":
            return self.money(value, currency, digits)
        if unit == "percent":
            return self.percent(value, digits)
        return self.number(value, digits or 0)

    def _date(self, value: date | datetime | None, key: str) -> str:
        from babel.dates import format_date

        if value is None or value != value:
            return self.missing
        day = value.date() if isinstance(value, datetime) else value
        return format_date(day, self.sentences[key]["other"], locale=self.locale)

    def _text(self, value: object) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, int | float | Decimal):
            return self.number(value)
        if isinstance(value, date) or value is None:
            return self.day(value)
        return str(value)


def _decimals(digits: int) -> str:
    return "." + "0" * digits if digits else ""


# Wide enough for the sums of any shop, where the default context has 28 digits.
_WIDE = Context(prec=400, rounding=ROUND_HALF_EVEN)


def _decimal(value: Number | None) -> Decimal | None:
    """Return a number without a negative zero; None for none, and for one that is not finite."""
    if value is None or not math.isfinite(value):
        return None
    exact = Decimal(str(value))
    return exact if exact else abs(exact)


def _rounded(exact: Decimal, digits: int) -> Decimal:
    rounded = exact.quantize(Decimal(1).scaleb(-digits), context=_WIDE)
    return rounded if rounded else abs(rounded)


def _percent_digits(share: Decimal) -> int:
    return 0 if abs(share) >= Decimal("0.0995") or not share else 1


@lru_cache
def _locale(name: str) -> "Locale":
    from babel import Locale

    return Locale.parse(name)


@lru_cache
def _read_all(folder: Path) -> Mapping[str, Wording]:
    """Return all languages. Raise WordingError if one differs from another in its keys or placeholders."""
    found = {code: _read(folder / f"{code}.yml") for code in languages(folder)}
    problems = [*_problems(found)]
    if problems:
        raise WordingError("; ".join(problems))
    return {code: Wording(code, sentences) for code, sentences in found.items()}


def _read(path: Path) -> dict[str, dict[str, str]]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WordingError(f"{path}: expected YAML in UTF-8; {error}") from None
    if not isinstance(content, dict):
        raise WordingError(f"{path}: expected sections of sentences, found none")
    return dict(_leaves(path, content, ""))


def _leaves(path: Path, node: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, dict[str, str]]]:
    for name, value in node.items():
        key = f"{prefix}{name}"
        if isinstance(value, str):
            yield key, {"other": value}
        elif not isinstance(value, dict) or not value:
            raise WordingError(f"{path}: {key} is {value!r}; expected a sentence or sentences below it")
        elif value.keys() <= _CATEGORIES:
            if not all(isinstance(form, str) for form in value.values()) or "other" not in value:
                raise WordingError(
                    f"{path}: {key} has plural forms; expected texts, and one of them for `other`"
                )
            yield key, dict(value)
        else:
            yield from _leaves(path, value, f"{key}.")


def _problems(found: Mapping[str, Mapping[str, Mapping[str, str]]]) -> Iterator[str]:
    """Yield what differs between the languages."""
    keys = {key: None for sentences in found.values() for key in sentences}
    for code, sentences in found.items():
        if absent := [key for key in keys if key not in sentences]:
            yield f"{code}.yml lacks {', '.join(absent)}"
    for key in keys:
        said = {code: sentences[key] for code, sentences in found.items() if key in sentences}
        names = {code: placeholders(forms["other"]) for code, forms in said.items()}
        if len(set(names.values())) > 1:
            listed = ", ".join(f"{code}.yml has {_shown(names[code])}" for code in names)
            yield f"the placeholders of {key} differ: {listed}"
        for code, forms in said.items():
            yield from _problems_of_forms(code, key, forms)


def _problems_of_forms(code: str, key: str, forms: Mapping[str, str]) -> Iterator[str]:
    for category, form in forms.items():
        if not placeholders(form) <= placeholders(forms["other"]) | {_FORM}:
            yield f"{code}.yml: the form {category} of {key} has placeholders that the form other lacks"


def _shown(names: frozenset[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(names)) or "none"


def placeholders(text: str) -> frozenset[str]:
    """Return the names in braces of a sentence. Raise WordingError for one that is no template."""
    try:
        return frozenset(name for _, name, _, _ in Formatter().parse(text) if name is not None)
    except ValueError as error:
        raise WordingError(f"{text!r} is no sentence with {{placeholders}}: {error}") from None
