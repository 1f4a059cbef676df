"""Time to fit BG/NBD and related models: on CDNOW, and on a million simulated customers.

Belongs here: the customers, our fit, and a plain fit to compare with. Does not: peer packages
(`btyd_peer`, which runs in an environment of the peer's own), output (`report`).
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import betaln, gammaln

from clm_dagster.statistics.btyd import (
    BGNBD,
    MBGNBD,
    Histories,
    ParetoNBD,
    PurchaseModel,
    Unit,
    days,
    summarise,
)

MILLION = 1_000_000
SEED = 20
MODELS: dict[str, type[PurchaseModel]] = {"bgnbd": BGNBD, "mbgnbd": MBGNBD, "paretonbd": ParetoNBD}


def write_customers(cdnow: str, folder: str) -> dict[str, Any]:
    """Write x, t_x, T of both sets of customers as CSV, which any environment can read."""
    frame = pd.read_parquet(cdnow)
    dates = pd.to_datetime(frame["date"].astype(str), format="%Y%m%d")
    last_day = pd.Timestamp("1997-09-30")
    real = summarise(frame["customer_id"], dates, frame["dollar_value"], last_day, Unit.WEEK).histories
    _write(real.repeats, real.last.amount, real.observed.amount, f"{folder}/cdnow.csv")
    _write(*simulated(MILLION), f"{folder}/million.csv")
    return {"cdnow": len(real), "million": MILLION}


def simulated(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Simulate customers of two years in whole days by BG/NBD (r .8, alpha 60, a .9, b 3)."""
    rng = np.random.default_rng(SEED)
    rate, leave = rng.gamma(0.8, 1 / 60, size), rng.beta(0.9, 3.0, size)
    observed = rng.integers(30, 720, size).astype(float)
    x, t_x, now = (np.zeros(size) for _ in range(3))
    alive = np.ones(size, dtype=bool)
    while alive.any():
        now = now + rng.exponential(1 / rate)
        alive &= now <= observed
        x, t_x = x + alive, np.where(alive, np.ceil(now), t_x)
        alive &= rng.random(size) >= leave
    return x, t_x, observed


def ours(customers: str, model: str, repeats: int) -> dict[str, Any]:
    """Fit our model from bare arrays, checks and grouping included; median of the repeats."""
    x, t_x, observed = _read(customers)

    def fit() -> dict[str, Any]:
        done = MODELS[model].fit(Histories(x, days(t_x), days(observed)))
        return {"log_likelihood": done.log_likelihood, **done.estimates}

    return timed(fit, repeats)


def plain(customers: str, repeats: int) -> dict[str, Any]:
    """BG/NBD as most scripts fit it: all rows, no gradient, Nelder-Mead from ones."""
    x, t_x, observed = _read(customers)

    def loss(theta: np.ndarray) -> float:
        r, alpha, a, b = np.exp(theta)
        back = np.where(x > 0, np.log(a) - np.log(b + np.maximum(x, 1) - 1), -np.inf)
        total = (
            gammaln(r + x)
            - gammaln(r)
            + r * np.log(alpha)
            + betaln(a, b + x)
            - betaln(a, b)
            + np.logaddexp(-(r + x) * np.log(alpha + observed), back - (r + x) * np.log(alpha + t_x))
        )
        return -float(np.mean(total))

    def fit() -> dict[str, Any]:
        found = minimize(loss, np.zeros(4), method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-9})
        names = dict(zip(("r", "alpha", "a", "b"), map(float, np.exp(found.x)), strict=True))
        return {"log_likelihood": -found.fun * x.size, **names}

    return timed(fit, repeats)


def timed(fit: Callable[[], dict[str, Any]], repeats: int) -> dict[str, Any]:
    """Fit so often; median seconds and the last result."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = fit()
        seconds.append(time.perf_counter() - start)
    return {"seconds": median(seconds), "fit": result}


def compare(cdnow: str, work: str, repeats: int, peers: dict[str, str]) -> dict[str, Any]:
    """Run all fits, each in a separate process; `peers` maps a package to its Python."""
    from clm_dagster_tests.benchmarks import children

    folder = Path(work) / "btyd"
    folder.mkdir()
    children.run("btyd_fit:write_customers", cdnow=cdnow, folder=str(folder))
    results: dict[str, Any] = {}
    for dataset, times in (("cdnow", 10 * repeats), ("million", repeats)):
        path = str(folder / f"{dataset}.csv")
        results[dataset] = {
            **{
                model: children.run("btyd_fit:ours", customers=path, model=model, repeats=times)
                for model in MODELS
            },
            "plain scipy bgnbd": children.run("btyd_fit:plain", customers=path, repeats=1),
        }
        for package, python in peers.items():
            if dataset == "cdnow" or package == "lifetimes":
                answer = _peer(package, python, path, repeats if dataset == "cdnow" else 1)
                results[dataset][f"{package} bgnbd"] = answer
    return results


def _peer(package: str, python: str, customers: str, repeats: int) -> dict[str, Any]:
    import json

    script = Path(__file__).with_name("btyd_peer.py")
    done = subprocess.run(
        [python, str(script), package, customers, str(repeats)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    if done.returncode:
        sys.exit(f"{package} in {python} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _write(x: np.ndarray, t_x: np.ndarray, observed: np.ndarray, path: str) -> None:
    pd.DataFrame({"x": x, "t_x": t_x, "T": observed}).to_csv(path, index=False)


def _read(path: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    frame = pd.read_csv(path)
    return frame["x"].to_numpy(float), frame["t_x"].to_numpy(float), frame["T"].to_numpy(float)
