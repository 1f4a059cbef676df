"""Settings that the tables of the uplift model receive. Their values are part of the version of a table.

Belongs here: these settings. Does not: users' settings (`settings` of the domain), from which `tables` derives these.
"""

from dataclasses import dataclass

from clm_dagster.domains.actions.table_settings import ResultSettings
from clm_dagster.platform.trained_models.samples import TRAIN_CUSTOMERS

# Campaigns of a year are learnt from: older ones were sent to another shop.
_WEEKS = 52
# A contact counts once, a customer may have many of them.
_CONTACTS_OF_A_CUSTOMER = 2


@dataclass(frozen=True)
class UpliftSettings:
    """Settings of the uplift model.

    campaigns: what a campaign and its arms are. customers: about the most customers to learn from. setting: the
    variable that sets it.
    """

    campaigns: ResultSettings
    customers: int
    setting: str = TRAIN_CUSTOMERS

    @property
    def horizon_days(self) -> int:
        """Days from a contact on in which an order counts."""
        return self.campaigns.window_days

    @property
    def most_contacts(self) -> int:
        """About the most contacts to learn from; of a larger shop, a sample of customers."""
        return _CONTACTS_OF_A_CUSTOMER * self.customers

    @property
    def weeks_back(self) -> tuple[int, ...]:
        """Snapshots that a training reads: the last one before each contact whose window is over."""
        newest = -(-self.horizon_days // 7)
        return tuple(range(newest, newest + _WEEKS))
