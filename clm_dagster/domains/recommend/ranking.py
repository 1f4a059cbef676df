"""The second-stage ranker: a classifier of candidate pairs, trained on the purchases after earlier instants.

Belongs here: training instants, the model, the two lists. Does not: features (`features`), metrics (`metrics`).

    past = interactions(lines, date(2011, 10, 10))
    ranker = Ranker(RankerSettings(horizon_days=60)).fit(past, products)
    lists = ranker.lists(past, np.arange(past.shape[0]))

Every training instant is at least one horizon before as_of, so that its labels are known. One of them is a year
before as_of, so that the model sees the same season.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from clm_dagster.domains.recommend.binning import BINS, bin_codes, bin_edges, bin_numbers
from clm_dagster.domains.recommend.candidates import (
    LISTS,
    BuyAgain,
    ContentBased,
    ItemNeighbours,
    RecentItems,
    Recommender,
    UserNeighbours,
)
from clm_dagster.domains.recommend.features import YEAR, PairFeatures
from clm_dagster.domains.recommend.interactions import InteractionError, Interactions, Ints, evenly_spaced
from clm_dagster.domains.recommend.metrics import K, NoPurchases, Truth, stored, window_truth
from clm_dagster.domains.recommend.pairs import Pairs
from clm_dagster.domains.recommend.similarity import Scores, best_first, blocks
from clm_dagster.domains.recommend.table_settings import RankerSettings
from clm_dagster.domains.recommend.tree_masks import CodedFeatures, TreeMasks
from clm_dagster.statistics.evaluation import EvaluationError

SEED = 20111209
# Features, labels and weights of candidate pairs; TrainingExamples has them by training instant.
Examples = tuple[pd.DataFrame, Ints, Scores]
TrainingExamples = dict[date, list[Examples]]


def default_recommenders(products: pd.DataFrame) -> list[Recommender]:
    """Return the first-stage recommenders; all are linear in customers and fit in seconds.

    products: product_id, name, category; the last two are optional. A second product similarity (TF-IDF, another
    half-life) and TIFU-kNN took two fifths of the time and changed NDCG by less than the sampling noise.
    """
    items = ItemNeighbours("bm25", name="item_bm25")
    return [BuyAgain(), items, RecentItems(items), UserNeighbours(), ContentBased(products)]


def training_days(as_of: date, first_day: date, settings: RankerSettings) -> tuple[date, ...]:
    """Return the training instants of a ranker at as_of, oldest first; their labels end by as_of.

    first_day: of the first purchase of a known customer. Raise EvaluationError where no instant has `history_days` of
    history.
    """
    last = as_of - timedelta(days=settings.horizon_days)
    days = {last - timedelta(days=settings.spacing_days * i) for i in range(settings.snapshots)}
    if settings.year_ago:
        days.add(min(as_of - timedelta(days=YEAR), last))
    earliest = first_day + timedelta(days=settings.history_days)
    found = tuple(sorted(day for day in days if day >= earliest))
    if not found:
        raise EvaluationError(
            f"a ranker at {as_of} has no training instant: an instant needs {settings.history_days} days of history "
            f"after {first_day} and {settings.horizon_days} days for its labels; use buy_again until "
            f"{earliest + (as_of - last)}"
        )
    return found


@dataclass
class Ranker:
    """Gradient boosting on pairs of customer and product: the probability of a purchase within the horizon.

    The models are trained on customers with an order in the horizon, so the probability is conditional on one.
    """

    settings: RankerSettings = field(default_factory=RankerSettings)
    recommenders: Callable[[pd.DataFrame], Sequence[Recommender]] = default_recommenders
    name: str = "two_stages"

    def fit(
        self, past: Interactions, products: pd.DataFrame, examples: TrainingExamples | None = None
    ) -> "Ranker":
        """Fit on purchases before past.as_of. products: as in `product_words`.

        examples: training examples by instant, shared between rankers with the same settings and purchases; missing
        ones are added. They are valid for any as_of at which their labels are known. Raise EvaluationError where no
        training instant has a customer who bought a candidate.
        """
        self.products = products
        first_day = past.as_of - timedelta(days=int(past.age.max()))
        days = training_days(past.as_of, first_day, self.settings)
        examples = {} if examples is None else examples
        examples |= {day: self._examples(past, day) for day in days if day not in examples}
        self.days = tuple(day for day in days if examples[day])
        parts = [part for day in days for part in examples[day]]
        if not parts:
            raise EvaluationError(
                f"no customer bought a candidate after the training instants {', '.join(map(str, days))}; "
                f"a ranker at {past.as_of} cannot be trained: use buy_again"
            )
        y = np.concatenate([part[1] for part in parts])
        weight = np.concatenate([part[2] for part in parts])
        # Each member gets all positives and its own share of the negatives, which are weighted up accordingly.
        shares = max(self.settings.shares, self.settings.members)
        share = np.random.default_rng(SEED).integers(0, shares, len(y))
        kept = (y == 1) | (share < self.settings.members)
        x = pd.concat([part[0] for part in parts], ignore_index=True)[kept]
        y, share, weight = y[kept], share[kept], np.where(y == 1, weight, weight * shares)[kept]
        # Drop features without any value, such as last year's season in a young shop.
        self.edges = bin_edges(x[[name for name in x if x[name].notna().any()]])
        binned = bin_numbers(x, self.edges)
        self.models = []
        for number in range(self.settings.members):
            mine = (y == 1) | (share == number)
            self.models.append(self._member(binned[mine], y[mine], weight[mine], number))
        return self

    @property
    def columns(self) -> list[str]:
        """The features of the models, in order."""
        return list(self.edges)

    def _member(self, x: Scores, y: Ints, weight: Scores, number: int) -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(
            learning_rate=self.settings.learning_rate,
            max_iter=self.settings.iterations,
            max_leaf_nodes=self.settings.leaves,
            max_features=0.5,
            min_samples_leaf=100,
            l2_regularization=5.0,
            max_bins=BINS,
            early_stopping=False,
            random_state=SEED + number,
        ).fit(x, y, sample_weight=weight)

    def pair_features(
        self, past: Interactions, recommenders: Sequence[Recommender] | None = None
    ) -> PairFeatures:
        """Return the fitted candidates and features as of past.as_of, for any number of blocks of customers.

        recommenders: those of `default_recommenders` where others share them; new ones by default.
        """
        s = self.settings
        first_stage = recommenders or self.recommenders(self.products)
        return PairFeatures(first_stage, s.horizon_days, s.active_days, s.per_recommender).fit(past)

    def lists(
        self, past: Interactions, rows: Ints, k: int = K, pair_features: PairFeatures | None = None
    ) -> pd.DataFrame:
        """Return both lists of the customers `rows`: list, customer, rank, product, score, as positions in `past`.

        next_best may hold any product, discover only products that the customer has not bought before. Sorted by list,
        customer and rank; ties are ordered by product id. Discontinued products are excluded.
        """
        features = pair_features or self.pair_features(past)
        found = [
            self.ranked(rows[block], features.block(rows[block]), k)
            for block in blocks(len(rows), past.shape[1])
        ]
        if not found:
            return pd.DataFrame(columns=["list", "customer", "rank", "product", "score"])
        frame = pd.concat(found, ignore_index=True)
        return frame.sort_values(["list", "customer", "rank"], ignore_index=True)

    def ranked(self, rows: Ints, pairs: Pairs, k: int = K) -> pd.DataFrame:
        """Return both lists of the customers `rows`. pairs: their `PairFeatures.block`."""
        score = self._scores(pairs)
        parts = []
        for name, kept in zip(LISTS, (np.ones(len(pairs), dtype=bool), pairs.is_new), strict=True):
            place, item, value = best_first(pairs.place[kept], pairs.product[kept], score[kept], k)
            rank = np.arange(len(place)) - np.searchsorted(place, place) + 1
            columns = {"list": name, "customer": rows[place], "rank": rank, "product": item, "score": value}
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)

    def _scores(self, pairs: Pairs) -> Scores:
        if not len(pairs):
            return np.zeros(0, dtype=np.float32)
        missing = sorted(set(self.columns) - set(pairs.names))
        if missing:
            raise EvaluationError(
                f"the ranker was trained on {', '.join(missing)}, which this version no longer computes; train it "
                "again (models.recommender_model)"
            )
        numbers = {name: number for number, name in enumerate(self.columns)}
        parts = []
        for table in pairs.tables:
            edges = {str(name): self.edges[str(name)] for name in table.x if name in self.edges}
            codes = bin_codes(table.x, edges)
            parts.append(CodedFeatures([numbers[name] for name in edges], codes, table.row))
        # Round, because the last digits of a sum differ between machines; smaller differences are ties.
        chances = [TreeMasks.of(model).chances(parts) for model in self.models]
        return np.asarray(np.round(np.mean(chances, axis=0), 9), dtype=np.float32)

    def _examples(self, later: Interactions, day: date) -> list[Examples]:
        """Return features, labels and weights of candidates of customers with an order after `day`; may be empty."""
        s = self.settings
        try:
            past = later.before(day)
            truth = window_truth(later, past, s.horizon_days)
        except (InteractionError, NoPurchases):
            return []
        features = self.pair_features(past)
        rows = evenly_spaced(truth.rows, s.customers)
        parts = (rows[block] for block in blocks(len(rows), past.shape[1]))
        return [found for some in parts if (found := labelled(some, features.block(some), truth))]


def labelled(rows: Ints, pairs: Pairs, truth: Truth) -> Examples | None:
    """Return the training examples of customers who bought a candidate; None where nobody did.

    rows: the customers, all in `truth`. pairs: their `PairFeatures.block`.
    """
    place = pairs.place
    y = stored(truth.bought, np.searchsorted(truth.rows, rows)[place], pairs.product)
    hits = np.bincount(place, weights=y, minlength=len(rows))[place]
    # Metrics are means per customer, so customers with many hits are weighted down by the square root.
    weight = 1 / np.sqrt(np.maximum(hits, 1))
    kept = hits > 0
    if not kept.any():
        return None
    return pairs.of(kept).frame(), y[kept].astype(np.int64), weight[kept].astype(np.float32)
