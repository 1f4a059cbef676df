"""The sensor that looks for problems and tells the channels.

Belongs here: the tick, and what it says. Does not: looking and telling (`sending`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from clm_dagster.errors import UserError
from clm_dagster.platform.alerts.sending import Alerts
from clm_dagster.platform.alerts.watched import Watched
from clm_dagster.platform.domain import Domain, Shop
from clm_dagster.platform.naming import name_of
from clm_dagster.platform.python_tables.tables import AnyTable

NAME = "alerts"
NO_CHANNEL = "no channel: the settings CLM_WEBHOOK_URL, CLM_ALERT_URLS and CLM_SMTP_URL are empty"


class AlertsError(UserError, RuntimeError):
    """Some channels took no message. They get it later; the tick shows which and why."""


def alert_sensor(
    shop: Shop, tables: Sequence[AnyTable], domains: Sequence[Domain], assets: Sequence[dg.AssetsDefinition]
) -> dg.SensorDefinition:
    """Return the sensor of a shop with these assets. It runs by default where a channel is set."""
    settings = shop.settings
    alerts = Alerts.of(Watched.of(shop, tables, domains, assets))

    @dg.sensor(
        name=name_of(settings, NAME),
        # It requests no run.
        asset_selection=None,
        default_status=dg.DefaultSensorStatus.RUNNING
        if settings.has_alerts
        else dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=settings.sensor_seconds,
        description=(
            "Tells failed runs, failed checks and late data to the webhook CLM_WEBHOOK_URL, the addresses "
            "CLM_ALERT_URLS and by mail (CLM_SMTP_URL), as far as these are set: each problem once, and once more when "
            "it is solved."
        ),
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if not settings.has_alerts:
            return dg.SkipReason(NO_CHANNEL)
        outcome = alerts.look(context.instance, datetime.now(UTC))
        if outcome.failed:
            raise AlertsError(str(outcome))
        return dg.SkipReason(str(outcome))

    return look
