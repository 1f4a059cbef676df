"""`clm campaign plan` and `clm campaign read`: what a campaign would bring, and what it has brought.

Belongs here: options and terminal output. Does not: the plan (`campaign_asset`), the figures (`campaigns`,
`campaign_reading`).
"""

from datetime import datetime

import click

from clm_dagster.command_line import DATE, JSON, console, current_settings, day_of, definitions_of, show
from clm_dagster.terminal import run_progress


@click.group()
def campaign() -> None:
    """Plan a campaign before anybody is contacted, and read what it has brought."""


@campaign.command("plan")
@click.argument("name")
@click.option("--budget", type=click.FloatRange(min=0), help="Money for it. [setting: CLM_ACTIONS_BUDGET]")
@click.option("--as-of", "as_of", type=DATE, help="The snapshot, as in the tables; default: the newest.")
@JSON
def plan_campaign(name: str, budget: float | None, as_of: datetime | None, as_json: bool) -> None:
    """Show whom NAME would contact, what it would bring, and how well that could be measured.

    NAME is a line of the playbook, an action, or the start of one, such as win_back.
    """
    from clm_dagster.domains.actions.campaign_reading import as_dict, plan_and_read, render_plan

    settings = current_settings()
    with run_progress(console) as progress:
        found = plan_and_read(
            settings, definitions_of(settings), name, budget, day_of(as_of), progress.begin("Planning", 1)
        )
    show(as_dict(found) if as_json else render_plan(found))


@campaign.command("read")
@click.argument("name")
@JSON
def read_campaign(name: str, as_json: bool) -> None:
    """Show what NAME has brought so far: effects with intervals that may be looked at every day.

    NAME is a campaign_id of delivered contacts, a line of the playbook, an action, or the start of one.
    """
    from clm_dagster.domains.actions.campaign_reading import read_results, render_results, results_as_dict

    found = read_results(current_settings(), name)
    show(results_as_dict(found) if as_json else render_results(found))
