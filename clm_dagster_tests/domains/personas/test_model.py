"""Personas: planted groups are found, named and kept, for any order of rows."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from clm_dagster.domains.personas.features import fit_scaling, habits, words
from clm_dagster.domains.personas.identity import match_clusters, name_personas
from clm_dagster.domains.personas.model import PersonaModel, PreviousPersonas, TrainingResult, profile, train
from clm_dagster.statistics.clustering import choose_k, factor_loadings, nearest
from clm_dagster_tests.domains.personas.planted import planted


@pytest.fixture(scope="module")
def trained() -> TrainingResult:
    features, categories, _ = planted()
    return train(features, categories, None)


def assigned(trained: TrainingResult, features: pd.DataFrame, categories: pd.DataFrame) -> pd.DataFrame:
    assert trained.model is not None
    return trained.model.assign(habits(features, categories, trained.model.scaling.habits))


def previous(trained: TrainingResult, features: pd.DataFrame, categories: pd.DataFrame) -> PreviousPersonas:
    assert trained.model is not None
    return PreviousPersonas(trained.model, assigned(trained, features, categories)["persona_id"])


def test_planted_groups_are_found(trained: TrainingResult) -> None:
    features, categories, group = planted()
    found = assigned(trained, features, categories)
    assert adjusted_rand_score(group.loc[found.index], found["persona_id"]) > 0.9
    assert trained.choice is not None and trained.choice.k == 4
    assert len({*trained.model.names}) == 4  # type: ignore[union-attr]
    # The same model also fits another draw of the same shop, so it is not overfitted.
    features, categories, group = planted(seed=1)
    found = assigned(trained, features, categories)
    assert adjusted_rand_score(group.loc[found.index], found["persona_id"]) > 0.9


def test_the_order_of_rows_does_not_matter(trained: TrainingResult) -> None:
    features, categories, _ = planted()
    again = train(features.sample(frac=1, random_state=3), categories.sample(frac=1, random_state=4), None)
    assert again.model == trained.model
    assert again.choice == trained.choice and again.comparisons == trained.comparisons
    np.testing.assert_array_equal(again.loadings, trained.loadings)


def test_retraining_on_the_same_data_renames_no_persona(trained: TrainingResult) -> None:
    features, categories, _ = planted()
    again = train(features, categories, previous(trained, features, categories))
    assert again.model == trained.model and again.new == [] and again.vanished == []


def test_a_retraining_keeps_personas_and_reports_new_and_vanished_ones(trained: TrainingResult) -> None:
    features, categories, group = planted()
    without = group.index[group == 1]
    some = (features[~features.customer_id.isin(without)], categories[~categories.customer_id.isin(without)])
    fewer = train(*some, None)
    later = train(features, categories, previous(fewer, *some))
    assert fewer.model is not None and later.model is not None
    kept = {i: n for i, n in zip(later.model.ids, later.model.names, strict=True) if i in fewer.model.ids}
    assert kept == dict(zip(fewer.model.ids, fewer.model.names, strict=True))
    assert len(later.new) == 1 and later.vanished == []
    newcomer = later.model.ids[later.model.names.index(later.new[0])]
    assert newcomer == f"p{fewer.model.next_id}"
    who = assigned(later, features, categories)["persona"]
    assert (who.loc[without] == later.new[0]).mean() > 0.9
    again = train(*some, previous(later, features, categories))
    assert again.vanished == later.new and again.new == []


@pytest.mark.parametrize("seed", range(20))
def test_matching_is_the_best_of_all_assignments(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = 4
    before = rng.integers(k, size=200)
    now = np.where(rng.random(200) < 0.8, rng.permutation(k)[before], rng.integers(k, size=200))

    def overlap(a: int, b: int) -> float:
        return float(((now == a) & (before == b)).sum() / ((now == a) | (before == b)).sum())

    best = max(permutations(range(k)), key=lambda p: sum(overlap(a, b) for a, b in enumerate(p)))
    assert match_clusters(before, now, k, k) == {a: b for a, b in enumerate(best) if overlap(a, b) >= 0.25}


def test_names_are_the_most_distinctive_habits_and_unique() -> None:
    distinct = np.array([[2.0, -1.0, 0.1], [1.9, -1.1, 0.5], [0.1, 0.1, 0.0], [0.0, 0.2, 0.1]])
    names = name_personas(distinct, ["orders", "order_value", "weekend_share"], {}, [])
    assert names == [
        "frequent orders, small baskets",
        "frequent orders, small baskets, weekends",
        "like everyone",
        "like everyone (2)",
    ]
    assert name_personas(distinct[:1], ["orders", "order_value", "weekend_share"], {0: "mine"}, ["mine"]) == [
        "mine"
    ]


@pytest.mark.parametrize(
    ("category", "name"),
    [
        ("tea", "tea"),
        ("Home & Garden", "Home & Garden"),
        ("electronics.audio.headphone", "electronics audio headphone"),
        ("PS4 games", "PS4 games"),
        ("茶", "茶"),
        ("10-250", None),
        ("category_12", None),
        ("SKU7", None),
        ("a7f3c9", None),
        ("2053013558920217191", None),
    ],
)
def test_a_code_of_a_category_is_no_part_of_a_name(category: str, name: str | None) -> None:
    expected = None if name is None else (name, f"little {name}")
    assert words(f"category: {category}") == expected
    habits_here = [f"category: {category}", "weekend_share"]
    named = name_personas(np.array([[2.0, 1.0]]), habits_here, {}, [])
    assert named == ["weekends" if name is None else f"{name}, weekends"]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 12])
def test_few_customers_have_no_clear_groups(count: int) -> None:
    features, categories, _ = planted(each=3)
    some = features.sort_values("customer_id").head(count)
    found = train(some, categories[categories.customer_id.isin(some.customer_id)], None)
    if count == 0:
        assert found.model is None and "no customer has ordered" in found.summary
        return
    assert found.model is not None and found.model.names == ["no clear groups"]
    rows = assigned(found, some, categories)
    assert len(rows) == count and rows["confidence"].between(0, 1).all()
    assert found.summary.startswith("no clear groups: ")


def test_identical_customers_are_one_persona() -> None:
    features, categories, _ = planted(each=3)
    identical = pd.concat([features.head(1)] * 6).assign(customer_id=[f"c{n}" for n in range(6)])
    found = train(identical, categories.head(0), None)
    assert found.model is not None and found.model.names == ["no clear groups"]
    assert "no product has a category" in found.summary and "the same for all customers" in found.summary


def test_a_model_survives_json_and_is_the_same_as_a_pipeline(trained: TrainingResult) -> None:
    features, categories, _ = planted(seed=2)
    model = trained.model
    assert model is not None and PersonaModel.from_json(model.to_json()) == model
    frame = habits(features, categories, model.scaling.habits)
    number = model.pipeline(frame).predict(frame)
    assert [model.ids[n] for n in number] == model.assign(frame)["persona_id"].tolist()


def test_profiles_are_means_and_add_up(trained: TrainingResult) -> None:
    features, categories, _ = planted()
    model = trained.model
    assert model is not None
    frame = habits(features, categories, model.scaling.habits)
    who = model.assign(frame)
    revenue = features.set_index("customer_id")["net_revenue"].loc[frame.index]
    rows = profile(model, frame, who, revenue)
    once = rows.drop_duplicates("persona_id")
    assert once["customers"].sum() == len(features)
    assert once["net_revenue"].sum() == pytest.approx(features["net_revenue"].sum())
    assert once["revenue_share"].sum() == pytest.approx(1)
    for _, row in rows.sample(8, random_state=0).iterrows():
        mine = frame.loc[who["persona_id"] == row.persona_id, row.measure]
        assert row.persona_mean == pytest.approx(mine.mean())
        assert row.lift == pytest.approx(mine.mean() / frame[row.measure].mean())


def test_one_big_buyer_does_not_change_the_scaling() -> None:
    features, categories, _ = planted()
    frame = habits(features, categories)
    huge = frame.copy()
    huge.loc[huge.index[0], "order_value"] = 1e6 * frame["order_value"].iloc[0]
    plain, _ = fit_scaling(frame)
    shifted, _ = fit_scaling(huge)
    place = plain.habits.index("order_value")
    assert abs(shifted.apply(huge)).max() <= 3
    assert shifted.logged[place]
    one = plain.apply(frame)[1:, place]
    other = shifted.apply(huge)[1:, place]
    assert np.corrcoef(one, other)[0, 1] > 0.9


def test_factors_find_correlated_habits() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 500))
    points = np.stack([a, a, a, b, b, b], axis=1) + rng.normal(scale=0.4, size=(500, 6))
    loadings = factor_loadings(points)
    assert loadings.shape == (6, 2)
    strong = np.abs(loadings) > 0.8
    assert (strong.sum(axis=1) == 1).all() and (strong.sum(axis=0) == 3).all()


def test_nearest_equals_brute_force() -> None:
    rng = np.random.default_rng(1)
    points, centres = rng.normal(size=(50, 3)), rng.normal(size=(4, 3))
    label, distances = nearest(points, centres)
    expected = np.linalg.norm(points[:, None] - centres[None], axis=2)
    np.testing.assert_allclose(distances, expected, atol=1e-7)
    np.testing.assert_array_equal(label, expected.argmin(axis=1))


def test_noise_has_no_clear_groups() -> None:
    choice = choose_k(np.random.default_rng(0).uniform(size=(300, 8)))
    assert choice.k == 1 and max(choice.stability[1:]) < 0.8
    assert choice.rule.startswith("no clear groups: the most stable split, into ")


def test_stable_pieces_of_one_cloud_are_no_clear_groups() -> None:
    """A single long cloud is cut at the same places again and again, and still has no groups."""
    rng = np.random.default_rng(0)
    choice = choose_k(rng.normal(size=(1500, 8)) * np.array([2.4, *[1.0] * 7]))
    curves = zip(choice.ks, choice.silhouette, choice.stability, strict=True)
    stable = [silhouette for k, silhouette, stability in curves if k > 2 and stability >= 0.8]
    assert choice.k == 1 and stable


def test_a_tiny_group_is_no_persona() -> None:
    """Three groups, one of nine customers: the split is stable and clear, and too small to act on."""
    rng = np.random.default_rng(0)
    centres = np.repeat([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]], [200, 200, 9], axis=0)
    choice = choose_k(centres + rng.normal(size=centres.shape))
    assert choice.stability[1] > 0.9 and choice.silhouette[1] > 0.5
    assert "k = 3" not in choice.rule


def test_groups_that_dissolve_give_way_to_one_persona_and_come_back_under_new_ids(
    trained: TrainingResult,
) -> None:
    features, categories, _ = planted()
    few = features.sort_values("customer_id").head(12)
    single = train(
        few, categories[categories.customer_id.isin(few.customer_id)], previous(trained, features, categories)
    )
    assert single.model is not None and trained.model is not None
    assert single.model.names == ["no clear groups"] and not set(single.model.ids) & set(trained.model.ids)
    assert set(single.vanished) == set(trained.model.names)
    some = (few, categories[categories.customer_id.isin(few.customer_id)])
    again = train(features, categories, previous(single, *some))
    assert again.model is not None and "no clear groups" not in again.model.names
