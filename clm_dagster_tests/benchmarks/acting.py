"""Acting by a plan in a simulated shop, beside mailing everybody and mailing by churn risk.

Belongs here: the plan, policies, accounts of profit, differences. Does not: the shop before the plan (`acting_shop`),
output (`report_actions`).

The shop goes on from the day of the plan with the plan's mails, and for comparison without mails and with a mail of
each arm to everybody. Customers share their random numbers in all runs (`simulate.own_numbers`), so what they do under
any policy is what they do in the run with the same mail. Several futures in memory make the differences less noisy; the
first of them is also written to files, whose orders must be the same. Everything was developed on the seed 1; the seeds
that are reported were chosen before they were first run.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clm_dagster.domains.actions.plan import PlanInputs, plan, read_plan
from clm_dagster.domains.actions.playbook import Play
from clm_dagster.domains.actions.tables import plan_settings
from clm_dagster.platform.build_ledger.versions import Version
from clm_dagster.platform.resources import load_sql
from clm_dagster.simulate.parameters import ARMS
from clm_dagster.simulate.post_purchase import MAIL_COST
from clm_dagster.simulate.shop import simulate
from clm_dagster.statistics.uplift import policy_value
from clm_dagster_tests.benchmarks import children
from clm_dagster_tests.benchmarks.acting_shop import (
    PLAN_DAY,
    WINDOW,
    Shop,
    coverage,
    instant,
    measured_effects,
    run_until_plan,
)
from clm_dagster_tests.simulate.campaign_truth import conversions
from clm_dagster_tests.simulate.futures import Futures
from clm_dagster_tests.simulate.shop import Shop as Files

SEEDS, CUSTOMERS, PRODUCTS, FUTURES = (11, 12, 13, 14), 8_000, 120, 16
NORMAL_95 = 1.959963984540054
NOBODY, PLAN, ORACLE = "nobody", "plan", "plan by true effects"
CONTROL = ARMS[0]
# Share of the first order in the window that a customer saves, and what a playbook calls the mail.
DISCOUNTS = {"discount": 0.05, "news": 0.0}
ACTIONS = {"discount": "win_back_coupon", "news": "reminder"}


def planned(inputs: PlanInputs, effects: pd.DataFrame, shop: Shop) -> pd.Series:
    """Return the arm of each customer who may be contacted, as a plan with these effects has it; indexed by customer.

    The playbook has a line for each arm and each thousandth of an effect. effects: customer_id, arm, effect.
    """
    known = effects[effects["customer_id"].isin(inputs.customers["customer_id"])]
    level = known["effect"].clip(-1, 1).round(3)
    lines = known.assign(level=level).groupby(["arm", "level"], sort=True)
    kinds = lines.size().reset_index()
    plays = [_line(arm, effect) for arm, effect in zip(kinds["arm"], kinds["level"], strict=True)]
    pairs = known[["customer_id"]].assign(place=lines.ngroup()).sort_values(["customer_id", "place"])
    given = replace(inputs, plays=plays, pairs=pairs.reset_index(drop=True))
    settings = plan_settings(load_sql(shop.settings), shop.settings)
    rows, _ = plan(given, plays, settings, Version("benchmark"))
    arm = rows["play"].map({play.play: play.arm for play in plays}).fillna(CONTROL)
    return pd.Series(arm.to_numpy(dtype=object), index=rows["customer_id"].to_numpy())


def _line(arm: str, effect: float) -> Play:
    return Play(
        line=0,
        play=f"{arm} {effect:+.3f}",
        action=ACTIONS[arm],
        channel="email",
        conditions={},
        cost=MAIL_COST,
        discount=DISCOUNTS[arm],
        effect=effect,
        cool_down_days=0,
        arm=arm,
        valid_from=None,
        valid_to=None,
    )


def by_churn_risk(shop: Shop, customers: pd.Index, count: int, arm: str) -> pd.Series:
    """Return the arms if the customers with the highest probability of churn get a mail."""
    with shop.open() as reading:
        scores = reading.connection.frame(
            "select customer_id, churn_probability from marts.churn_scores where as_of = ? "
            "order by churn_probability desc, customer_id",
            [shop.as_of],
        )
    chosen = scores.loc[scores["customer_id"].isin(customers), "customer_id"].head(count)
    return pd.Series(np.where(customers.isin(chosen), arm, CONTROL), index=customers)


def second_run(shop: Shop, arms: pd.Series, name: str) -> pd.DataFrame:
    """Simulate the shop with mails on the day of the plan; return margin and first order of each customer after it.

    arms: by customer; control for no mail. The result has the columns margin, first_order, indexed by customer.
    """
    start = instant(shop.parameters, PLAN_DAY)
    rows = pd.DataFrame({"day": start, "customer_id": arms.index, "arm": arms.to_numpy()})
    out = shop.folder / name
    files = Files(simulate(shop.parameters, out, touches=rows))
    sent = files.table("touches")
    # Nobody whom the pipeline may contact has refused meanwhile, so every planned touch is delivered.
    delivered = sent[sent["sent_at"].str[:10] == str(start.date())].set_index("customer_id")["arm"]
    if len(delivered) != len(arms) or not (delivered.reindex(arms.index) == arms).all():
        raise ValueError(f"{len(delivered)} of {len(arms)} touches were delivered as planned")
    found = files.query(f"""
        with costs as (
            select product_id, any_value(unit_cost::double) as unit_cost
            from read_parquet('{out}/inbox/products/*.parquet', union_by_name = true)
            where product_id like 'p%' group by product_id
        ),
        orders as (
            select customer_id, order_id, min(event_at) as ordered_at, sum(quantity * unit_price) as worth,
                sum(quantity * (unit_price - unit_cost)) as margin
            from events inner join costs using (product_id)
            where event_type = 'purchase' and customer_id is not null
                and day >= {PLAN_DAY} and day < {PLAN_DAY + WINDOW}
            group by customer_id, order_id
        )
        select customer_id, sum(margin) as margin, arg_min(worth, ordered_at) as first_order
        from orders group by customer_id
    """)
    files.close()
    shutil.rmtree(out)
    return found.set_index("customer_id").reindex(arms.index, fill_value=0.0).astype(float)


def profit(outcome: pd.DataFrame, arms: pd.Series) -> pd.Series:
    """Return each customer's margin less the mail's cost and, with a discount, its share of the first order."""
    discount = arms.map({CONTROL: 0.0, **DISCOUNTS}).astype(float)
    return outcome["margin"] - MAIL_COST * (arms != CONTROL) - discount * outcome["first_order"]


def outcomes_of(arms: pd.Series, runs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return what customers do under a policy, from the runs in which everybody got the same mail, by arm."""
    parts = [runs[arm].loc[arms.index[arms == arm]] for arm in runs]
    return pd.concat(parts).loc[arms.index]


