"""Sentences and formats of every language."""

import math
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clm_dagster.domains.report.wording import FOLDER, Wording, WordingError, languages

EN, ZH = Wording.of("en"), Wording.of("zh")
FORMAT = (FOLDER / "en.yml").read_text().split("\nfacts:")[0]


def written(folder: Path, **contents: str) -> Path:
    for code, content in contents.items():
        (folder / f"{code}.yml").write_text(content, encoding="utf-8")
    return folder


def test_english_and_chinese_say_the_same_things() -> None:
    assert languages() == ("en", "zh")
    assert EN.sentences.keys() == ZH.sentences.keys()


@pytest.mark.parametrize(
    ("said", "english", "chinese"),
    [
        (lambda w: w.number(12345.678, 2), "12,345.68", "12,345.68"),
        (lambda w: w.number(-0.001, 1), "0.0", "0.0"),
        (lambda w: w.percent(0.123), "12%", "12%"),
        (lambda w: w.percent(0.0123), "1.2%", "1.2%"),
        (lambda w: w.percent(-3.5), "-350%", "-350%"),
        (lambda w: w.points(-0.0123), "-1.2 points", "-1.2 个百分点"),
        (lambda w: w.money(1234.5, "GBP"), "£1,234", "£1,234"),
        (lambda w: w.money(99.996, "GBP"), "£100", "£100"),
        (lambda w: w.money(12.3, "CNY"), "CN¥12.30", "¥12.30"),
        (lambda w: w.money(99.4, "JPY"), "¥99", "JP¥99"),
        (lambda w: w.money(-5, "EUR"), "-€5.00", "-€5.00"),
        (lambda w: w.money(5, None), "5.00", "5.00"),
        (lambda w: w.money(Decimal("12345678901234567890.5"), "EUR"), *["€12,345,678,901,234,567,890"] * 2),
        (lambda w: w.money(1, "XQX"), "XQX1.00", "XQX1.00"),
        (lambda w: w.signed(3), "+3", "+3"),
        (lambda w: w.signed(0.3), "0", "0"),
        (lambda w: w.signed(0.00001, "percent"), "0.0%", "0.0%"),
        (lambda w: w.signed(-0.5, "percent"), "-50%", "-50%"),
        (lambda w: w.signed(250, "money", "GBP"), "+£250", "+£250"),
        (lambda w: w.day(date(2011, 6, 6)), "6 June 2011", "2011年6月6日"),
        (lambda w: w.day(datetime(2011, 6, 6, 23)), "6 June 2011", "2011年6月6日"),
        (lambda w: w.short_day(date(2011, 6, 6)), "6 Jun", "6月6日"),
        (lambda w: w.month(date(2011, 6, 6)), "June 2011", "2011年6月"),
        (lambda w: w.listed(["a", "b", "c"]), "a, b and c", "a、b和c"),
        (lambda w: w.listed(["a"]), "a", "a"),
        (lambda w: w.listed([]), "", ""),
        (lambda w: w.money(math.nan, "EUR"), "unknown", "未知"),
        (lambda w: w.percent(math.inf), "unknown", "未知"),
        (lambda w: w.number(None), "unknown", "未知"),
        (lambda w: w.day(None), "unknown", "未知"),
        (lambda w: w.say("facts.count.customers", n=1), "1 customer", "1 位客户"),
        (lambda w: w.say("facts.count.customers", n=0), "0 customers", "0 位客户"),
        (lambda w: w.say("facts.count.customers", n=1234), "1,234 customers", "1,234 位客户"),
    ],
)
def test_formats(said, english, chinese) -> None:  # type: ignore[no-untyped-def]
    assert (said(EN), said(ZH)) == (english, chinese)


@given(st.floats(), st.sampled_from(["GBP", "CNY", "JPY", None]))
def test_every_number_has_a_text(value: float, currency: str | None) -> None:
    for wording in (EN, ZH):
        texts = [
            wording.number(value, 1),
            wording.percent(value),
            wording.points(value),
            wording.money(value, currency),
            wording.signed(value, "money", currency),
        ]
        assert all(texts)
        assert not any("nan" in text or "inf" in text for text in texts)
        assert all(("-0" in text) <= (not math.isfinite(value) or value < 0) for text in texts)


def test_unknown_language_is_named(tmp_path: Path) -> None:
    with pytest.raises(WordingError, match=r"no language 'fr'; expected one of en, zh .*CLM_REPORT_LANGUAGE"):
        Wording.of("fr")


def test_missing_sentence_and_value_are_named() -> None:
    with pytest.raises(WordingError, match=r"en.yml has no sentence 'facts.nothing'"):
        EN.say("facts.nothing")
    with pytest.raises(WordingError, match=r"needs a value for 'points'"):
        EN.say("format.points")
    with pytest.raises(WordingError, match="depends on the number n"):
        EN.say("facts.count.customers")


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("a: {b: x, c: y}", "a: {b: x}", r"fr.yml lacks a.c"),
        ("a: {b: x}", "a: {b: x, c: y}", r"en.yml lacks a.c"),
        (
            "a: '{n} and {m}'",
            "a: '{n}'",
            r"placeholders of a differ: en.yml has \{m\}, \{n\}, fr.yml has \{n\}",
        ),
        ("a: {one: '{m}', other: '{n}'}", "a: '{n}'", r"form one of a has placeholders"),
        ("a: x", "a: '{n'", r"no sentence with \{placeholders\}"),
        ("a: x", "a: 3", r"a is 3; expected a sentence"),
        ("a: x", "a: {}", r"a is \{\}; expected a sentence"),
        ("a: x", "a: {one: y}", r"a has plural forms; expected texts, and one of them for `other`"),
        ("a: x", "- x", r"expected sections of sentences"),
        ("a: x", "a: [", r"expected YAML in UTF-8"),
    ],
)
def test_languages_that_differ_are_refused(tmp_path: Path, first: str, second: str, message: str) -> None:
    with pytest.raises(WordingError, match=message):
        Wording.of("en", written(tmp_path, en=first, fr=second))


def test_a_further_language_is_one_more_file(tmp_path: Path) -> None:
    for code in ("en", "zh"):
        (tmp_path / f"{code}.yml").write_bytes((FOLDER / f"{code}.yml").read_bytes())
    text = (
        (FOLDER / "en.yml")
        .read_text()
        .replace("locale: en", "locale: pl")
        .replace("name: English", "name: polski")
    )
    customers = "{one: '{n} klientka', few: '{n} klientki', many: '{n} klientek', other: '{n} klientki'}"
    text = text.replace('{one: "{n} customer", other: "{n} customers"}', customers)
    written(tmp_path, pl=text)
    polish = Wording.of("pl", tmp_path)
    assert [polish.say("facts.count.customers", n=n) for n in (1, 3, 5)] == [
        "1 klientka",
        "3 klientki",
        "5 klientek",
    ]
    assert polish.money(1234.5, "PLN") == "1\u00a0234\u00a0zł"
    assert polish.number(0.5, 1) == "0,5"


def test_values_are_not_templates() -> None:
    assert "{name}" in EN.say("format.points", points="{name}")


def test_digest_follows_the_sentences(tmp_path: Path) -> None:
    text = (FOLDER / "en.yml").read_text()
    other = Wording.of("en", written(tmp_path, en=text.replace("unknown", "not known")))
    assert other.digest != EN.digest == Wording("en", dict(EN.sentences)).digest
