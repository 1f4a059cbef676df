"""The coverage check: it warns where no champion scored, unless there was nothing that a model could learn from."""

import pytest

from clm_dagster.platform.trained_models.checks import check_coverage


@pytest.mark.parametrize(
    ("message", "is_needed", "passed"),
    [
        (None, True, True),
        ("was not trained", True, False),
        ("was not trained", False, True),
        (None, False, True),
    ],
)
def test_coverage(message: str | None, is_needed: bool, passed: bool) -> None:
    found = check_coverage("2024-01-01", message, is_needed)
    assert found.passed == passed and (message or "scored by the champion") in str(found.description)
