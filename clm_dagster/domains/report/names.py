"""Names of the facts: the table, its sections, units and the charts that facts belong to.

Belongs here: names that several modules of the domain use. Does not: anything computed.
"""

FACTS = "marts.report_facts"
SECTIONS = (
    "revenue",
    "customers",
    "segments",
    "lifecycle",
    "churn",
    "actions",
    "campaigns",
    "stock",
    "funnel",
    "voice",
    "models",
    "trust",
)
MONEY, COUNT, SHARE, DAYS, NUMBER, TEXT = UNITS = ("money", "count", "share", "days", "number", "text")
# Anchors of the charts on the page.
CHARTS = (
    "revenue",
    "customers",
    "segments",
    "lifecycle",
    "cohorts",
    "funnel",
    "churn",
    "personas",
    "baskets",
    "recommendations",
    "stock",
    "campaigns",
    "voice",
    "models",
    "data",
)
# Models of what many shops do not have: plans do without them, so that their absence is no reason for doubt.
OPTIONAL_MODELS = frozenset({"uplift"})
# Sentences about what changed; what to do and what may not be trusted follow them.
HEADLINES = 5
MONDAY = HEADLINES + 2
