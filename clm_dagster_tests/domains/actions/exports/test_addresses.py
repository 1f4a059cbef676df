"""The file of addresses, normal forms and hashes."""

import hashlib
from pathlib import Path

import pytest

from clm_dagster.domains.actions.exports.addresses import hashed, read_addresses, sha256_address
from clm_dagster.domains.actions.exports.errors import ExportError


def write(folder: Path, content: bytes) -> Path:
    path = folder / "emails.csv"
    path.write_bytes(content)
    return path


def test_addresses_are_read_by_customer_and_what_is_none_is_left_out(tmp_path: Path) -> None:
    text = (
        "\ufeffname,Email , CUSTOMER_ID\n"
        'a," Ann@x.example ",c1\n'
        "b,,c2\nc,nobody,c3\nd,=cmd@x.example,c4\ne,a b@x.example,c5\n\n"
        '"f, g",+1@x.example,c6\n'
    )
    found = read_addresses(write(tmp_path, text.encode()))
    assert found == {"c1": "Ann@x.example", "c5": "ab@x.example"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"c1,ann@x.example\n", "starts with another header"),
        (b"customer_id,email\nc1,ann@x.example,secret\n", "line 2: 3 cells"),
        (
            b"customer_id,email\nc1,ann@x.example\nc1,bob@x.example\n",
            "line 3: the customer has another address",
        ),
        ("customer_id,email\nc1,\u00e4nn@x.example\n".encode("latin-1"), "not UTF-8"),
        (b"", "starts with another header"),
    ],
)
def test_a_wrong_file_is_refused_without_showing_an_address(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(ExportError, match=message) as caught:
        read_addresses(write(tmp_path, content))
    assert "x.example" not in str(caught.value) and "secret" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot be read: No such file"):
        read_addresses(tmp_path / "none.csv")


# Computed with `printf %s test@example.com | sha256sum`.
TEST = "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"


@pytest.mark.parametrize("address", ["test@example.com", " TEST@Example.com\u00a0", "\ufeffTest@example.com"])
def test_hashes_are_of_the_trimmed_lower_case_address(address: str) -> None:
    assert sha256_address(address) == sha256_address(address, is_google=True) == TEST


def test_google_ignores_dots_and_suffixes_of_gmail_only() -> None:
    def plain(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    assert sha256_address("An.N+shop@GMail.com", is_google=True) == plain("ann@gmail.com")
    assert sha256_address("a.n.n@googlemail.com", is_google=True) == plain("ann@googlemail.com")
    assert sha256_address("an.n+shop@x.example", is_google=True) == plain("an.n+shop@x.example")
    assert sha256_address("an.n+shop@gmail.com") == plain("an.n+shop@gmail.com")


def test_the_shops_own_hash_serves_if_it_is_a_sha256() -> None:
    assert hashed("c", TEST.upper(), {}, False) == TEST
    assert hashed("c", TEST, {"c": "b@x.example"}, False) == sha256_address("b@x.example")
    assert hashed("c", "d41d8cd98f00b204e9800998ecf8427e", {}, False) is None
    assert hashed("c", None, {}, True) is None
