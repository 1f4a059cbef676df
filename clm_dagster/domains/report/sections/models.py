"""Model scorecards in plain words, beside naive baselines."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from clm_dagster.domains.report.reading import PageReading, Row
from clm_dagster.domains.report.section import Figure, Point, Points, Section, Table
from clm_dagster.domains.report.specs import chart, names, quantity, tooltip
from clm_dagster.domains.report.words import Words, number, table_rows

# One metric that can be said in plain words for each model. Whether more is better, and how it is shown.
_METRICS: Mapping[tuple[str, str], bool] = {
    ("churn", "roc_auc"): True,
    ("value", "catch"): True,
    ("demand", "day_mase"): False,
    ("demand", "week_mase"): False,
    ("recommendations", "hit_next_best"): True,
    ("recommendations", "hit_discover"): True,
}
# Scores of customers, which are graded when their horizon is over; grades are looked for in the newest weeks of them.
_SCORES = {"churn": "marts.churn_scores", "value": "marts.customer_value"}
_GRADED_DAYS = 28
_EVER = datetime.min
# What the test of a model says, for models whose forecasts cannot be graded yet.
_TESTS = {
    ("churn", "roc_auc"): (
        "marts.churn_contest",
        "select max(roc_auc) filter (where is_winner) as value, "
        "max(roc_auc) filter (where contestant = 'recency') as baseline from marts.churn_contest where as_of = $at",
    ),
    ("value", "catch"): (
        "marts.value_contest",
        "select max(catch) filter (where is_winner) as value, max(catch) filter (where is_baseline) as baseline "
        "from marts.value_contest where as_of = $at",
    ),
    ("recommendations", "hit_next_best"): (
        "marts.recommender_contest",
        "select max(hit) filter (where is_ranker) as value, max(hit) filter (where is_baseline) as baseline "
        "from marts.recommender_contest where as_of = $at and list = 'next_best' and target = 'window'",
    ),
    ("recommendations", "hit_discover"): (
        "marts.recommender_contest",
        "select max(hit) filter (where is_ranker) as value, max(hit) filter (where is_baseline) as baseline "
        "from marts.recommender_contest where as_of = $at and list = 'discover' and target = 'window'",
    ),
}


def section(reading: PageReading, words: Words) -> Section | None:
    """Return the section; None before any model was trained."""
    grades = _grades(reading)
    serving = serving_rows(reading)
    if not grades and not serving:
        return None
    better = sum(1 for row in grades if _is_better(row))
    lead = (
        words("models.lead", n=better, all=len(grades))
        if grades
        else words("models.no_grades", n=sum(1 for row in serving if row["model_name"]))
    )
    said = [Point(in_words(words, row), is_alert=not _is_better(row)) for row in grades]
    figures = [_chart(words, grades)] if grades else []
    figures += [_serving(words, serving)] if serving else []
    lists = [Points(words("models.in_words"), said)] if said else []
    return Section("models", words("models.title"), lead, lists, figures=figures)


def _grades(reading: PageReading) -> list[Row]:
    """Return value and baseline of each metric: of the newest graded forecasts, else of the test of the model."""
    found = []
    for key in _METRICS:
        row = grade_of(reading, key)
        if row is not None:
            found.append(row)
    return found


def grade_of(reading: PageReading, key: tuple[str, str]) -> Row | None:
    """Return value and baseline of a metric of a model: of the newest graded forecasts, else of its test."""
    return _graded(reading, key) or _tested(reading, key)


def _graded(reading: PageReading, key: tuple[str, str]) -> Row | None:
    """Return the grade of the newest forecasts whose horizon is over."""
    if not reading.has("marts.model_scorecard"):
        return None
    model, metric = key
    since = _EVER
    if (scores := _SCORES.get(model)) is not None:
        # The scorecard of all weeks would compare all customers of each with what they did.
        newest = reading.newest(scores, "as_of + to_days(cast(horizon_days as integer)) <= $as_of")
        if newest is None:
            return None
        since = newest - timedelta(days=_GRADED_DAYS)
    rows = reading.rows(
        """
        select model, metric, as_of, value, baseline, labelled from marts.model_scorecard
        where model = $model and metric = $metric and as_of > $since and as_of <= $as_of
            and matures_on <= $as_of and labelled > 0 and value is not null and baseline is not null
        order by as_of desc limit 1
        """,
        model=model,
        metric=metric,
        since=since,
    )
    return {**rows[0], "source": "graded"} if rows else None


def _tested(reading: PageReading, key: tuple[str, str]) -> Row | None:
    if key not in _TESTS:
        return None
    relation, query = _TESTS[key]
    newest = reading.newest(relation)
    if newest is None:
        return None
    (row,) = reading.rows(query, at=newest)
    if row["value"] is None or row["baseline"] is None:
        return None
    model, metric = key
    return {"model": model, "metric": metric, "as_of": newest, "labelled": None, "source": "tested", **row}


def _is_better(row: Row) -> bool:
    """Whether a model is better in the figures that the sentence shows: 59 of 100 is not better than 59 of 100."""
    value, baseline = row["value"], row["baseline"]
    if _METRICS[row["model"], row["metric"]]:
        return bool(round(value * 100) > round(baseline * 100))
    return bool(round((value - baseline) / baseline, 3) < 0) if baseline else False


def in_words(words: Words, row: Row) -> str:
    """Return a grade as a sentence."""
    value, baseline = row["value"], row["baseline"]
    key = f"models.words.{row['model']}_{row['metric']}"
    if not _METRICS[row["model"], row["metric"]]:
        change = (value - baseline) / baseline if baseline else 0.0
        key += "_more" if change > 0 else "_less"
        return words(key, change=words.wording.percent(abs(change), 1), when=words(f"models.{row['source']}"))
    return words(
        key,
        value=words.wording.number(value * 100),
        baseline=words.wording.number(baseline * 100),
        when=words(f"models.{row['source']}"),
    )


def _chart(words: Words, grades: list[Row]) -> Figure:
    columns = [
        words.column("model", codes="model"),
        words.column("metric", codes="metric"),
        words.column("as_of", "day"),
        *words.columns(value="number", baseline="number"),
        words.column("source_of_grade", codes="grade"),
    ]
    data = [{**row, "source_of_grade": row["source"]} for row in grades]
    shown: list[dict[str, Any]] = []
    for row in grades:
        # As a share of the baseline, with more always better, so that metrics share an axis.
        more = _METRICS[row["model"], row["metric"]]
        value, baseline = number(row["value"]), number(row["baseline"])
        if value <= 0 or baseline <= 0:
            continue
        shown.append(
            {
                "label": f"{words.name('model', row['model'])} · {words.name('metric', row['metric'])}",
                "gain": (value / baseline if more else baseline / value) - 1,
                "better": _is_better(row),
                "said": words.wording.number(value, 3),
                "said_baseline": words.wording.number(baseline, 3),
            }
        )
    y = names(
        "label", [row["label"] for row in shown], axis={"ticks": False, "domain": False, "labelLimit": 280}
    )
    spec = chart(
        shown,
        mark={"type": "bar", "height": {"band": 0.6}},
        encoding={
            "y": y,
            "x": quantity("gain", words("models.axis"), axis={"format": "+.0%"}),
            "color": {"condition": {"test": "datum.better", "value": "$good"}, "value": "$lost"},
            "tooltip": tooltip(
                label=words("columns.metric"),
                said=words("columns.value"),
                said_baseline=words("columns.baseline"),
            ),
        },
    )
    better = [row for row in grades if _is_better(row)]
    sentence = words("models.sentence", n=len(better), all=len(grades))
    table = Table(columns, table_rows(data, columns))
    note = words("models.note")
    return Figure(
        "scorecards",
        words("models.chart"),
        sentence,
        table,
        spec if shown else None,
        60 + 36 * len(shown),
        note,
    )


def serving_rows(reading: PageReading) -> list[Row]:
    """Return what serves each part of a model at as_of, or at the newest scored snapshot before it."""
    newest = reading.newest("models.serving")
    if newest is None:
        return []
    return reading.rows(
        "select replace(replace(model, 'models.', ''), '_model', '') as model, part, is_champion, model_name, "
        "model_as_of from models.serving where as_of = $at order by 1, 2",
        at=newest,
    )


def _serving(words: Words, rows: list[Row]) -> Figure:
    columns = [
        words.column("model", codes="model"),
        words.column("part", codes="part"),
        words.column("is_champion", codes="champion"),
        words.column("model_as_of", "day"),
    ]
    data = [{**row, "is_champion": "yes" if row["is_champion"] else "no"} for row in rows]
    without = sum(1 for row in rows if not row["is_champion"] and row["model_name"])
    sentence = words("models.serving_sentence", n=without, all=len(rows))
    return Figure("serving", words("models.serving"), sentence, Table(columns, table_rows(data, columns)))
