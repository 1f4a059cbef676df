"""Basket rules beside mlxtend, Theta and the ARIMA search beside statsforecast: figures, and seconds of one thread.

    python -m clm_dagster_tests.benchmarks.method_peers reference_folder

Both sides run in one process of the environment that `make peers` makes. Belongs here: measuring both. Does not: what
they are given (`method_inputs`), words (`report`), exact agreement (`clm_dagster_tests/peers`).
"""

import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from clm_dagster.statistics.forecasting.arima import auto_arima
from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.local_models import ThetaMethod
from clm_dagster.statistics.itemsets import frequent_itemsets, number_baskets
from clm_dagster_tests.benchmarks.method_inputs import (
    HORIZON,
    Series,
    basket_lines,
    real_series,
    simulated_series,
)

SUPPORT, LONGEST = 0.01, 3
BAND = (0.1, 0.9)


def compare(reference: Path, python: Path) -> dict[str, Any]:
    """Run `main` in the peers' environment. Exits if it is not there or fails."""
    if not python.exists():
        sys.exit(f"{python} is not there; `make peers` makes the environment of shap, mlxtend, statsforecast")
    done = subprocess.run(
        [str(python), "-W", "ignore", "-m", __name__, str(reference)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"method_peers in {python} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def itemsets(lines: pd.DataFrame) -> dict[str, Any]:
    """Search the frequent itemsets both ways. Ours starts from lines, mlxtend from a table that is ready for it."""
    from mlxtend.frequent_patterns import fpgrowth

    own, seconds = timed(our_itemsets, lines, SUPPORT, LONGEST)
    order, orders = pd.factorize(lines["order_id"])
    product, products = pd.factorize(lines["product_id"])
    cells = np.zeros((len(orders), len(products)), dtype=bool)
    cells[order, product] = True
    table = pd.DataFrame(cells, columns=products)
    theirs, their_seconds = timed(
        lambda: fpgrowth(table, min_support=SUPPORT, use_colnames=True, max_len=LONGEST)
    )
    counts = (theirs["support"] * len(orders)).round().astype(int)
    same = own == dict(zip(theirs["itemsets"], counts, strict=True))
    return {
        "baskets": len(orders),
        "itemsets": len(own),
        "same": same,
        "ours": seconds,
        "peer": their_seconds,
    }


def our_itemsets(lines: pd.DataFrame, support: float, longest: int) -> dict[frozenset[str], int]:
    """Return the frequent itemsets of at most `longest` products, with the number of their baskets."""
    baskets = number_baskets(lines)
    minimum = int(np.ceil(support * baskets.total - 1e-9))
    found = frequent_itemsets(baskets, minimum, longest)
    return {frozenset(baskets.products[list(items)]): count for items, count in found}


def forecasts(series: Series) -> list[dict[str, Any]]:
    """Return a row for each series: orders, AICc, MASE, coverage of the 80% band, seconds of both sides."""
    from statsforecast.models import AutoARIMA, Theta

    rows = []
    for name, (values, season) in series.items():
        history, actual = values[:-HORIZON], values[-HORIZON:]
        (model, path, band), seconds = timed(_our_arima, history, season)
        (peer, their), their_seconds = timed(_their_model, AutoARIMA(season_length=season), history)
        (theta, _), theta_seconds = timed(our_theta, history, season)
        additive = Theta(season_length=season, decomposition_type="additive")
        (_, their_theta), their_theta_seconds = timed(_their_model, additive, history)
        d, seasonal_d = peer.model_["arma"][-2:]
        their_band = np.column_stack([their["lo-80"], their["hi-80"]])
        rows.append(
            {
                "series": name,
                "orders": str(model.orders),
                "peer_orders": [int(order) for order in peer.model_["arma"]],
                "same_differences": (model.orders.d, model.orders.seasonal_d) == (d, seasonal_d),
                "aicc_above_peer": float(model.aicc - peer.model_["aicc"]),
                **_pair("mase", *(mase(p, history, actual, season) for p in (path, their["mean"]))),
                **_pair("covered", _inside(actual, band), _inside(actual, their_band)),
                **_pair("seconds", seconds, their_seconds),
                **_pair(
                    "theta_mase",
                    *(mase(p, history, actual, season) for p in (theta, their_theta["mean"])),
                ),
                **_pair("theta_seconds", theta_seconds, their_theta_seconds),
            }
        )
    return rows


def timed(call: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """Return the answer of a call and the processor seconds it took."""
    start = time.process_time()
    answer = call(*arguments)
    return answer, time.process_time() - start


def _our_arima(history: Floats, season: int) -> tuple[Any, Floats, Floats]:
    model = auto_arima(history, season)
    return model, model.mean(HORIZON), model.quantiles(BAND, HORIZON)


def _their_model(model: Any, history: Floats) -> tuple[Any, dict[str, Floats]]:
    fitted = model.fit(history)
    return fitted, fitted.predict(HORIZON, level=[80])


def our_theta(history: Floats, season: int) -> tuple[Floats, dict[str, Any]]:
    """Return our Theta forecast of HORIZON steps, and what was fitted for it."""
    model, x = ThetaMethod(), np.zeros((history.size + HORIZON, 0))
    found = model.fit(history, season, x[: history.size])
    return model.path(found, season, history, x), found


def mase(path: Floats, history: Floats, actual: Floats, season: int) -> float:
    """Return the mean absolute error, divided by that of the seasonal naive forecast in the history."""
    return float(np.abs(path - actual).mean() / np.abs(history[season:] - history[:-season]).mean())


def _inside(actual: Floats, band: Floats) -> float:
    return float(((actual >= band[:, 0]) & (actual <= band[:, 1])).mean())


def _pair(name: str, ours: float, peer: float) -> dict[str, float]:
    return {name: ours, f"peer_{name}": peer}


def main(reference: str) -> None:
    """Print one line of JSON: the itemsets, and the forecasts of three sets of series."""
    folder = Path(reference)
    sets = {
        "simulated, no season": simulated_series(12, 0),
        "simulated shop, season 7": simulated_series(0, 6),
        "Online Retail II, season 7": real_series(folder, products=8),
    }
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        forecasts(simulated_series(1, 0))  # what is imported or compiled at first use is not counted
        found = {
            "itemsets": itemsets(basket_lines(folder)),
            "forecasts": {name: forecasts(series) for name, series in sets.items()},
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
