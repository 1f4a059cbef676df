"""The asset of the page, which is renewed with the published copy.

Belongs here: the Dagster asset. Does not: writing the page (`writing`).
"""

from typing import TYPE_CHECKING

import dagster as dg

from clm_dagster.domains.report.reading import NothingToReportError
from clm_dagster.platform.job_names import PUBLISH
from clm_dagster.platform.late_functions import late_functions
from clm_dagster.platform.naming import name_of, with_prefix
from clm_dagster.platform.publish.assets import KEY as PUBLISHED
from clm_dagster.settings import Settings

if TYPE_CHECKING:
    from clm_dagster.domains.report.writing import write_page
else:
    (write_page,) = late_functions("clm_dagster.domains.report.writing", "write_page")

KEY = dg.AssetKey(["report", "page"])


def page_asset(settings: Settings) -> dg.AssetsDefinition:
    """Return the asset. It belongs to the publication, and so to each job that publishes."""

    @dg.asset(
        key=with_prefix(settings, KEY),
        deps=[with_prefix(settings, PUBLISHED)],
        group_name=name_of(settings, "report"),
        owners=["team:marketing"],
        kinds={"html", "file"},
        tags={"layer": "published", "job": PUBLISH},
        description=(
            "The page for marketers: `reports/latest.html` in the data folder, and one page for each week in "
            "`reports/<as_of>/index.html`. One file, which needs no server and no network. `clm report` opens it."
        ),
    )
    def page(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        try:
            written = write_page(settings)
        except NothingToReportError as error:
            # The first days of a shop are published before a week is over.
            context.log.info(str(error))
            return dg.MaterializeResult(metadata={"written": False, "why": str(error)})
        return dg.MaterializeResult(
            metadata={
                "written": True,
                "as_of": f"{written.as_of:%Y-%m-%d}",
                "size_mb": round(written.size / 1e6, 2),
                "page": dg.MetadataValue.path(str(written.path)),
            }
        )

    return page
