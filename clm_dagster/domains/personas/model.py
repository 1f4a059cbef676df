"""The persona model: training, assignment, profiles, and storage as JSON.

Belongs here: pure functions, frames in and frames out. Does not belong here: habits (`features`), names (`identity`),
Dagster, MLflow.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clm_dagster.domains.personas.features import CATEGORY, Scaling, fit_scaling, habits
from clm_dagster.domains.personas.identity import match_clusters, name_personas
from clm_dagster.statistics.clustering import (
    MAX_FIT,
    MAX_SAMPLE,
    NO_GROUPS,
    Choice,
    Comparison,
    choose_k,
    compare,
    factor_loadings,
    fit_kmeans,
    nearest,
    sample,
)
from clm_dagster.statistics.row_blocks import by_blocks

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class PersonaModel:
    """The personas that customers are assigned to: the scaling, and the id, name and centre of each persona.

    next_id: the number of the next new persona. An id is never reused. The fields are stored as JSON in
    models.persona_model.
    """

    scaling: Scaling
    ids: list[str]
    names: list[str]
    centres: list[list[float]]
    next_id: int

    def assign(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Assign each row of habits: persona_id, persona, distance, confidence, with the frame's index.

        The confidence is 1 - distance to the nearest centre / distance to the second nearest, or 1 if there is a single
        persona. It is not a probability.
        """
        centres = np.array(self.centres)
        distances = by_blocks(lambda points: nearest(points, centres)[1], self.scaling.apply(frame))
        labels = distances.argmin(axis=1)
        ordered = np.sort(distances, axis=1)
        confidence = np.ones(len(frame))
        if len(self.ids) > 1:
            second = ordered[:, 1]
            confidence = 1 - np.divide(ordered[:, 0], second, out=np.ones(len(frame)), where=second > 0)
        return pd.DataFrame(
            {
                "persona_id": np.array(self.ids, dtype=object)[labels],
                "persona": np.array(self.names, dtype=object)[labels],
                "distance": ordered[:, 0],
                "confidence": confidence,
            },
            index=frame.index,
        )

    def to_json(self) -> str:
        """Return the model as JSON, with full precision."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "PersonaModel":
        """Return the model from the result of `to_json`."""
        content = json.loads(text)
        return cls(**content | {"scaling": Scaling(**content["scaling"])})

    def pipeline(self, frame: pd.DataFrame) -> "Pipeline":
        """Return an equivalent scikit-learn pipeline, from habits to the persona's position in `ids`."""
        from sklearn.cluster import KMeans
        from sklearn.compose import ColumnTransformer
        from sklearn.pipeline import Pipeline
        from sklearn.preprocessing import FunctionTransformer, StandardScaler

        scaling = self.scaling
        logged = [n for n, is_logged in zip(scaling.habits, scaling.logged, strict=True) if is_logged]
        plain = [name for name in scaling.habits if name not in logged]
        order = [scaling.habits.index(name) for name in [*logged, *plain]]
        logarithm = ColumnTransformer(
            [("log", FunctionTransformer(np.log1p), logged), ("same", "passthrough", plain)]
        )
        scaler = StandardScaler()
        pipeline = Pipeline(
            [
                ("logarithm", logarithm),
                ("scale", scaler),
                ("clip", FunctionTransformer(np.clip, kw_args={"a_min": -3.0, "a_max": 3.0})),
                ("personas", KMeans(len(self.ids), n_init=1, init="random", random_state=0)),
            ]
        )
        centres = np.ascontiguousarray(np.array(self.centres)[:, order])
        pipeline[:-1].fit(frame[scaling.habits])
        scaler.mean_, scaler.scale_ = np.array(scaling.centre)[order], np.array(scaling.scale)[order]
        scaler.var_ = scaler.scale_**2
        pipeline[-1].set_params(init=centres, max_iter=1).fit(centres)
        pipeline[-1].cluster_centers_ = centres
        return pipeline


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training: the model, a summary in words, and diagnostics.

    new, vanished: names of personas that appeared and disappeared since the previous training.
    """

    model: PersonaModel | None
    customers: int
    summary: str
    new: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    choice: Choice | None = None
    comparisons: list[Comparison] = field(default_factory=list)
    loadings: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))


@dataclass(frozen=True)
class PreviousPersonas:
    """The previous model, and its assignment at its own snapshot (persona_id by customer_id)."""

    model: PersonaModel
    assigned: pd.Series


def train(
    customers: pd.DataFrame, categories: pd.DataFrame, previous: PreviousPersonas | None
) -> TrainingResult:
    """Find the personas of the customers with an order.

    customers, categories: rows of core.customer_features and core.customer_categories, in any order. A persona that
    mostly consists of the customers of a previous one keeps its id and name. Only customers of both snapshots are
    compared, so that new customers of a new kind cannot take over an old name. Without customers there is no model.
    Customers without clear groups form one persona of that name (`choose_k`).
    """
    frame = habits(customers, categories)
    if frame.empty:
        return TrainingResult(None, 0, "no customer has ordered before as_of, so there are no personas")
    scaling, left_out = fit_scaling(frame)
    points = scaling.apply(frame)
    remarks = []
    if not any(str(name).startswith(CATEGORY) for name in frame):
        remarks.append("no product has a category, so category shares are left out")
    if left_out:
        remarks.append(f"left out because they are the same for all customers: {', '.join(left_out)}")
    sampled = points[sample(len(points), MAX_SAMPLE)]
    choice = (
        choose_k(sampled)
        if scaling.habits
        else Choice(1, [], [], [], f"{NO_GROUPS}: all customers have the same habits")
    )
    centres = fit_kmeans(points[sample(len(points), MAX_FIT)], choice.k)
    labels, _ = nearest(points, centres)
    model, new, vanished = _identify(scaling, centres, frame, labels, previous)
    sampled_labels, _ = nearest(sampled, centres)
    return TrainingResult(
        model=model,
        customers=len(frame),
        summary="; ".join([choice.rule, *remarks]),
        new=new,
        vanished=vanished,
        choice=choice,
        comparisons=compare(sampled, sampled_labels),
        loadings=factor_loadings(sampled),
    )


def _identify(
    scaling: Scaling,
    centres: np.ndarray,
    frame: pd.DataFrame,
    labels: np.ndarray,
    previous: PreviousPersonas | None,
) -> tuple[PersonaModel, list[str], list[str]]:
    """Give ids and names to clusters. Return the model and the names of new and of vanished personas."""
    k = len(centres)
    kept: dict[int, int] = {}
    before = previous.model if previous else None
    # A single persona means no clear groups. It is none of the groups before or after it.
    if previous is not None and before is not None and (len(before.ids) > 1) == (k > 1):
        now = pd.Series(labels, index=frame.index)
        both = frame.index.intersection(previous.assigned.index)
        position = {persona: number for number, persona in enumerate(before.ids)}
        earlier = previous.assigned.loc[both].map(position).to_numpy(dtype=int)
        kept = match_clusters(earlier, now.loc[both].to_numpy(), len(before.ids), k)
    distinct = distinctness(scaling, frame, labels, k)
    taken = {cluster: before.names[old] for cluster, old in kept.items()} if before else {}
    names = (
        name_personas(distinct, scaling.habits, taken, before.names if before else [])
        if k > 1
        else [NO_GROUPS]
    )
    number = before.next_id if before else 1
    ids = []
    for cluster in range(k):
        if before is not None and cluster in kept:
            ids.append(before.ids[kept[cluster]])
        else:
            ids.append(f"p{number}")
            number += 1
    model = PersonaModel(scaling, ids, names, centres.tolist(), number)
    new = [names[cluster] for cluster in range(k) if before is not None and cluster not in kept]
    vanished = [n for i, n in enumerate(before.names) if i not in kept.values()] if before else []
    return model, new, vanished


def distinctness(scaling: Scaling, frame: pd.DataFrame, labels: np.ndarray, k: int) -> np.ndarray:
    """Return each cluster's mean minus the shop's, in standard deviations of the shop, shape (k, habits).

    Means are taken after the log transformation, so that a single big buyer does not dominate a persona.
    """
    values = scaling.logarithms(frame)
    deviation = values.std(axis=0)
    sizes = np.maximum(np.bincount(labels, minlength=k), 1)[:, None]
    sums = np.stack([np.bincount(labels, column, minlength=k) for column in values.T], axis=1)
    distances: np.ndarray = (sums / sizes - values.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    return distances


def profile(
    model: PersonaModel, frame: pd.DataFrame, assigned: pd.DataFrame, revenue: pd.Series
) -> pd.DataFrame:
    """Return the profiles: one row for each persona and habit, see marts.persona_profiles.

    revenue: net revenue in money for each row of `frame`. A persona without customers has no row.
    """
    position = {persona: number for number, persona in enumerate(model.ids)}
    labels = assigned["persona_id"].map(position).to_numpy()
    k = len(model.ids)
    sizes = np.bincount(labels, minlength=k)
    money = np.bincount(labels, revenue.to_numpy(dtype=float), minlength=k)
    total = float(money.sum())
    shop = frame[model.scaling.habits].mean()
    means = frame[model.scaling.habits].groupby(labels).mean().reindex(range(k))
    z = distinctness(model.scaling, frame, labels, k)
    rows = pd.DataFrame(
        {
            "persona_id": np.repeat(model.ids, len(shop)),
            "persona": np.repeat(model.names, len(shop)),
            "customers": np.repeat(sizes, len(shop)),
            "customer_share": np.repeat(sizes / max(len(frame), 1), len(shop)),
            "net_revenue": np.repeat(money, len(shop)),
            "revenue_share": np.repeat(money / total if total > 0 else np.full(k, np.nan), len(shop)),
            "measure": np.tile(model.scaling.habits, k),
            "persona_mean": means.to_numpy().ravel(),
            "shop_mean": np.tile(shop.to_numpy(), k),
            "z": z.ravel(),
        }
    )
    rows["lift"] = rows["persona_mean"] / rows["shop_mean"].where(rows["shop_mean"] != 0)
    return rows[rows["customers"] > 0].reset_index(drop=True)
