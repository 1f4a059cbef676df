"""A plan of actions for a million customers: prices, contact limits, holdouts, the choice, reasons and receipts.

Belongs here: the customers, seconds. Does not: reading and writing the warehouse, output (`report_actions`).
"""

import time
from typing import Any

import numpy as np
import pandas as pd

from clm_dagster.domains.actions.plan import PlanInputs, plan
from clm_dagster.domains.actions.playbook import read_playbook
from clm_dagster.domains.actions.table_settings import PlanSettings
from clm_dagster.platform.build_ledger.versions import Version
from clm_dagster.settings import PROJECT_DIR

# Share of the customers who meet each line, and who were contacted in the last two months.
MET, CONTACTED = 0.25, 0.2


def measure(customers: int) -> dict[str, Any]:
    """Plan once with the shipped playbook: a budget of a cent a customer, and mails for a fifth of them."""
    rng = np.random.default_rng(0)
    plays = read_playbook((PROJECT_DIR / "dbt_like_sql" / "seeds" / "playbook.csv").read_text())
    ids = np.array([f"c{number:07d}" for number in range(customers)])
    contacted = int(CONTACTED * customers)
    frame = pd.DataFrame(
        {
            "customer_id": ids,
            "stage": rng.choice(["loyal", "growing", "lost", "at_risk", "new"], customers),
            "segment": "loyal",
            "risk_band": rng.choice(["low", "high"], customers),
            "recency_days": rng.integers(1, 400, customers),
            "order_probability": rng.random(customers),
            "order_value": rng.gamma(2, 40, customers),
        }
    )
    met = [
        pd.DataFrame({"customer_id": ids[rng.random(customers) < MET], "place": place})
        for place in range(len(plays))
    ]
    inputs = PlanInputs(
        plays=plays,
        known=customers,
        customers=frame,
        pairs=pd.concat(met).sort_values(["customer_id", "place"], ignore_index=True),
        contacts=pd.DataFrame(
            {"customer_id": ids[:contacted], "play": None, "days": rng.integers(1, 60, contacted)}
        ),
        products=pd.DataFrame(
            {"customer_id": ids, "list": "next_best", "products": [["p1", "p2", "p3"]] * customers}
        ),
        margin_rate=0.3,
        served={},
        uplift=pd.DataFrame(),
    )
    limits = PlanSettings(
        budget=0.01 * customers,
        capacity=(("email", customers // 5), ("phone", 100)),
        rest_days=7,
        assume_consent=True,
        holdout_share=0.1,
        global_holdout_share=0.05,
        holdout_key="clm",
        control_arms=("control",),
        horizon_days=90,
    )
    start = time.perf_counter()
    rows, choice = plan(inputs, plays, limits, Version("benchmark"))
    return {
        "customers": customers,
        "offers": len(inputs.pairs),
        "planned": int((rows["action"] != "nothing").sum()),
        "seconds": time.perf_counter() - start,
        "gap": choice.gap,
    }
