"""Late data: what the published copy lacks although it should have been there for hours.

Belongs here: days, snapshots, models and scores that are late. Does not: tables whose code or inputs changed
(`platform.planning`): these are work for `clm run`, and nobody waits for it.

One definition: what had ended CLM_ALERT_STALE_HOURS ago has to be in the published copy by now. Only the first thing
that is late is sent, as it explains the rest: without days there are no snapshots, without snapshots no scores.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta

from clm_dagster.platform.alerts.problems import ERROR, STALE, WARNING, Findings, Problem
from clm_dagster.platform.alerts.watched import Watched
from clm_dagster.platform.build_ledger.staleness import training_keys
from clm_dagster.platform.build_ledger.versions import EVENTS, loaded_end
from clm_dagster.platform.dbt_project.project import SNAPSHOT
from clm_dagster.platform.duckdb_files import WarehouseBusyError
from clm_dagster.platform.job_names import DAILY, MODELS, SCORES, SNAPSHOTS
from clm_dagster.platform.naming import asset_key, name_of
from clm_dagster.platform.partitions import (
    days_lacking,
    end_of_week,
    snapshot_label,
    snapshot_partitions,
)
from clm_dagster.platform.publish.publishing import last_published
from clm_dagster.platform.publish.reading import connect_published

_WAIT = 5.0
_RESTART = "see in the UI why it does not run, and that its schedule is on; or run `clm run`."


class StaleReader:
    """Reads what is late. It remembers the copy that it read last, so that a tick without a new copy opens no file."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._read: tuple[int, date | None, Mapping[str, str]] | None = None

    def find(self, now: datetime) -> Findings:
        """Return what is late, at most one problem. Nothing is late in a closed shop, nor before a first copy."""
        hours = self._watched.settings.alert_stale_hours
        if not self._watched.settings.is_live or not hours:
            return Findings()
        found = self._newest()
        if found is None:
            return Findings()
        end, newest = found
        if end is None:
            return Findings()
        problem = (
            self._late_days(now, end)
            or self._late_snapshots(now, end, newest)
            or self._late_models(now, end, newest)
            or self._late_scores(now, newest)
        )
        return Findings([problem] if problem else [])

    def _newest(self) -> tuple[date | None, Mapping[str, str]] | None:
        """Return the end of the published days, and the newest published partition of each relation."""
        settings = self._watched.settings.replace(lock_timeout=_WAIT)
        published = last_published(settings)
        if published is None:
            return None
        stamp = published.stamp
        if self._read is None or self._read[0] != stamp:
            try:
                with connect_published(settings, "alerts") as connection:
                    end = loaded_end(connection)
                    newest = dict(
                        connection.execute("select relation, max(partition_key) from raw.builds group by 1")
                        if end
                        else []
                    )
            except WarehouseBusyError:
                return self._read[1:] if self._read else None
            self._read = (stamp, end, newest)
        return self._read[1:]

    def _late_days(self, now: datetime, end: date) -> Problem | None:
        last = end - timedelta(days=1)
        return self._problem(
            now,
            DAILY,
            end + timedelta(days=1),
            f"No new data: the newest published day is {last:%A} {last}",
            "the days after it did not come, or were not loaded",
            "see that the shop delivers its files, and that daily_schedule is on (or `clm run` is started).",
            EVENTS,
        )

    def _late_snapshots(self, now: datetime, end: date, newest: Mapping[str, str]) -> Problem | None:
        expected = [
            key
            for key in self._ended(now)
            if not days_lacking(key, end, self._watched.settings) and end_of_week(key) <= end
        ]
        weekly = [m.relation for m in self._watched.project.models.values() if m.window == SNAPSHOT]
        late = self._missing(expected[-1:], weekly, newest)
        return self._late(now, SNAPSHOTS, *late) if late else None

    def _late_models(self, now: datetime, end: date, newest: Mapping[str, str]) -> Problem | None:
        keys = [key for key in self._ended(now) if not days_lacking(key, end, self._watched.settings)]
        trained = [t.relation for t in self._watched.tables if t.is_trained and t.relation in newest]
        due = training_keys(keys, self._watched.settings)[-1:]
        late = self._missing(due, trained, newest)
        return self._late(now, MODELS, *late) if late else None

    def _late_scores(self, now: datetime, newest: Mapping[str, str]) -> Problem | None:
        weekly = [m.relation for m in self._watched.project.models.values() if m.window == SNAPSHOT]
        built = min((newest.get(relation, "") for relation in weekly), default="")
        expected = [key for key in self._ended(now) if key <= built]
        scores = [t.relation for t in self._watched.tables if not t.is_trained and t.relation in newest]
        if not self._watched.settings.score_count:
            return None
        late = self._missing(expected[-1:], scores, newest)
        return self._late(now, SCORES, *late) if late else None

    def _ended(self, now: datetime) -> Sequence[str]:
        """Return the snapshots whose weeks had ended as long ago as data may be late."""
        settings = self._watched.settings
        by = now - timedelta(hours=settings.alert_stale_hours)
        return snapshot_partitions(settings).get_partition_keys(current_time=by)

    @staticmethod
    def _missing(
        expected: Sequence[str], relations: Sequence[str], newest: Mapping[str, str]
    ) -> tuple[str, list[str]] | None:
        """Return the expected partition, and the relations that lack it; None where none does."""
        missing = sorted(name for key in expected for name in relations if newest.get(name, "") < key)
        return (expected[0], missing) if missing else None

    def _late(self, now: datetime, job: str, key: str, relations: Sequence[str]) -> Problem | None:
        label = snapshot_label(key, self._watched.settings.end_date)
        names = ", ".join(relations[:3]) + (f" and {len(relations) - 3} more" if len(relations) > 3 else "")
        return self._problem(
            now,
            job,
            end_of_week(key),
            f"Late: {job} {label} are not published" if job != MODELS else f"Late: models of {label}",
            f"missing in {names}",
            f"the job {name_of(self._watched.settings, job)} is due: {_RESTART}",
            relations[0],
        )

    def _problem(
        self, now: datetime, job: str, ended: date, title: str, detail: str, action: str, relation: str
    ) -> Problem | None:
        """Return what is late if it ended so long ago; it is an error after twice the time."""
        settings = self._watched.settings
        patience = timedelta(hours=settings.alert_stale_hours)
        since = datetime.combine(ended, time.min, settings.zone) + patience
        if now < since:
            return None
        path = "/".join(asset_key(settings, relation).path)
        return Problem(
            key=f"stale:{job}",
            kind=STALE,
            level=WARNING if now < since + patience else ERROR,
            title=title,
            detail=f"{detail} (CLM_ALERT_STALE_HOURS: {settings.alert_stale_hours:g})",
            since=since,
            action=action,
            path=f"/assets/{path}",
            fields={"job": name_of(settings, job), "asset": path},
        )
