"""Posting the headlines to a chat program.

Belongs here: which sentences are sent, and their text. Does not: the request (`platform.alerts.channels`), the facts.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from clm_dagster.domains.report.names import FACTS, MONDAY
from clm_dagster.domains.report.settings import ReportSettings
from clm_dagster.domains.report.wording import Wording
from clm_dagster.domains.report.writing import PAGE, PICTURE, folder_of
from clm_dagster.errors import UserError
from clm_dagster.platform.alerts.channels import http_channel
from clm_dagster.platform.alerts.messages import Message
from clm_dagster.platform.publish.publishing import published_place
from clm_dagster.platform.publish.reading import connect_published
from clm_dagster.platform.secrets import filled
from clm_dagster.settings import Settings

OPTION = "the URL of the chat program (--post)"


class NoFactsError(UserError):
    """There are no facts to post. The message says what to do."""


@dataclass(frozen=True)
class Posted:
    """What was posted. host: where to, without secrets."""

    as_of: date
    host: str
    text: str


def post(
    settings: Settings,
    url: str,
    as_of: date | None = None,
    language: str | None = None,
) -> Posted:
    """Post Monday's sentences to a webhook of a chat program (Slack, Mattermost ...). Return what was posted.

    These are the five of what changed, what to do, and what may not be trusted; with the link to the page and its
    headline chart, if CLM_REPORT_URL says where they can be opened.

    url: may name environment variables, `${NAME}`. as_of: the newest if None. language: the setting if None.
    Raise NoFactsError, WordingError for an unknown language,
    SettingsError for an address that is none, ChannelError if it is not taken.
    """
    options = settings.of(ReportSettings)
    wording = Wording.of(language or options.language)
    channel = http_channel(str(filled(url, OPTION)), OPTION, is_chat=True)
    found, sentences = read_headlines(settings, wording.language, as_of)
    day = wording.day(found - timedelta(days=1))
    title = wording.say("facts.post.title", day=day)
    lines = [
        wording.say("facts.post.line", rank=rank, sentence=sentence)
        for rank, sentence in enumerate(sentences, start=1)
    ]
    page, picture = (_address(settings, options.url, found, name) for name in (PAGE, PICTURE))
    ends = [wording.say("facts.post.page", address=page)] if page else []
    text = "\n".join([title, *lines, *ends])
    channel.send(Message(title, text, {}, picture))
    return Posted(found, channel.title, text)


def _address(settings: Settings, base: str, as_of: date, name: str) -> str:
    """Return the address of a file of the archive; empty if it is not served, or not there."""
    path = folder_of(settings, as_of) / name
    return f"{base}/{path.parent.name}/{name}" if base and path.exists() else ""


def read_headlines(settings: Settings, language: str, as_of: date | None = None) -> tuple[date, list[str]]:
    """Return the as_of and the headlines of the published facts, the newest if None. Raise NoFactsError."""
    with connect_published(settings, "the headlines of the report") as connection:
        if connection.relation_kind(FACTS) is None:
            raise NoFactsError(
                f"{published_place(settings)} has no {FACTS}; run `clm run`, which makes it with the scores"
            )
        instant = datetime.combine(as_of, datetime.min.time()) if as_of else None
        rows = connection.execute(
            f"select as_of, sentence_{language} from {FACTS} "
            f"where as_of = coalesce(?, (select max(as_of) from {FACTS})) and rank <= ? order by rank",
            [instant, MONDAY],
        )
        if rows:
            return rows[0][0].date(), [sentence for _, sentence in rows]
        stored = connection.scalar(
            "select string_agg(day, ', ' order by day desc) from "
            f"(select distinct as_of::date::varchar as day from {FACTS} order by day desc limit 5)"
        )
    raise NoFactsError(
        f"{FACTS} has no facts of the as_of {as_of or 'newest'}; expected one of {stored or 'none'}. Run `clm run`, or "
        "materialize marts/report_facts for that week"
    )
