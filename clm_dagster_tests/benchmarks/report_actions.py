"""The figures of uplift models, of allocations, of acting by a plan and of the report's page as tables.

Belongs here: words and rounding of `uplift_hillstrom`, `allocation_scale`, `plan_scale`, `score_scale`, `acting`,
`report_page`. Does not: measuring, other parts (`report`).
"""

from typing import Any

from rich.table import Table


def uplift(found: dict[str, Any]) -> Table:
    """Return a row for each candidate, its difference to the plain learner by split, and the verdicts."""
    table = Table(
        "ranking",
        *(title for mail in found for title in (f"{mail} mail", "over plain")),
        title="Qini area per 10,000 customers, mean ± standard deviation of five 50/50 splits",
        caption="\n".join(_judged(mail, one) for mail, one in found.items()),
    )
    for name in next(iter(found.values()))["areas"]:
        cells = []
        for one in found.values():
            (mean, deviation), (gain, spread) = one["areas"][name], one["over_plain_by_split"][name]
            cells += [f"{mean:.1f} ± {deviation:.1f}", f"{gain:+.1f} ± {spread:.1f}"]
        table.add_row(name, *cells)
    return table


def _judged(mail: str, one: dict[str, Any]) -> str:
    value, low, high = one["over_plain"]
    return (
        f"{mail}: selected {', '.join(one['winners'])}; {value:+.1f} [{low:+.1f}, {high:+.1f}] over the plain learner. "
        f"{one['verdict']}"
    )


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
    table = Table(
        "customers",
        "in a shard",
        "offers",
        "planned",
        "s",
        "peak MB",
        "gap",
        "other rows",
        title="Plans of actions",
    )
    for row in rows:
        table.add_row(
            f"{row['customers']:,}",
            f"{row['shard_customers'] or row['customers']:,}",
            f"{row['offers']:,}",
            f"{row['planned']:,}",
            f"{row['seconds']:.1f}",
            f"{row['peak_mb']:,.0f}",
            f"{row['gap']:.2e}",
            f"{row['differing']:,}",
        )
    return table


def scores(rows: list[dict[str, Any]]) -> Table:
    """Return a row for each table of scores and size of shards."""
    table = Table(
        "scores",
        "customers",
        "in a shard",
        "s",
        "processor s",
        "peak MB",
        "other rows",
        title="Scores in shards",
    )
    for row in rows:
        table.add_row(
            row["kind"],
            f"{row['customers']:,}",
            f"{row['shard_customers'] or row['customers']:,}",
            f"{row['seconds']:.1f}",
            f"{row['processor_seconds']:.1f}",
            f"{row['peak_mb']:,.0f}",
            f"{row['differing']:,}",
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


def page(found: dict[str, Any]) -> Table:
    """Return the figures of the report's page."""
    table = Table(
        "customers", "written in s", "peak MB", "size in MB", "loaded in s", title="The report's page"
    )
    loads = sorted(found["loads"])
    table.add_row(
        f"{found['customers']:,}",
        f"{found['write_seconds']:.1f}",
        f"{found['peak_mb']:,.0f}",
        f"{found['size_mb']:.2f}",
        f"{loads[len(loads) // 2]:.2f} ({loads[0]:.2f} to {loads[-1]:.2f})" if loads else "no Chromium",
    )
    return table