def true_effects(shop: Shop, customers: pd.Index) -> pd.DataFrame:
    """Return the true effects of a mail of each arm, as `measured_effects` returns learnt ones."""
    truth = shop.truth.loc[customers]
    chances = {arm: conversions(truth, PLAN_DAY, arm, shop.parameters, WINDOW, goes_on=False) for arm in ARMS}
    return pd.concat(
        pd.DataFrame({"customer_id": customers, "arm": arm, "effect": chances[arm] - chances[CONTROL]})
        for arm in ARMS[1:]
    )


def all_futures(shop: Shop, customers: pd.Index, futures: Sequence[int]) -> dict[str, pd.DataFrame]:
    """Return what `second_run` returns if everybody gets the same mail, by arm: the mean of several futures."""
    numbers = customers.str[1:].astype(int).to_numpy()
    shop_so_far = Futures(shop.parameters, PLAN_DAY)
    return {
        name: pd.DataFrame(
            shop_so_far.go_on(numbers, arm, WINDOW, futures)[:, numbers].T,
            index=customers,
            columns=["margin", "first_order"],
        )
        for arm, name in enumerate(ARMS)
    }


def one_shop(folder: str, seed: int, customers: int) -> dict[str, Any]:
    """Run a shop until the plan and go on under each policy; return profits by customer and policy, and counts."""
    Path(folder).mkdir(parents=True)
    return policies(run_until_plan(Path(folder), customers, PRODUCTS, seed))


