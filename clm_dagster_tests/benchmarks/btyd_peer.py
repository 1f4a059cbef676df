"""A peer package fits BG/NBD: run by `btyd_fit` with the Python of the peer's own environment.

    python btyd_peer.py lifetimes|pymc-marketing customers.csv repeats

Belongs here: what needs the peer alone. It imports nothing of this project.
"""

import json
import sys
import time
from statistics import median
from typing import Any

import pandas as pd


def main(package: str, customers: str, repeats: str) -> None:
    """Print one line of JSON: median seconds, and the parameters."""
    frame = pd.read_csv(customers)
    fit = {"lifetimes": lifetimes, "pymc-marketing": pymc_marketing}[package]
    fit(frame.head(200))  # what is compiled or imported at first use is not counted
    seconds = []
    for _ in range(int(repeats)):
        start = time.perf_counter()
        result = fit(frame)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": median(seconds), "fit": result}))


def lifetimes(frame: pd.DataFrame) -> dict[str, Any]:
    """Fit as its quickstart does, without a penalty."""
    from lifetimes import BetaGeoFitter

    fitter = BetaGeoFitter(penalizer_coef=0.0)
    fitter.fit(frame["x"], frame["t_x"], frame["T"])
    return {name: float(value) for name, value in fitter.params_.items()}


def pymc_marketing(frame: pd.DataFrame) -> dict[str, Any]:
    """Fit by its fastest method, the maximum a posteriori, with its default priors."""
    from pymc_marketing.clv import BetaGeoModel

    data = frame.rename(columns={"x": "frequency", "t_x": "recency"})
    data["customer_id"] = range(len(data))
    model = BetaGeoModel(data=data)
    model.fit(method="map", progressbar=False)
    return {name: float(model.fit_result[name].mean()) for name in ("r", "alpha", "a", "b")}


if __name__ == "__main__":
    main(*sys.argv[1:])
