"""Dagster definitions of the report domain.

Belongs here: the lists of tables and assets. Does not: their implementation.
"""

from clm_dagster.domains.report.page_asset import page_asset
from clm_dagster.domains.report.tables import report_tables
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    """Return the table of facts, and the page."""
    return Domain(
        name="report", tables=report_tables(shop.project, shop.settings), assets=[page_asset(shop.settings)]
    )
