"""Buy-till-you-die models: a customer's future purchases, probability of no purchase, and spend.

Belongs here: BG/NBD and related models as functions of arrays. Does not: tables, assets, MLflow, machine
learning.

    histories = Histories(order_days - 1, days(first_to_last), days(first_to_as_of))
    fit = BGNBD.fit(histories)
    fit.model.expected_purchases(histories, days(90))

Every length of time carries its unit (`days(90)`, `weeks(39)`). A bare number is an error, and a model converts
durations to its own unit: weekly parameters read as daily ones once turned a 12-month value of 36.278 into 140.096.
"""

from typing import TYPE_CHECKING

from clm_dagster.statistics.btyd.durations import DiscountRate, Duration, Unit, days, weeks
from clm_dagster.statistics.btyd.errors import FitError, HistoryError
from clm_dagster.statistics.btyd.histories import Histories, Summary, summarise
from clm_dagster.statistics.late_names import late_names

if TYPE_CHECKING:
    from clm_dagster.statistics.btyd.bgnbd import BGNBD, MBGNBD
    from clm_dagster.statistics.btyd.fitting import Fit
    from clm_dagster.statistics.btyd.gammagamma import GammaGamma
    from clm_dagster.statistics.btyd.paretonbd import ParetoNBD
    from clm_dagster.statistics.btyd.purchases import PurchaseModel
    from clm_dagster.statistics.btyd.value import discounted_purchases, discounted_value
else:
    __getattr__ = late_names(
        __name__,
        {
            "bgnbd": "BGNBD MBGNBD",
            "fitting": "Fit",
            "gammagamma": "GammaGamma",
            "paretonbd": "ParetoNBD",
            "purchases": "PurchaseModel",
            "value": "discounted_purchases discounted_value",
        },
    )

__all__ = [
    "BGNBD",
    "MBGNBD",
    "DiscountRate",
    "Duration",
    "Fit",
    "FitError",
    "GammaGamma",
    "Histories",
    "HistoryError",
    "ParetoNBD",
    "PurchaseModel",
    "Summary",
    "Unit",
    "days",
    "discounted_purchases",
    "discounted_value",
    "summarise",
    "weeks",
]
