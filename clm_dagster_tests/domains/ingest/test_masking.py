"""Messages show the form of a value and no value."""

import pytest

from clm_dagster.domains.ingest.masking import form_of, shown_name, shown_names


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("Jane Doe", "'xxxx xxx'"),
        ("+44 20 7946 0018", "'+99 99 9999 9999'"),
        ("-4.50", "'-9.99'"),
        ("Zoë", "'xxx'"),
        ("٣", "'9'"),
        ("", "''"),
        (7, "'9'"),
    ],
)
def test_the_form_of_a_value_keeps_signs_and_nothing_else(value: object, form: str) -> None:
    assert form_of(value) == form


def test_a_long_value_is_cut() -> None:
    assert form_of("a" * 500) == repr("x" * 40 + " ...")


def test_a_row_in_the_place_of_names_is_masked_as_a_whole() -> None:
    row = ["Jane Doe", "jane@example.com", "2024-01-05"]
    assert "Jane" not in shown_names(row) and "is the header missing?" in shown_names(row)
    assert shown_name("Jane Doe", row) == "'xxxx xxx'"
    assert shown_names(["Kunde", "Order No. 2", "E-Mail"]) == "Kunde, Order No. 2, E-Mail"
    assert shown_name("Kunde", ["Kunde"]) == "'Kunde'"
