"""The command for alerts.

Belongs here: alerts. Does not: sending them by themselves, which the sensor `alerts` and `clm run` do.
"""

import click
from rich.text import Text

from clm_dagster.command_line import console, current_settings
from clm_dagster.errors import UserError


class TestAlertError(UserError):
    """A channel did not take the test message, or there is none."""

    __test__ = False  # no class of tests


@click.command()
@click.option("--test", is_flag=True, help="Send a test message to every channel, and say what happened.")
def alerts(test: bool) -> None:
    """Show what is wrong now as alerts tell it, and where they go to. Send nothing without --test."""
    from clm_dagster.platform.alerts.channels import channels_of
    from clm_dagster.platform.alerts.sending import send_test_alert
    from clm_dagster.platform.alerts.sensor import NO_CHANNEL
    from clm_dagster.shop_alerts import wrong_now

    settings = current_settings()
    if not test:
        message = wrong_now(settings)
        console.print(message.text if message else "Nothing is wrong.", soft_wrap=True, highlight=False)
        titles = [channel.title for channel in channels_of(settings)]
        console.print(f"\nAlerts go to: {', '.join(titles)}" if titles else f"\n{NO_CHANNEL}", soft_wrap=True)
        return
    found = send_test_alert(settings)
    for title, problem in found.items():
        result = Text("failed", "bold red") if problem else Text("sent", "bold green")
        console.print(Text.assemble(result, f"  {problem or title}"), soft_wrap=True)
    if not found:
        raise TestAlertError(f"{NO_CHANNEL}; set one of them and try again")
    if any(found.values()):
        raise TestAlertError(
            "a channel did not take the test message; see above, correct its setting, try again"
        )
