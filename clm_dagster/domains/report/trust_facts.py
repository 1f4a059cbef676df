"""Facts about what may not be trusted: the data, the models, the size of the shop.

Belongs here: these facts, and the sentence that sums them up. Does not: checks, which Dagster shows.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from clm_dagster.domains.report.fact import Fact
from clm_dagster.domains.report.fact_inputs import FactInputs
from clm_dagster.domains.report.names import COUNT, DAYS, NUMBER, OPTIONAL_MODELS, SHARE, TEXT
from clm_dagster.domains.report.sentences import Count, Day, Joined, Listed, Name, Own, Percent, Piece, Said

# From which share of rejected rows on the figures are doubtful.
MOST_REJECTED = 0.02
# With fewer buyers in a week, one of them moves every figure.
FEWEST_BUYERS = 30
# Weeks of history from which usual changes are known.
FEWEST_WEEKS = 6
_LONGEST_LIST = 4
# Sentences about a model that does not serve: a naive baseline does, or nothing.
_BASELINE, _NOTHING = "baseline", "not_made"


def trust_facts(inputs: FactInputs) -> Iterator[Fact]:
    """Yield the facts, and `summary`, which is a headline."""
    found = [*_data(inputs), *_size(inputs), *_models(inputs), *_drift(inputs)]
    doubts = [fact for fact in found if not fact.is_trusted]
    yield from found
    yield _summary(inputs, found, doubts)


def _data(inputs: FactInputs) -> Iterator[Fact]:
    if inputs.last_day is None:
        yield Fact("trust", "data_late", DAYS, "data", Said("trust.no_data"), is_trusted=False)
        return
    missing = (inputs.day - timedelta(days=1) - inputs.last_day).days
    is_late = missing >= max(1, inputs.longest_gap)
    values: dict[str, Piece] = {"day": Day(inputs.last_day)}
    sentence = Said("trust.late", values, n=missing) if is_late else Said("trust.not_late", values)
    yield Fact("trust", "data_late", DAYS, "data", sentence, value=missing, is_trusted=not is_late)
    rows = sum(inputs.rejected.values())
    if rows:
        share = inputs.rejected["rejected"] / rows
        yield Fact(
            "trust",
            "rejected_share",
            SHARE,
            "data",
            Said("trust.rejected", {"share": Percent(share), "rows": Count(rows)}),
            value=share,
            is_trusted=share <= MOST_REJECTED,
        )
    if len(inputs.currencies) > 1:
        listed = Listed([Own(code) for code in inputs.currencies[:_LONGEST_LIST]])
        count = len(inputs.currencies)
        sentence = Said("trust.currencies", {"currencies": listed}, n=count)
        # Rows without a rate are rejected, so what is converted may be trusted.
        yield Fact("trust", "currencies", COUNT, "data", sentence, value=count)


def _size(inputs: FactInputs) -> Iterator[Fact]:
    if inputs.weeks.empty:
        return
    buyers = float(inputs.weeks["buyers"].iloc[0] + inputs.weeks["guest_orders"].iloc[0])
    if buyers < FEWEST_BUYERS:
        sentence = Said("trust.few_customers", n=buyers) if buyers else Said("trust.nobody")
        yield Fact("trust", "few_customers", COUNT, "data", sentence, value=buyers, is_trusted=False)
    days = (inputs.day - inputs.first_day).days if inputs.first_day else 0
    if days < 7 * FEWEST_WEEKS:
        sentence = Said("trust.short_history", n=days)
        yield Fact("trust", "short_history", DAYS, "data", sentence, value=days, is_trusted=False)


def _models(inputs: FactInputs) -> Iterator[Fact]:
    if inputs.serving.empty:
        yield Fact("trust", "models", TEXT, "models", Said("trust.no_models"), is_trusted=False)
        return
    serving = inputs.serving.sort_values(["model", "part"])[["model", "part", "is_champion", "model_name"]]
    for model, part, is_champion, serves in serving.itertuples(index=False):
        name = str(model).removeprefix("models.").removesuffix("_model")
        code = name if part == "all" else f"{name}_{part}"
        key = "model" if is_champion else _BASELINE if isinstance(serves, str) else _NOTHING
        yield Fact(
            "trust",
            "model_passed_its_gate",
            TEXT,
            "models",
            Said(f"trust.{key}", {"model": Name("models", code)}),
            subject=code,
            is_trusted=bool(is_champion) or (key == _NOTHING and name in OPTIONAL_MODELS),
        )


def _drift(inputs: FactInputs) -> Iterator[Fact]:
    failed = [] if inputs.drift.empty else list(inputs.drift[inputs.drift["status"] == "fail"]["feature"])
    if failed:
        sentence = Said("trust.drift", n=len(failed))
        yield Fact(
            "trust", "drifted_features", NUMBER, "models", sentence, value=len(failed), is_trusted=False
        )


def _summary(inputs: FactInputs, found: Sequence[Fact], doubts: Sequence[Fact]) -> Fact:
    """Return the sentence about everything that may not be trusted."""
    refused = [fact for fact in doubts if fact.fact == "model_passed_its_gate"]
    parts: list[Piece] = [fact.sentence for fact in doubts if fact.fact != "model_passed_its_gate"]
    for key in (_BASELINE, _NOTHING):
        of_kind = [
            fact
            for fact in refused
            if isinstance(fact.sentence, Said) and fact.sentence.key == f"trust.{key}"
        ]
        if len(of_kind) == 1:
            parts.append(of_kind[0].sentence)
        elif of_kind:
            names = Listed([Name("models", fact.subject or "") for fact in of_kind])
            parts.append(Said(f"trust.{key}_of_several", {"models": names}))
    if not parts:
        day: dict[str, Piece] = {"day": Day(inputs.last_day or inputs.day)}
        sentence: Piece = Said("trust.nothing", day)
    else:
        sentence = Joined([Said("trust.doubts"), *parts])
    return Fact("trust", "summary", COUNT, "data", sentence, value=len(doubts), is_trusted=not doubts)
