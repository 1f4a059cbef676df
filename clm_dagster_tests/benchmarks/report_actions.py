"""The figures of uplift models, of allocations and of acting by a plan as tables.

Belongs here: words and rounding of `uplift_hillstrom`, `allocation_scale`, `plan_scale`, `acting`. Does not: measuring,
other parts (`report`).
"""

from typing import Any

from rich.table import Table


def uplift(found: dict[str, Any]) -> Table:
    """Return a row for each candidate, and the verdicts."""
    verdicts = "\n".join(f"{mail}: {one['verdict']}" for mail, one in found.items())
    table = Table(
        "ranking",
        *(f"{mail} mail" for mail in found),
        title="Qini area per 10,000 customers, mean ± standard deviation of five 50/50 splits",
        caption=verdicts,
    )
    names = next(iter(found.values()))["areas"]
    for name in names:
        cells = [one["areas"][name] for one in found.values()]
        table.add_row(name, *(f"{mean:.1f} ± {deviation:.1f}" for mean, deviation in cells))
    return table


def allocations(rows: list[dict[str, Any]]) -> Table:
    """Return a row for each problem."""
    table = Table(
        "customers", "kind", "s", "peak MB", "value", "gap", "largest value", "binding", title="Allocations"
    )
    for row in rows:
        table.add_row(
            f"{row['customers']:,}",
            row["kind"],
            f"{row['seconds']:.1f}",
            f"{row['peak_mb']:,.0f}",
            f"{row['value']:,.1f}",
            f"{row['gap']:.3f}",
            f"{row['largest_value']:.1f}",
            ", ".join(row["binding"]),
        )
    return table


def plans(rows: list[dict[str, Any]]) -> Table:
    """Return a row for each plan of actions."""
    table = Table("customers", "offers", "planned", "s", "peak MB", "gap", title="Plans of actions")
    for row in rows:
        table.add_row(
            f"{row['customers']:,}",
            f"{row['offers']:,}",
            f"{row['planned']:,}",
            f"{row['seconds']:.1f}",
            f"{row['peak_mb']:,.0f}",
            f"{row['gap']:.2e}",
        )
    return table


def acting(found: dict[str, Any]) -> Table:
    """Return a row for each policy: mails and profit of all shops, and what the plan earns more."""
    shops = found["shops"]
    covered = sum(shop["covered"] for shop in shops)
    intervals = sum(shop["intervals"] for shop in shops)
    pooled = ", ".join(
        f"{arm}: measured {one['effect']:+.4f} [{one['low']:+.4f}, {one['high']:+.4f}], true {one['truth']:+.4f}"
        for arm, one in found["arms"].items()
    )
    table = Table(
        "policy",
        "mails with discount",
        "with news",
        "profit",
        "the plan earns more, for 1,000 customers",
        title=f"{sum(shop['customers'] for shop in shops):,} customers who may get a mail, in {len(shops)} shops",
        caption=f"{covered} of {intervals} intervals of campaigns cover the true effect on conversion. {pooled}.",
    )
    for name in shops[0]["total"]:
        mails = [sum(shop["mails"][name][arm] for shop in shops) for arm in ("discount", "news")]
        more = found["plan_over"].get(name)
        table.add_row(
            name,
            *(f"{count:,}" for count in mails),
            f"{sum(shop['total'][name] for shop in shops):,.0f}",
            f"{more[0]:+.0f} [{more[1]:+.0f}, {more[2]:+.0f}]" if more else "",
        )
    return table
