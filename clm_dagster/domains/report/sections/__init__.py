"""The sections of the page, one module each, in the order of the page.

A module has one function, `section(reading, words) -> Section | None`.
"""

from collections.abc import Callable, Sequence

from clm_dagster.domains.report.reading import PageReading
from clm_dagster.domains.report.section import Section
from clm_dagster.domains.report.sections import (
    baskets,
    campaigns,
    churn,
    cohorts,
    customers,
    funnel,
    headline,
    models,
    monday,
    personas,
    plan,
    quality,
    recommend,
    revenue,
    segments,
    stages,
    stock,
    voice,
)
from clm_dagster.domains.report.words import Words

Build = Callable[[PageReading, Words], Section | None]
SECTIONS: Sequence[Build] = (
    monday.section,
    headline.section,
    revenue.section,
    customers.section,
    segments.section,
    stages.section,
    cohorts.section,
    funnel.section,
    churn.section,
    personas.section,
    plan.section,
    campaigns.section,
    recommend.section,
    baskets.section,
    stock.section,
    voice.section,
    models.section,
    quality.section,
)