def policies(shop: Shop) -> dict[str, Any]:
    """Go on under each policy; return profits by customer and policy, and counts.

    Raise ValueError if the run on disk with the plan's mails differs from the first future in memory.
    """
    with shop.open() as reading:
        inputs, learnt = read_plan(reading).shard(0), measured_effects(reading)
        measured = coverage(reading, shop)
    ids = pd.Index(inputs.customers["customer_id"])
    truth = true_effects(shop, ids)
    chosen = planned(inputs, learnt, shop)
    count = int((chosen != CONTROL).sum())
    everybody = {arm: pd.Series(arm, index=ids, dtype=object) for arm in ARMS}
    policy = {NOBODY: everybody[CONTROL], PLAN: chosen, ORACLE: planned(inputs, truth, shop)}
    for arm in ARMS[1:]:
        policy[f"{arm} to all"] = everybody[arm]
        policy[f"{arm} by churn risk"] = by_churn_risk(shop, ids, count, arm)
    on_disk = second_run(shop, chosen, PLAN)
    first = outcomes_of(chosen, all_futures(shop, ids, [0]))
    # Sums of the same money in another order.
    if not np.allclose(on_disk, first, rtol=0, atol=1e-6):
        raise ValueError("the run with the plan's mails differs from the first future in memory")
    runs = all_futures(shop, ids, range(FUTURES))
    both = learnt.merge(truth, on=["customer_id", "arm"], suffixes=("", "_true"))
    return {
        "seed": shop.parameters.seed,
        "customers": len(ids),
        "mails": {name: {arm: int((arms == arm).sum()) for arm in ARMS[1:]} for name, arms in policy.items()},
        "profits": {name: profit(outcomes_of(arms, runs), arms).tolist() for name, arms in policy.items()},
        "on_disk": float(profit(on_disk, chosen).sum()),
        "campaigns": measured.drop(columns="campaign_id").to_dict("list"),
        "correlation": {
            str(arm): float(part["effect"].corr(part["effect_true"])) for arm, part in both.groupby("arm")
        },
    }


def differences(shops: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Return by how much the plan earns more than each policy per 1,000 customers, with its interval by customer."""
    found = {}
    for name in shops[0]["profits"]:
        if name == PLAN:
            continue
        scores = np.concatenate([np.subtract(shop["profits"][PLAN], shop["profits"][name]) for shop in shops])
        value = policy_value(1_000 * scores)
        found[name] = [value.value, value.low, value.high]
    return found


def pooled(campaigns: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the mean effect of each arm, weighted by precision, with its interval, and the true one.

    Arms are drawn anew for every campaign, so errors of two campaigns are uncorrelated although customers are the same.
    campaigns: see `acting_shop.coverage`.
    """
    found = {}
    for arm, rows in campaigns.groupby("arm"):
        error = (rows["high"] - rows["low"]) / (2 * NORMAL_95)
        weight = 1 / error**2
        effect, truth = (float(np.average(rows[name], weights=weight)) for name in ("effect", "truth"))
        half = NORMAL_95 / float(np.sqrt(weight.sum()))
        found[str(arm)] = {"effect": effect, "low": effect - half, "high": effect + half, "truth": truth}
    return found


def summary(shops: list[dict[str, Any]]) -> dict[str, Any]:
    """Return totals and differences of each shop and of all of them."""
    campaigns = [pd.DataFrame(shop["campaigns"]) for shop in shops]
    rows = [
        {name: value for name, value in shop.items() if name not in ("profits", "campaigns")}
        | {
            "total": {name: float(np.sum(values)) for name, values in shop["profits"].items()},
            "plan_over": differences([shop]),
            "covered": int(one["truth"].between(one["low"], one["high"]).sum()),
            "intervals": len(one),
        }
        for shop, one in zip(shops, campaigns, strict=True)
    ]
    return {"shops": rows, "plan_over": differences(shops), "arms": pooled(pd.concat(campaigns))}


def measure(work: str, seeds: tuple[int, ...] = SEEDS, customers: int = CUSTOMERS) -> dict[str, Any]:
    """Measure shops of several seeds, each in a process and a folder of its own."""
    shops = []
    for seed in seeds:
        folder = f"{work}/acting-{seed}"
        shops.append(children.run("acting:one_shop", folder=folder, seed=seed, customers=customers))
        shutil.rmtree(folder)
    return summary(shops)
