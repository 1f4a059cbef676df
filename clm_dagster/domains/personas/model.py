"""The persona model: train it, assign with it, write it as JSON. Pure: frames in, frames out."""

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clm_dagster.domains.personas.features import CATEGORY, Scaling, fit_scaling, habits
from clm_dagster.domains.personas.identity import match, name_personas
from clm_dagster.statistics.clustering import (
    MAX_FIT,
    MAX_SAMPLE,
    Choice,
    Comparison,
    choose_k,
    compare,
    factor_loadings,
    fit_kmeans,
    nearest,
    sample,
)

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class PersonaModel:
    """Personas that a customer can be assigned to: scaling, and for each its id, name and centre.

    `next_id` is the number of the next new persona: an id is never given twice.
    """

    scaling: Scaling
    ids: list[str]
    names: list[str]
    centres: list[list[float]]
    next_id: int

    def assign(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Persona of each row of habits: persona_id, persona, distance, confidence, by the frame's index.

        Confidence is 1 - distance to the nearest centre / distance to the second nearest; 1 where there is one
        persona only. It is no probability.
        """
        labels, distances = nearest(self.scaling.apply(frame), np.array(self.centres))
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
        """All of it, to the last digit."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "PersonaModel":
        """The reverse of `to_json`."""
        content = json.loads(text)
        return cls(**content | {"scaling": Scaling(**content["scaling"])})

    def pipeline(self, frame: pd.DataFrame) -> "Pipeline":
        """The same as a scikit-learn pipeline, from habits to the persona's number (its place in `ids`)."""
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
class Trained:
    """A model and what was found out while it was trained."""

    model: PersonaModel | None
    customers: int
    said: str
    new: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    choice: Choice | None = None
    comparisons: list[Comparison] = field(default_factory=list)
    loadings: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))


@dataclass(frozen=True)
class Before:
    """The model before, and who was which of its personas at its own snapshot (persona_id by customer_id)."""

    model: PersonaModel
    who: pd.Series


def train(customers: pd.DataFrame, categories: pd.DataFrame, before: Before | None) -> Trained:
    """Find the personas of the customers with an order, as rows of core.customer_features and _categories.

    A persona that mostly holds the customers of one `before` keeps its id and name; only customers of
    both snapshots are compared, so newcomers of a new kind cannot carry an old name away. Rows may come in
    any order. Without a customer there is no model; customers who are all alike are one persona.
    """
    frame = habits(customers, categories)
    if frame.empty:
        return Trained(None, 0, "no customer has ordered before as_of: nothing to learn from")
    scaling, left_out = fit_scaling(frame)
    points = scaling.apply(frame)
    said = []
    if not any(str(name).startswith(CATEGORY) for name in frame):
        said.append("no product has a category: personas know no tastes")
    if left_out:
        said.append(f"all customers are alike in {', '.join(left_out)}: left out")
    some = points[sample(len(points), MAX_SAMPLE)]
    choice = choose_k(some) if scaling.habits else Choice(1, [], [], [], "all customers are alike")
    centres = fit_kmeans(points[sample(len(points), MAX_FIT)], choice.k)
    labels, _ = nearest(points, centres)
    model, new, vanished = _identified(scaling, centres, frame, labels, before)
    sampled, _ = nearest(some, centres)
    return Trained(
        model, len(frame), "; ".join([choice.rule, *said]), new, vanished, choice,
        compare(some, sampled), factor_loadings(some),
    )  # fmt: skip


def _identified(
    scaling: Scaling,
    centres: np.ndarray,
    frame: pd.DataFrame,
    labels: np.ndarray,
    given: Before | None,
) -> tuple[PersonaModel, list[str], list[str]]:
    """Give clusters their ids and names; returns the names of new and of vanished personas too."""
    k = len(centres)
    kept: dict[int, int] = {}
    before = given.model if given else None
    if given is not None and before is not None:
        now = pd.Series(labels, index=frame.index)
        both = frame.index.intersection(given.who.index)
        place = {persona: number for number, persona in enumerate(before.ids)}
        earlier = given.who.loc[both].map(place).to_numpy(dtype=int)
        kept = match(earlier, now.loc[both].to_numpy(), len(before.ids), k)
    distinct = distinctness(scaling, frame, labels, k)
    taken = {cluster: before.names[old] for cluster, old in kept.items()} if before else {}
    names = name_personas(distinct, scaling.habits, taken, before.names if before else [])
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
    """Mean of each cluster less the shop's, in the shop's standard deviations; shape (k, habits).

    Computed after the logarithms, so that a single great buyer makes no persona a big one.
    """
    values = scaling.logarithms(frame)
    deviation = values.std(axis=0)
    sizes = np.maximum(np.bincount(labels, minlength=k), 1)[:, None]
    sums = np.stack([np.bincount(labels, column, minlength=k) for column in values.T], axis=1)
    return (sums / sizes - values.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)


def profile(
    model: PersonaModel, frame: pd.DataFrame, assigned: pd.DataFrame, revenue: pd.Series
) -> pd.DataFrame:
    """What sets each persona apart: one row for each persona and habit, see marts.persona_profiles.

    `revenue` is net revenue in money, one for each row of `frame`. A persona without customers has no row.
    """
    place = {persona: number for number, persona in enumerate(model.ids)}
    labels = assigned["persona_id"].map(place).to_numpy()
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
