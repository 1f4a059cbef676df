"""The rows of a plan: the chosen offer, the reason in one sentence, and the receipt of the decision.

Belongs here: words and JSON. Does not: decisions (`offers`, `choosing`).

Built in an in-memory database, because a shop may have a million customers with some offers each.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.actions.names import ACTIONS, GLOBAL_HOLDOUT, NOTHING, TREATED
from clm_dagster.domains.actions.playbook import Play
from clm_dagster.domains.actions.table_settings import PlanSettings
from clm_dagster.platform.build_ledger.versions import Version
from clm_dagster.platform.warehouse import Connection

if TYPE_CHECKING:
    from clm_dagster.domains.actions.plan import PlanInputs

_CHANNEL_WORDS = {
    "email": "by e-mail",
    "sms": "by text message",
    "push": "by push message",
    "phone": "by phone",
}
_CHANNEL_WORDS |= {"post": "by post", "onsite": "on the site"}
# Products that a customer has not bought are for offers that widen what they buy.
_NEW_PRODUCTS = ("cross_sell", "welcome_series", "early_access")

_ROWS = """
with named as (
    select offers.*, lines.play, lines.action, lines.channel
    from offers inner join lines using (place)
),
every as (
    select customer, to_json(list({
        play: play, effect: round(effect, 4), effect_source: source, margin: round(margin, 2), cost: round(cost, 2),
        gain: round(gain, 2),
        outcome: outcome
    } order by gain desc, place)) as considered
    from named group by customer
),
chosen as (select * from named where outcome = 'chosen'),
shown as (
    select customers.customer, products.products, products.list
    from customers inner join products using (customer_id)
)
select
    customers.customer_id,
    coalesce(chosen.action, $nothing) as action,
    chosen.play,
    chosen.channel,
    coalesce(chosen.arm, customers.arm) as arm,
    $horizon_days as horizon_days,
    customers.order_probability,
    coalesce(chosen.effect, 0) as effect,
    chosen.source as effect_source,
    customers.order_value,
    coalesce(chosen.margin, 0) as expected_margin,
    coalesce(chosen.cost, 0) as expected_cost,
    coalesce(chosen.gain, 0) as expected_gain,
    case
        when chosen.action in (select unnest($new_products)) then coalesce(discover.products, next_best.products)
        when chosen.action is not null then coalesce(next_best.products, discover.products)
    end as products,
    case
        when chosen.play is not null then concat(
            lines.words, ': ', customers.described, '; expected gain ', printf('%.2f', chosen.gain), ' = ',
            printf('%.1f', 100 * chosen.effect), '% more orders of ', printf('%.2f', customers.order_value),
            ' at margin ', printf('%.0f', 100 * $margin_rate::double), '%, less cost ', printf('%.2f', chosen.cost)
        )
        when every.customer is null
            then concat('no line of the playbook is for this customer (', customers.described, ')')
        else concat('nothing; the best line is ', best.play, ': ', best.outcome)
    end as reason,
    concat(
        '{"considered":', coalesce(every.considered, '[]'), ',"order_probability":',
        coalesce(to_json(round(customers.order_probability, 4)), 'null'), ',"order_value":',
        coalesce(to_json(round(customers.order_value, 2)), 'null'), $common
    ) as receipt,
    'playbook' as model_name,
    $version as model_version
from customers
left join chosen on customers.customer = chosen.customer
left join lines on chosen.place = lines.place
left join every on customers.customer = every.customer
left join (
    -- Of lines of the same gain the first one, or the same plan would have another reason tomorrow.
    select customer, arg_max(play, (gain, -place)) as play, arg_max(outcome, (gain, -place)) as outcome
    from named group by customer
) as best on customers.customer = best.customer
left join shown as next_best on customers.customer = next_best.customer and next_best.list = 'next_best'
left join shown as discover on customers.customer = discover.customer and discover.list = 'discover'
order by customers.customer
"""


def plan_rows(
    inputs: "PlanInputs",
    plays: Sequence[Play],
    offers: pd.DataFrame,
    held_everywhere: NDArray[np.bool_],
    settings: PlanSettings,
    version: Version,
) -> pd.DataFrame:
    """Return the rows of a plan, one for each customer who may be contacted, in the order of `inputs.customers`.

    offers: with arm and outcome. held_everywhere: which customers are kept out of every play.
    """
    customers = inputs.customers.assign(
        customer=np.arange(len(inputs.customers)),
        arm=np.where(held_everywhere, GLOBAL_HOLDOUT, TREATED) if len(plays) else TREATED,
        described=_described(inputs.customers),
    )
    common = {
        "margin_rate": round(inputs.margin_rate, 4),
        "models": dict(inputs.served),
        "data_version": version.hash,
    }
    with duckdb.connect() as database:
        connection = Connection(database)
        connection.load_frame("offers", _typed(offers))
        connection.load_frame("customers", customers)
        connection.load_frame("products", inputs.products)
        connection.load_frame("lines", _lines(plays))
        return connection.frame(
            _ROWS,
            {
                "nothing": NOTHING,
                "horizon_days": settings.horizon_days,
                "new_products": list(_NEW_PRODUCTS),
                "margin_rate": inputs.margin_rate,
                "common": "," + json.dumps(common, sort_keys=True)[1:],
                "version": version.code,
            },
        )


def _typed(offers: pd.DataFrame) -> pd.DataFrame:
    """Return the offers with texts as texts, so that an empty frame has the types of a full one."""
    texts = {name: offers[name].astype("str") for name in ("arm", "outcome", "limit", "source")}
    return offers.assign(**texts)


def _lines(plays: Sequence[Play]) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "place": np.arange(len(plays)),
            "play": [play.play for play in plays],
            "action": [play.action for play in plays],
            "channel": [play.channel for play in plays],
            "words": [
                f"{ACTIONS[play.action]} {_CHANNEL_WORDS.get(play.channel, '')}".strip() for play in plays
            ],
        }
    )
    return frame.astype(dict.fromkeys(("play", "action", "channel", "words"), "str"))


def _described(customers: pd.DataFrame) -> pd.Series:
    """Return what is known of each customer, such as `at_risk, churn risk high, last order 40 days ago`."""
    stage = customers["stage"].fillna("of no stage").astype("str")
    risk = (", churn risk " + customers["risk_band"].astype("str")).where(customers["risk_band"].notna(), "")
    days = customers["recency_days"].astype("Int64").astype("str")
    last = (", last order " + days + " days ago").where(customers["recency_days"].notna(), ", no order yet")
    return stage + risk + last
