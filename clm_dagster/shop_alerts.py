"""Alerts of a shop outside of Dagster's daemon: at the end of `clm run`, and for `clm alerts`.

Belongs here: which alerts a shop has, by its settings. Does not: finding and sending them (`platform.alerts`).

Many shops run `clm run` by cron and have no daemon. Where there is one as well, both share their memory: nothing is
sent twice.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import dagster as dg

from clm_dagster.definitions import shop_definitions
from clm_dagster.errors import StoppedError, UserError
from clm_dagster.platform.alerts.messages import Message
from clm_dagster.platform.alerts.sending import Alerts
from clm_dagster.platform.alerts.watched import Watched
from clm_dagster.platform.domain import Shop, build_domains, tables_of
from clm_dagster.platform.runs import open_instance
from clm_dagster.settings import Settings

# The daemon's tick may be sending.
_WAIT_SECONDS = 60.0


def alerts_of(settings: Settings) -> Alerts:
    """Return the alerts of a shop."""
    shop = Shop.open(settings)
    domains = build_domains(shop)
    assets = shop_definitions(settings).assets or ()
    own = [asset for asset in assets if isinstance(asset, dg.AssetsDefinition)]
    return Alerts.of(Watched.of(shop, tables_of(domains, shop.project), domains, own))


@contextmanager
def alerts_at_end(
    instance: dg.DagsterInstance, settings: Callable[[], Settings], say: Callable[[str], None]
) -> Iterator[None]:
    """Send alerts after a block, also if it fails, but not if a person stops it.

    settings: returns those of the shop as they are then. say: called with why nothing was sent to a channel:
    alerts never make a run fail.
    """
    try:
        yield
    except (StoppedError, KeyboardInterrupt):
        raise
    except Exception:
        _send(instance, settings(), say)
        raise
    _send(instance, settings(), say)


def _send(instance: dg.DagsterInstance, settings: Settings, say: Callable[[str], None]) -> None:
    if not settings.has_alerts:
        return
    try:
        outcome = alerts_of(settings).look(instance, datetime.now(UTC), _WAIT_SECONDS)
    except UserError as error:
        say(f"Alerts were not sent: {error}")
        return
    for reason in (*outcome.failed.values(), *outcome.later.values()):
        say(f"Alerts were not sent: {reason}")


def wrong_now(settings: Settings) -> Message | None:
    """Return the message about everything that is wrong now; None if nothing is. Change and send nothing."""
    alerts = alerts_of(settings)
    is_shared = bool(settings.asset_prefix) and "DAGSTER_HOME" in os.environ
    if not settings.dagster_home.exists() and not is_shared:
        return alerts.preview(None, datetime.now(UTC))
    with open_instance(settings) as instance:
        return alerts.preview(instance, datetime.now(UTC))
