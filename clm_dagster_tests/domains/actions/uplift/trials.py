"""Made-up contacts of campaigns with random arms, of which the truth is known.

Belongs here: frames in the shape of a sample. Does not: tests.
"""

import numpy as np
import pandas as pd

from clm_dagster.domains.actions.uplift.names import NUMBERS
from clm_dagster.domains.actions.uplift.sample import Sample

CUSTOMERS, CAMPAIGNS = 1_500, 4


def sample(
    drives_effect: bool, customers: int = CUSTOMERS, campaigns: int = CAMPAIGNS, seed: int = 0
) -> Sample:
    """Return contacts, half of them with a discount.

    drives_effect: visits decide the effect, and those who order more are harmed by a contact. Otherwise the effect is
    in proportion to the probability of an order, so that a ranking by response is the best one.
    """
    rng = np.random.default_rng(seed)
    numbers = {name: rng.gamma(2.0, 2.0, customers) for name in NUMBERS}
    loyal = numbers["visits"] > np.median(numbers["visits"])
    bucket = rng.integers(0, 1000, customers)
    parts = []
    for campaign in range(campaigns):
        day = pd.Timestamp("2024-01-01") + pd.Timedelta(days=30 * campaign)
        treated = rng.random(customers) < 0.5
        base = np.where(loyal, 0.5, 0.1)
        effect = np.where(loyal, -0.15, 0.25) if drives_effect else 0.3 * base
        parts.append(
            pd.DataFrame(
                {
                    "campaign_id": f"mail-{campaign}",
                    "customer_id": [f"c{number:05d}" for number in range(customers)],
                    "contacted_on": day.date(),
                    "matures_on": (day + pd.Timedelta(days=30)).date(),
                    "arm": np.where(treated, "discount", "control"),
                    "is_control": ~treated,
                    "share": 0.5,
                    "control_share": 0.5,
                    "is_converted": rng.random(customers) < base + treated * effect,
                    "bucket": bucket,
                    **numbers,
                    "country": pd.Series("DE", index=range(customers)).where(bucket < 500),
                    "acquisition_channel": "search",
                }
            )
        )
    return Sample(pd.concat(parts, ignore_index=True))
