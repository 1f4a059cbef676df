"""Settings that the tables of recommendations receive. Their values are part of the version of a table.

Belongs here: settings of the ranker, lists, similar products, pairs and rules. Does not: users' settings (`settings`),
from which `tables` derives some of these.
"""

from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True)
class RankerSettings:
    """Settings of the ranker.

    horizon_days: days after an instant in which a purchase counts. spacing_days, snapshots: distance and number of the
    training instants, back from the last mature one; year_ago adds one more. history_days: minimum history of an
    instant. active_days: a product without a sale for longer is never recommended. per_recommender: candidates of each
    recommender. customers: maximum number of customers per instant. train_customers: about the most customers whose
    purchases are read. members: number of models; their mean is the
    score. Each member is fitted on all bought candidates and on its own part of the others, one of `shares` parts.
    This reduces the variance from sampling: with one model on a third of them, NDCG varied by 0.005 between draws.
    iterations, learning_rate, leaves: of each model.
    """

    horizon_days: int = 60
    spacing_days: int = 60
    snapshots: int = 3
    year_ago: bool = True
    history_days: int = 90
    active_days: int = 90
    per_recommender: int = 30
    customers: int = 1000
    train_customers: int = 1_000_000
    members: int = 2
    shares: int = 6
    iterations: int = 60
    learning_rate: float = 0.12
    leaves: int = 31


@dataclass(frozen=True)
class ListSettings:
    """Settings of lists.

    count: places on a list. active_days: a product without a sale for longer is not recommended. horizon_days: of the
    model.
    """

    count: int = 10
    active_days: int = 90
    horizon_days: int = 60


@dataclass(frozen=True)
class SimilarSettings:
    """Settings of similar products.

    active_days: a product without a sale for longer is on no list. count: places on a list.
    """

    active_days: int = 90
    count: int = 10


@dataclass(frozen=True)
class PairSettings:
    """Settings of pairs.

    days: of baskets before as_of. min_support: minimum share of baskets that contain a pair; None to choose it.
    """

    days: int
    min_support: float | None


@dataclass(frozen=True)
class RuleSettings:
    """Settings of rules.

    days: of baskets before as_of. min_support: minimum share of baskets that contain all products of a rule; None to
    choose it. min_confidence: minimum share of the baskets with the antecedent that also contain the consequent.
    held_days: the last days, at most half of all, on which rules are tested instead of mined.
    """

    days: int
    min_support: float | None
    min_confidence: float
    held_days: int

    def window(self, as_of: date) -> tuple[date, date]:
        """Return the first day of the baskets for mining, and of those for testing."""
        held = min(self.held_days, self.days // 2)
        return as_of - timedelta(days=self.days), as_of - timedelta(days=held)
