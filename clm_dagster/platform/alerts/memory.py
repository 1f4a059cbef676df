"""What was wrong, and what was sent of it to each channel.

Belongs here: which problems are new, worse, still there or solved, for each channel. Does not: texts (`messages`).

An episode is one time that a problem lasts. Each episode is sent once to each channel when it starts (or gets worse),
and once when it is over. A channel that is down hears of everything later; the others hear nothing twice. The memory is
a file in the data folder: the daemon's sensor and `clm run` share it.
"""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from clm_dagster.platform.alerts.collecting import OVERLAP
from clm_dagster.platform.alerts.problems import LEVELS, Findings, Problem
from clm_dagster.storage import write_json

log = logging.getLogger(__name__)
NEW, WORSE, STILL, SOLVED, BRIEF = "new", "worse", "still", "solved", "brief"
# What is over is kept so long for a channel that is down.
_KEEP = timedelta(days=14)
# A channel that is down is tried at every tick at first, then rarely.
_PATIENCE, _PAUSE = 3, timedelta(minutes=10)
_VERSION = 1


@dataclass(frozen=True)
class Episode:
    """One time that a problem lasts. name: its identity. ended: None as long as it lasts."""

    name: str
    problem: Problem
    ended: datetime | None = None

    @classmethod
    def of(cls, problem: Problem, now: datetime, ended: datetime | None = None) -> "Episode":
        """Return the episode of a problem that was not there at the last look."""
        return cls(f"{problem.occurrence} {now.isoformat()}", problem, ended)


@dataclass(frozen=True)
class Sent:
    """What was sent last to a channel about an episode."""

    level: str
    at: datetime
    is_over: bool = False


@dataclass(frozen=True)
class Outage:
    """A channel that is down. failures: how many attempts failed in a row. at: the last one. reason: why it failed."""

    failures: int
    at: datetime
    reason: str

    @property
    def until(self) -> datetime:
        """When the next attempt may be made: soon at first, then rarely, as servers lock out who fails to log in."""
        return self.at + (timedelta(0) if self.failures < _PATIENCE else _PAUSE)


@dataclass(frozen=True)
class Notice:
    """What to send to a channel. news: new, worse, still (a reminder), solved, or brief: it began and ended."""

    episode: Episode
    news: str


