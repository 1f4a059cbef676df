"""The part of the summary about trained models: the newest training of each, its gate, and what serves.

Belongs here: reading `models.*` of the published copy, and the table in the terminal. Does not belong here: the rule
for what serves (the engine of trained models).

Every table of the schema `models` with the columns of a training is read, so a new model needs no change here.
"""

from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from clm_dagster.platform.partitions import key_of_as_of, label_of_as_of
from clm_dagster.platform.trained_models.serving import ALL, SERVING
from clm_dagster.platform.warehouse import Connection

_TRAINING_COLUMNS = ("as_of", "accepted", "said")
_PART = "accepted_"
# Models of what many shops do not have: where nothing serves, nothing is wrong.
_OPTIONAL = frozenset({"uplift_model"})
_NAME_WIDTH = 20  # leaves room for the longest name of a baseline in 80 columns
PASSED, REFUSED = "passed", "refused"


@dataclass(frozen=True)
class ModelState:
    """The state of one part of a trained model.

    name: `churn_model`, with the part where it is judged by parts. partition, as_of: of the newest training. gate:
    passed or refused, of that training. said: its message. serves: what serves the newest scored snapshot. reason: why
    no champion serves, None if one does or nothing says so. is_loud: whether a model serves that did not pass its gate.
    """

    name: str
    partition: str
    as_of: str
    gate: str
    said: str
    serves: str
    reason: str | None
    is_loud: bool


def read_models(connection: Connection) -> list[ModelState]:
    """Return the state of every trained model, in alphabetical order."""
    tables = connection.execute(
        "select table_name from information_schema.columns where table_schema = 'models' and column_name in "
        "(select unnest(?::varchar[])) group by 1 having count(*) = ? order by 1",
        [_TRAINING_COLUMNS, len(_TRAINING_COLUMNS)],
    )
    return [state for (table,) in tables for state in _states(connection, table)]


def _states(connection: Connection, table: str) -> list[ModelState]:
    columns = connection.columns(f"select * from models.{table}")
    parts = [name.removeprefix(_PART) for name in columns if name.startswith(_PART)]
    accepted = ", ".join(f"{_PART}{part}" for part in parts) or "accepted"
    newest = connection.execute(
        f"select as_of, said, {accepted} from models.{table} order by as_of desc limit 1"
    )
    if not newest:
        return []
    trained, said, *passed = newest[0]
    # A model without a horizon, such as personas, forecasts nothing: its newest training always serves.
    forecasts = "horizon_days" in columns
    return [
        ModelState(
            f"{table} ({part})" if parts else table,
            key_of_as_of(trained),
            str(trained.date()),
            PASSED if has_passed else REFUSED,
            said or "",
            *(_serving(connection, table, part) if forecasts else ("the newest training", None, False)),
        )
        for part, has_passed in zip(parts or [ALL], passed, strict=True)
    ]


def _serving(connection: Connection, table: str, part: str) -> tuple[str, str | None, bool]:
    """Return what serves the newest scored snapshot, why no champion does, and whether it is no baseline then."""
    if connection.relation_kind(SERVING) is None:
        return "", None, False
    rows = connection.execute(
        f"select model_name, model_version, model_as_of, reason from {SERVING} "
        "where model = ? and part = ? order by as_of desc limit 1",
        [f"models.{table}", part],
    )
    if not rows:
        return "nothing is scored yet", None, False
    name, version, as_of, reason = rows[0]
    if name is None:
        return "nothing", reason, reason is not None and table not in _OPTIONAL
    if name.startswith("models."):
        return f"version {version} of {label_of_as_of(as_of)}", reason, reason is not None
    return str(name), reason, False


def render_models(states: list[ModelState]) -> list[Table | Text]:
    """Return the table of models, and a line for each that is refused or serves although it is refused."""
    if not states:
        return []
    table = Table(
        "Models", "trained at", "as_of", "gate", "what serves", box=None, header_style="bold", pad_edge=False
    )
    for column in table.columns[1:4]:
        column.no_wrap = True
    # A name is broken into two lines rather than cut off.
    table.columns[0].max_width, table.columns[-1].overflow = _NAME_WIDTH, "fold"
    for one in states:
        table.add_row(one.name, one.partition, one.as_of, one.gate, one.serves)
    lines: list[Table | Text] = [Text(), table]
    said: dict[str, str] = {}
    for one in states:
        if one.is_loud:
            lines.append(Text(f"  WARNING {one.name}: {one.reason}", style="bold red"))
        elif one.gate == REFUSED:
            # The parts of one model share the message of their training.
            said.setdefault(one.said, one.name.partition(" (")[0])
    lines += [Text(f"  {name}: {text}") for text, name in said.items()]
    return lines
