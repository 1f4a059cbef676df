"""Write the page of an as_of: read the published copy, render, replace the files.

A picture of the headline chart lies beside a page if the settings say that the folder is served (CLM_REPORT_URL): only
then can anybody else see it.

Belongs here: which page is written where. Does not: rendering (`page`), the asset and the command that ask for it.
"""

from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path

from clm_dagster.domains.report.page import render_page
from clm_dagster.domains.report.picture import headline_picture
from clm_dagster.domains.report.pseudonyms import Pseudonyms
from clm_dagster.domains.report.reading import PageReading, page_as_of
from clm_dagster.domains.report.settings import ReportSettings
from clm_dagster.platform.publish.reading import connect_published
from clm_dagster.settings import Settings
from clm_dagster.storage import write_atomically

PAGE, PICTURE = "index.html", "headline.png"


@dataclass(frozen=True)
class Written:
    """A page that was written. latest: the file of the newest page, where this is one."""

    as_of: datetime
    path: Path
    size: int
    latest: Path | None = None


def reports_dir(settings: Settings) -> Path:
    """Return the folder of all pages."""
    return settings.data_dir.resolve() / "reports"


def folder_of(settings: Settings, as_of: date) -> Path:
    """Return the folder of the page of one as_of, which is in the archive."""
    return reports_dir(settings) / f"{as_of:%Y-%m-%d}"


def write_page(
    settings: Settings, as_of: date | None = None, language: str | None = None, out: Path | None = None
) -> Written:
    """Write the page of an as_of, by default the newest.

    language: in which it opens, by default that of the settings. out: another file to write, from the tables of today;
    it leaves the archive as it is. A page of an older week that is in the archive stays, because the tables may have
    rows that were not known then. Raise SettingsError if nothing was published, NothingToReportError without a
    snapshot of as_of, WordingError for an unknown language, PseudonymError for a damaged key.
    """
    options = settings.of(ReportSettings)
    with connect_published(settings, "report") as connection:
        wanted = None if as_of is None else datetime.combine(as_of, time.min)
        newest = page_as_of(connection, None)
        found = page_as_of(connection, wanted)
        path = out or folder_of(settings, found) / PAGE
        if out is None and found != newest and path.exists():
            return Written(found, path, path.stat().st_size)
        pseudonyms = Pseudonyms.of_shop(settings) if options.ids == "pseudonyms" else None
        reading = PageReading(connection, found, settings.asset_prefix or settings.source, pseudonyms)
        text = render_page(reading, language or options.language)
        picture = headline_picture(reading) if options.url and out is None else None
    if picture is not None:
        write_atomically(path.with_name(PICTURE), picture)
    write_atomically(path, text)
    latest = reports_dir(settings) / "latest.html" if out is None and found == newest else None
    if latest is not None:
        write_atomically(latest, text)
    return Written(found, path, len(text.encode()), latest)
