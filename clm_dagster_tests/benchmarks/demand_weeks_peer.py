"""MSTL with AutoETS of statsforecast on the series of `demand_weeks`, in the environment that `make peers` makes.

    python -m clm_dagster_tests.benchmarks.demand_weeks_peer values.npy known,known,known

Belongs here: the peer's fits and their figures. Does not: the series, our side.
"""

import json
import sys
import time
import warnings

import numpy as np
from threadpoolctl import threadpool_limits

from clm_dagster_tests.benchmarks.demand_weeks import HORIZON, YEAR


def main(path: str, known: str) -> None:
    """Print one line of JSON: mase, coverage_80, coverage_95, and seconds of one contest."""
    from statsforecast.models import MSTL, AutoETS

    values = np.load(path)
    origins = [int(one) for one in known.split(",")]
    errors, inside, seconds = [], [], 0.0
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        MSTL(YEAR, AutoETS(model="ZZN")).fit(values[0])  # what is compiled at first use is not counted
        for origin in origins:
            for series in values:
                history, actual = series[:origin], series[origin : origin + HORIZON]
                start = time.process_time()
                model = MSTL(YEAR, AutoETS(model="ZZN")).fit(history)
                found = model.predict(HORIZON, level=[80, 95])
                seconds += time.process_time() - start
                scale = np.abs(np.diff(history)).mean()
                errors.append(np.abs(np.maximum(found["mean"], 0) - actual).mean() / scale)
                inside.append(
                    [
                        ((actual >= found[f"lo-{level}"]) & (actual <= found[f"hi-{level}"])).mean()
                        for level in (80, 95)
                    ]
                )
    covered = np.mean(inside, axis=0)
    print(
        json.dumps(
            {
                "mase": float(np.mean(errors)),
                "coverage_80": float(covered[0]),
                "coverage_95": float(covered[1]),
                "seconds": seconds / len(origins),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
