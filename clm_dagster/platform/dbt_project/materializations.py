"""How models are materialized: the configurations that the loader supports, and what each of them means.

Belongs here: checking and naming a combination of configuration values. Does not: building a model (`building`).

- `view`, `table`: as in dbt.
- `microbatch`: built by days.
- `snapshot`: `delete+insert` by `as_of`, built by snapshots.
- `state`: `delete+insert` by any other key, built from the rows of the days that changed since the last build. Its SQL
  reads `var('changed_days')` where `is_incremental()`, and returns only rows that change, each with all its key. A key
  that has no row any more is returned with nulls, and the `post_hook` deletes it.
"""

from collections.abc import Mapping
from typing import Any

from clm_dagster.platform.dbt_project.properties import Config
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError, Where

MATERIALIZATIONS = ("view", "table", "incremental")
SNAPSHOT_KEY = "as_of"
# Configuration that only a state may have.
_STATE_CONFIG = ("post_hook", "full_refresh")


def kind_of(config: Mapping[str, Any]) -> str:
    """Return `view`, `table`, `microbatch`, `snapshot` or `state`."""
    if config["materialized"] != "incremental":
        return str(config["materialized"])
    if config["incremental_strategy"] == "microbatch":
        return "microbatch"
    return "snapshot" if config["unique_key"] == SNAPSHOT_KEY else "state"


def keys_of(config: Mapping[str, Any]) -> list[str]:
    """Return the columns of the unique key; empty where none is configured."""
    key = config.get("unique_key") or []
    return [key] if isinstance(key, str) else list(key)


def check_materialization(config: Config, where: Where) -> None:
    """Raise ProjectError, with file and line, for a combination of values that the loader does not support."""
    values = config.values
    if values["materialized"] not in MATERIALIZATIONS:
        raise ProjectError(
            f"{config.places['materialized']}: materialized={values['materialized']!r}; "
            f"expected one of {', '.join(MATERIALIZATIONS)}"
        )
    if values["materialized"] == "incremental":
        _check_incremental(values, where)
    if values["materialized"] != "incremental" or kind_of(values) != "state":
        for name in _STATE_CONFIG:
            if name in values:
                raise ProjectError(
                    f"{where}: {name} is supported only for incremental_strategy='delete+insert' "
                    f"with another unique_key than {SNAPSHOT_KEY!r}"
                )


def _check_incremental(values: Mapping[str, Any], where: Where) -> None:
    strategy = values.get("incremental_strategy")
    if strategy == "microbatch":
        needed: dict[str, Any] = {"event_time": None, "batch_size": "day", "begin": None}
    elif strategy == "delete+insert":
        needed = {"unique_key": None}
        if keys_of(values) and keys_of(values) != [SNAPSHOT_KEY]:
            needed["event_time"] = None
    else:
        raise ProjectError(
            f"{where}: incremental_strategy={strategy!r}; expected microbatch or delete+insert"
        )
    for key, value in needed.items():
        if key not in values or (value is not None and values[key] != value):
            found = f"found {values[key]!r}" if key in values else "found nothing"
            raise ProjectError(f"{where}: {strategy} requires {key}={value or '...'!r}, {found}")
