"""One look at a shop: find what is wrong, tell each channel what it does not know yet.

Belongs here: the order of these, and the lock between processes. Does not: when to look (`sensor`, `clm run`).

The memory is stored after each message. A process that is killed between a message and that store sends this one again.
"""

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

from clm_dagster.platform.alerts.channels import Channel, ChannelError, channels_of
from clm_dagster.platform.alerts.collecting import collect
from clm_dagster.platform.alerts.mail import MailError
from clm_dagster.platform.alerts.memory import Memory, Notice
from clm_dagster.platform.alerts.messages import Message, message_of, test_message
from clm_dagster.platform.alerts.problems import Findings
from clm_dagster.platform.alerts.stale import StaleReader
from clm_dagster.platform.alerts.watched import Watched
from clm_dagster.settings import Settings

FILE = "alerts.json"
# Dagster ends a tick after a minute: so long it may begin to send.
_BUDGET_SECONDS = 35.0


@dataclass
class Outcome:
    """What one look did. sent: by channel, the number of entries. failed, later: channels with the reason."""

    sent: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    later: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [f"sent {count} to {title}" for title, count in self.sent.items()]
        parts += [*self.failed.values(), *self.later.values()]
        return "; ".join(parts) or "nothing new"


@dataclass
class Alerts:
    """The alerts of one shop."""

    watched: Watched
    stale: StaleReader

    @classmethod
    def of(cls, watched: Watched) -> "Alerts":
        """Return the alerts of a shop."""
        return cls(watched, StaleReader(watched))

    @property
    def _path(self) -> Path:
        return self.watched.settings.data_dir.resolve() / FILE

    def look(self, instance: dg.DagsterInstance, now: datetime, wait: float = 0.0) -> Outcome:
        """Look at the shop and tell each channel what is new for it.

        wait: seconds to wait while another process does the same. Raise SettingsError for an address that is none.
        """
        channels = channels_of(self.watched.settings)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(f"{self._path}.lock", timeout=wait):
                return self._look(instance, now, channels)
        except Timeout:
            return Outcome(later={"": "another process is sending alerts"})

    def preview(self, instance: dg.DagsterInstance | None, now: datetime) -> Message | None:
        """Return the message about everything that is wrong now; None if nothing is. Change and send nothing."""
        memory = Memory.read(self._path)
        found = self._collect(instance, now, memory) if instance else self.stale.find(now)
        memory.learn(Findings(found.open), now)
        notices = [Notice(each, "new") for each in memory.episodes if each.ended is None]
        return message_of(self.watched.settings, self.watched.name, notices) if notices else None

    def _look(self, instance: dg.DagsterInstance, now: datetime, channels: list[Channel]) -> Outcome:
        settings = self.watched.settings
        memory = Memory.read(self._path)
        memory.register([channel.key for channel in channels])
        memory.learn(self._collect(instance, now, memory), now)
        memory.write(self._path)
        outcome, end = Outcome(), time.monotonic() + _BUDGET_SECONDS
        remind = timedelta(hours=settings.alert_remind_hours)
        # Those that work come first: one that hangs must not take their time.
        for channel in sorted(channels, key=lambda each: each.key in memory.outages):
            notices = memory.due(channel.key, now, remind)
            if not notices:
                continue
            outage = memory.outages.get(channel.key)
            if outage is not None and now < outage.until:
                outcome.later[channel.title] = (
                    f"{outage.reason}; failed {outage.failures} times, tried again from "
                    f"{outage.until.astimezone(settings.zone):%H:%M}"
                )
            elif time.monotonic() > end:
                outcome.later[channel.title] = f"{channel.title}: sent at the next tick"
            else:
                try:
                    channel.send(message_of(settings, self.watched.name, notices))
                except (ChannelError, MailError) as error:
                    outcome.failed[channel.title] = str(error)
                    memory.fail(channel.key, str(error), now)
                else:
                    outcome.sent[channel.title] = len(notices)
                    memory.mark(channel.key, notices, now)
                memory.write(self._path)
        memory.forget(now)
        memory.write(self._path)
        return outcome

    def _collect(self, instance: dg.DagsterInstance, now: datetime, memory: Memory) -> Findings:
        first, after = memory.first_look or now, memory.looked_at or now
        return collect(self.watched, self.stale, instance, now, first, after)


def send_test_alert(settings: Settings) -> dict[str, str]:
    """Send a test message to every channel. Return what happened by channel: empty if it took the message.

    Raise SettingsError for an address that is none.
    """
    message = test_message(settings, settings.asset_prefix or settings.source)
    found = {}
    for channel in channels_of(settings):
        try:
            channel.send(message)
        except (ChannelError, MailError) as error:
            found[channel.title] = str(error)
        else:
            found[channel.title] = ""
    return found