@dataclass
class Memory:
    """All episodes that matter, and what was sent to each channel.

    first_look, looked_at: the first and the last look; None before. outages: of the channels that are down. seen:
    occurrences that have had their episode, and when they were last seen.
    """

    episodes: list[Episode] = field(default_factory=list)
    channels: dict[str, dict[str, Sent]] = field(default_factory=dict)
    outages: dict[str, Outage] = field(default_factory=dict)
    seen: dict[str, datetime] = field(default_factory=dict)
    first_look: datetime | None = None
    looked_at: datetime | None = None

    def register(self, channels: Collection[str]) -> None:
        """Know these channels and no others. A new one hears what is wrong now, and nothing of the past."""
        past = {
            each.name: Sent(each.problem.level, each.ended, is_over=True)
            for each in self.episodes
            if each.ended
        }
        self.channels = {name: self.channels.get(name, dict(past)) for name in channels}
        self.outages = {name: outage for name, outage in self.outages.items() if name in channels}

    def learn(self, found: Findings, now: datetime) -> None:
        """Take in what was found: episodes begin, go on and end. What was over before the first look is the past."""
        current = {problem.key: problem for problem in found.open}
        known = {each.problem.key for each in self.episodes if each.ended is None}
        for index, episode in enumerate(self.episodes):
            if episode.ended is None:
                problem = current.get(episode.problem.key)
                self.episodes[index] = (
                    replace(episode, ended=now)
                    if problem is None
                    else replace(episode, problem=replace(problem, since=episode.problem.since))
                )
        self.episodes += [Episode.of(problem, now) for key, problem in current.items() if key not in known]
        for problem, ended in found.over:
            is_past = self.looked_at is None or problem.occurrence in self.seen
            if not is_past and problem.key not in known:
                self.episodes.append(Episode.of(problem, now, ended))
        for problem in (*current.values(), *(problem for problem, _ in found.over)):
            self.seen[problem.occurrence] = now
        self.seen = {name: at for name, at in self.seen.items() if now - at < 4 * OVERLAP}
        self.first_look, self.looked_at = self.first_look or now, now

    def due(self, channel: str, now: datetime, remind: timedelta) -> list[Notice]:
        """Return what to send to a channel now. remind: after how long it is reminded; 0 for never.

        Where one problem is due for a reminder, all are: one message a day, not one for each problem.
        """
        sent = self.channels[channel]
        found = []
        for episode in self.episodes:
            news = _news(episode, sent.get(episode.name))
            if news:
                found.append(Notice(episode, news))
        changed = {notice.episode.name for notice in found}
        still = [each for each in self.episodes if each.ended is None and each.name not in changed]
        if remind and any(now - sent[each.name].at >= remind for each in still):
            found += [Notice(each, STILL) for each in still]
        return found

    def mark(self, channel: str, notices: Sequence[Notice], now: datetime) -> None:
        """Note what was sent to a channel."""
        self.outages.pop(channel, None)
        for notice in notices:
            over = notice.episode.ended is not None
            self.channels[channel][notice.episode.name] = Sent(notice.episode.problem.level, now, over)

    def fail(self, channel: str, reason: str, now: datetime) -> None:
        """Note that a channel took no message."""
        before = self.outages.get(channel)
        self.outages[channel] = Outage(before.failures + 1 if before else 1, now, reason)

    def forget(self, now: datetime) -> None:
        """Forget the episodes that are over and that were sent to every channel, and very old ones."""

        def matters(episode: Episode) -> bool:
            if episode.ended is None:
                return True
            is_told = all(
                episode.name in sent and sent[episode.name].is_over for sent in self.channels.values()
            )
            return not is_told and now - episode.ended < _KEEP

        self.episodes = [episode for episode in self.episodes if matters(episode)]
        names = {episode.name for episode in self.episodes}
        self.channels = {
            channel: {name: each for name, each in sent.items() if name in names}
            for channel, sent in self.channels.items()
        }

    def write(self, path: Path) -> None:
        """Store the memory."""
        write_json(
            path,
            {
                "version": _VERSION,
                "first_look": _text(self.first_look),
                "looked_at": _text(self.looked_at),
                "episodes": [
                    {
                        "name": each.name,
                        "problem": asdict(each.problem) | {"since": _text(each.problem.since)},
                        "ended": _text(each.ended),
                    }
                    for each in self.episodes
                ],
                "channels": {
                    channel: {name: asdict(each) | {"at": _text(each.at)} for name, each in sent.items()}
                    for channel, sent in self.channels.items()
                },
                "outages": {
                    name: asdict(each) | {"at": _text(each.at)} for name, each in self.outages.items()
                },
                "seen": {name: _text(at) for name, at in self.seen.items()},
            },
        )

    @classmethod
    def read(cls, path: Path) -> "Memory":
        """Return the stored memory; an empty one where there is none.

        A damaged file is put aside: alerts that are sent once more do less harm than none.
        """
        if not path.exists():
            return cls()
        try:
            return cls._of(json.loads(path.read_text()))
        except (ValueError, KeyError, TypeError, AttributeError):
            aside = path.with_suffix(".damaged")
            path.replace(aside)
            log.warning("%s was damaged; it is now %s. All problems are sent once more", path, aside)
            return cls()

    @classmethod
    def _of(cls, stored: Mapping[str, Any]) -> "Memory":
        if stored["version"] != _VERSION:
            raise ValueError("stored by another version")
        return cls(
            [_episode(each) for each in stored["episodes"]],
            {
                channel: {
                    name: Sent(each["level"], datetime.fromisoformat(each["at"]), each["is_over"])
                    for name, each in sent.items()
                }
                for channel, sent in stored["channels"].items()
            },
            {
                name: Outage(each["failures"], datetime.fromisoformat(each["at"]), each["reason"])
                for name, each in stored["outages"].items()
            },
            {name: datetime.fromisoformat(at) for name, at in stored["seen"].items()},
            _instant(stored["first_look"]),
            _instant(stored["looked_at"]),
        )


def _news(episode: Episode, sent: Sent | None) -> str:
    """Return what is new for a channel; empty for nothing."""
    if sent is None:
        return NEW if episode.ended is None else BRIEF
    if episode.ended is not None:
        return "" if sent.is_over else SOLVED
    return WORSE if LEVELS.index(episode.problem.level) > LEVELS.index(sent.level) else ""


def _episode(stored: Mapping[str, Any]) -> Episode:
    since = datetime.fromisoformat(stored["problem"]["since"])
    return Episode(
        stored["name"], Problem(**{**stored["problem"], "since": since}), _instant(stored["ended"])
    )


def _text(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
