"""References to environment variables, and texts without secrets."""

import pytest

from clm_dagster.platform.secrets import UnknownNameError, filled, has_names, hidden, secrets_in


def test_names_are_filled_at_any_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "t0p/secret")
    assert filled({"a": ["x ${A_TOKEN}", 3]}, "here") == {"a": ["x t0p/secret", 3]}
    assert filled("${size}", "here", {"size": 5}) == 5
    with pytest.raises(UnknownNameError, match="here: the environment variable NOT_SET_ANYWHERE is not set"):
        filled("${NOT_SET_ANYWHERE}", "here")
    assert has_names("https://x.example/${A_TOKEN}") and not has_names("https://x.example/$A_TOKEN")


def test_values_are_hidden_however_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "t0p/secret")
    found = secrets_in({"url": "db://me:p4ssword@host/", "path": "${A_TOKEN}", "api_key": "k3y5"})
    assert hidden("t0p/secret t0p%2Fsecret p4ssword k3y5 host", found) == "*** *** *** *** host"
