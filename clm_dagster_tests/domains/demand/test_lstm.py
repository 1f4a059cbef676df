"""The network: it learns a weekly season, is reproducible, and says what to install if torch is missing."""

import sys

import numpy as np
import pytest

from clm_dagster.domains.demand.lstm import GlobalLSTM
from clm_dagster.domains.demand.model import candidates
from clm_dagster.domains.demand.series import weekly_panel
from clm_dagster_tests.domains.demand.shop import days_of, expected, panel_of

SMALL = GlobalLSTM(epochs=6, windows=1500)


def test_the_error_without_torch_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    panel = panel_of(np.random.default_rng(1).poisson(9.0, (10, 400)).astype(float))
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'clm_dagster\[lstm\]'"):
        SMALL.paths(panel, np.array([372]), 28)


def test_the_lstm_is_a_candidate_only_if_enabled() -> None:
    assert "lstm" not in [method.name for method in candidates()]
    assert [method.name for method in candidates(lstm=True)][-1] == "lstm"


def test_the_lstm_learns_the_weekly_season_and_is_reproducible() -> None:
    pytest.importorskip("torch", reason="the extra `lstm` is not installed")
    days = days_of()
    levels = np.linspace(10, 60, 12)
    rng = np.random.default_rng(2)
    panel = panel_of(np.stack([rng.poisson(expected(level, days)) for level in levels]).astype(float))
    origins = np.array([panel.size - 56, panel.size - 28])
    paths = SMALL.paths(panel, origins, 28)
    assert paths.shape == (12, 2, 28)
    truth = np.stack([[expected(level, days[o : o + 28]) for o in origins] for level in levels])
    closed = truth == 0
    assert (paths[closed] == 0).all()
    assert np.abs(paths - truth)[~closed].mean() < 0.15 * truth[~closed].mean()
    np.testing.assert_array_equal(SMALL.paths(panel, origins, 28), paths)
    later = panel.values.copy()
    later[:, origins[0] :] *= 5  # values after the first origin are used neither for training nor as input
    changed = panel_of(later)
    np.testing.assert_allclose(SMALL.paths(changed, origins, 28)[:, 0], paths[:, 0], rtol=1e-5)
    weeks = weekly_panel(panel)
    assert SMALL.paths(weeks, np.array([weeks.size]), 13).shape == (12, 1, 13)
