"""Buy till you die: how often a customer will buy, whether at all, and what he will spend.

Belongs here: BG/NBD and its family, pure arrays in and out; churn and value both need it. Does not:
tables, assets, MLflow, learned models.

    histories = Histories(order_days - 1, days(first_to_last), days(first_to_as_of))
    fit = BGNBD.fit(histories)
    fit.model.expected_purchases(histories, days(90))

Time always carries its unit (`days(90)`, `weeks(39)`), a bare number is refused, and a model converts
what it is given: weekly parameters once read as daily ones made a 12-month value of 36.278 one of 140.096.
"""

from clm_dagster.statistics.btyd.bgnbd import BGNBD, MBGNBD
from clm_dagster.statistics.btyd.durations import DiscountRate, Duration, Unit, days, weeks
from clm_dagster.statistics.btyd.errors import FitError, HistoryError
from clm_dagster.statistics.btyd.fitting import Fit
from clm_dagster.statistics.btyd.gammagamma import GammaGamma
from clm_dagster.statistics.btyd.histories import Histories, Summary, summarise
from clm_dagster.statistics.btyd.paretonbd import ParetoNBD
from clm_dagster.statistics.btyd.purchases import PurchaseModel
from clm_dagster.statistics.btyd.value import discounted_purchases, discounted_value

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
