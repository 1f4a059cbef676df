"""Numbers and dates of charts in a language, as Vega reads them.

Belongs here: Vega's locale, from Babel's. Does not: texts that a section has formatted itself (`words`).
"""

from typing import Any

from clm_dagster.domains.report.wording import Wording


def chart_locale(wording: Wording) -> dict[str, Any]:
    """Return the number and time formats of axes."""
    locale = wording.locale
    symbols = locale.number_symbols["latn"]
    months = locale.months["stand-alone"]
    days = locale.days["stand-alone"]
    # Babel counts days from Monday, Vega from Sunday.
    week = (6, 0, 1, 2, 3, 4, 5)
    return {
        "number": {
            "decimal": symbols["decimal"],
            "thousands": symbols["group"],
            "grouping": [3],
            "currency": ["", ""],
        },
        "time": {
            "dateTime": "%Y-%m-%d %H:%M",
            "date": "%Y-%m-%d",
            "time": "%H:%M",
            "periods": ["AM", "PM"],
            "days": [days["wide"][day] for day in week],
            "shortDays": [days["abbreviated"][day] for day in week],
            "months": [months["abbreviated"][month] for month in range(1, 13)],
            "shortMonths": [months["abbreviated"][month] for month in range(1, 13)],
        },
    }
