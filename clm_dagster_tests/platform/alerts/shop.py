"""A shop with alerts, for tests: its real checks and jobs, and a published copy of which only the ledger has rows.

Belongs here: making things go wrong and right again. Does not: what a test expects.
"""

from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from clm_dagster.platform.alerts.sending import Alerts, Outcome
from clm_dagster.platform.alerts.watched import Watched
from clm_dagster.platform.build_ledger.entries import create_ledger
from clm_dagster.platform.build_ledger.versions import EVENTS
from clm_dagster.platform.dbt_project.project import SNAPSHOT
from clm_dagster.platform.partitions import snapshot_keys
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.settings import Settings
from clm_dagster.shop_alerts import alerts_of

EVENTS_KEY = dg.AssetKey(["raw", "events"])
FEW_REJECTS = dg.AssetCheckKey(EVENTS_KEY, "few_rejects")
REJECTED_SHARE = dg.AssetCheckKey(EVENTS_KEY, "rejected_share")
GATE = dg.AssetCheckKey(dg.AssetKey(["models", "churn_model"]), "champion_gate")
DRIFT = dg.AssetCheckKey(dg.AssetKey(["marts", "feature_drift"]), "features_have_not_drifted")


def job(name: str, fails: bool = True) -> dg.JobDefinition:
    """Return a job of this name that fails or succeeds."""

    @dg.op
    def load() -> None:
        if fails:
            raise ValueError("the file has no column event_id")

    @dg.job(name=name)
    def made() -> None:
        load()

    return made


_found: dict[str, Watched] = {}


def _watched(settings: Settings) -> Watched:
    """Return what belongs to a shop of this prefix; it is the same for all other settings of these tests."""
    if settings.asset_prefix not in _found:
        _found[settings.asset_prefix] = alerts_of(settings).watched
    return _found[settings.asset_prefix]


class WatchedShop:
    """A shop that is looked at. clock: the time of the next look."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.alerts = Alerts.of(replace(_watched(settings), settings=settings))
        self.settings, self.instance = settings, instance
        self.clock = datetime.now(ZoneInfo(settings.timezone))

    def look(self, **later: float) -> Outcome:
        """Look at the shop, `minutes=5` or so after the last look."""
        self.clock += timedelta(**(later or {"minutes": 1}))
        return self.alerts.look(self.instance, self.clock)

    def run(
        self, name: str = "daily", fails: bool = True, tags: dict[str, str] | None = None
    ) -> dg.DagsterRun:
        """Run a job of the shop that fails or succeeds."""
        result = job(name, fails).execute_in_process(instance=self.instance, raise_on_error=False, tags=tags)
        return result.dagster_run

    def report(
        self,
        key: dg.AssetCheckKey,
        passed: bool,
        description: str = "",
        severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.WARN,
    ) -> None:
        """Report the result of a check of the shop."""
        assert key in self.alerts.watched.checks, f"the shop has no check {key}"
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=passed,
                severity=severity,
                description=description or None,
            )
        )

    def publish(self, last: date, snapshots: bool = True, trained: str = "", scored: str = "") -> None:
        """Publish a copy with days up to `last`, and what else is built of the weeks that are over by then."""
        weeks = [k for k in snapshot_keys(self.settings.start_date, last) if date.fromisoformat(k) <= last]
        ended = [k for k in weeks if date.fromisoformat(k) + timedelta(days=6) <= last]
        watched = self.alerts.watched
        rows = [(EVENTS, last.isoformat(), 3)]
        weekly = [model.relation for model in watched.project.models.values() if model.window == SNAPSHOT]
        keys = dict.fromkeys(weekly, ended[-1]) if snapshots and ended else {}
        keys |= {t.relation: trained if t.is_trained else scored for t in watched.tables}
        rows += [(relation, key, 1) for relation, key in keys.items() if key]
        path = self.settings.published_path
        path.unlink(missing_ok=True)
        with warehouse_of(self.settings).connect("a test") as connection:
            create_ledger(connection)
            connection.execute("delete from raw.builds")
            for relation, key, count in rows:
                connection.execute(
                    "insert into raw.builds values (?, ?, 'v', null, ?, '')", [relation, key, count]
                )
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(self.settings.warehouse_path.read_bytes())
