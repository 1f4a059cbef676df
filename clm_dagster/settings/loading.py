"""Reading settings: the possible origins of a value, and its actual origin.

Belongs here: the environment, the record of the last run, the settings of the adapter. Does not: defining settings
(`shared`, the domains), validating values (`composition`).

A value is taken from the first of: the program, a `CLM_` environment variable, the record of the last `clm run` in the
data folder (so that the UI shows the same shop), the source's adapter (which knows the dates of a historical source),
the default. Where several shops share a deployment, each has a file in the place of the program, and the environment
cannot say what a single shop is (`OWN_FIELDS`).
"""

import json
import os
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from clm_dagster.settings.composition import BY_PROGRAM, Settings, build_settings, known_settings
from clm_dagster.settings.fields import Setting, SettingsError
from clm_dagster.settings.shared import ShopSettings, adapter_folder, adapter_folders
from clm_dagster.storage import write_json

LAST_RUN_FILE = "last_run.json"
_PREFIX = "CLM_"
# Read by the tests and the benchmarks only.
OTHER_VARIABLES = frozenset({"CLM_REFERENCE_DATA", "CLM_DBT", "CLM_FAKESNOW", "CLM_BQEMULATOR"})
# The settings that `clm run` records: those that define the shop.
LAST_RUN_FIELDS = ("source", "input", "start_date", "end_date")
# In the same record, other settings of this data folder: those of a demo.
_RECORDED = "settings"
BY_DEFAULT = "default"
# What makes a shop of a deployment this one. The environment of all shops must not set it for each of them.
OWN_FIELDS = frozenset({*ShopSettings.model_fields, "data_dir", "adapters_dir", "asset_prefix"})


def load_settings(**overrides: object) -> Settings:
    """Read the settings. overrides: values by flat name, which have priority over all other origins.

    Raise SettingsError for unknown names, and for invalid values.
    """
    known = known_settings()
    return _load(overrides, BY_PROGRAM, known, known)


def load_shop_settings(values: Mapping[str, object], place: str) -> Settings:
    """Read the settings of one of several shops in a deployment.

    values: those in the shop's file, by flat name. place: the file. The environment gives only what may be the same for
    all shops, such as CLM_THREADS; it is ignored for `OWN_FIELDS`. Raise SettingsError.
    """
    known = known_settings()
    shared = {name: setting for name, setting in known.items() if name not in OWN_FIELDS}
    return _load(values, place, known, shared)


def _load(
    given: Mapping[str, object],
    place: str,
    known: Mapping[str, Setting],
    readable: Mapping[str, Setting],
) -> Settings:
    """Read all settings; of the environment only those in `readable`."""
    values: dict[str, object] = dict(given)
    places = dict.fromkeys(given, place)

    def take(found: Mapping[str, object], place: Callable[[Setting], str]) -> None:
        for name in (known.keys() & found.keys()) - values.keys():
            values[name], places[name] = found[name], place(known[name])

    take(_environment(readable), lambda setting: f"environment, {setting.variable}")
    path, record = _last_run(values)
    take(record, lambda _: f"last run, {path}")
    source, own = _adapter(values)
    take(own, lambda _: f"adapter {source}")
    return build_settings(known, values, places)


def read_env_file(path: Path) -> None:
    """Put the lines `NAME=value` of a file into the environment, if it exists. What is set there already stays.

    Raise SettingsError for a line that is none of these, a comment or blank.
    """
    if not path.is_file():
        return
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = line.strip().removeprefix("export ")
        if not text or text.startswith("#"):
            continue
        name, sign, value = text.partition("=")
        if not sign or not name.strip().isidentifier():
            raise SettingsError(f"{path}:{number}: expected NAME=value, found {line.strip()!r}")
        os.environ.setdefault(name.strip(), value.strip().strip("'\""))


# ------------------------------------------------------------------------------------ origins


def _environment(known: Mapping[str, Setting]) -> dict[str, str]:
    """Return the values in the environment. Variable names are case-insensitive."""
    variables = {name.upper(): value for name, value in os.environ.items()}
    return {
        name: variables[setting.variable] for name, setting in known.items() if setting.variable in variables
    }


def misspelt_variables(environment: Mapping[str, str]) -> dict[str, str | None]:
    """Return the variables that start with CLM_ and are no setting, each with the setting that it resembles, if any."""
    known = {setting.variable for setting in known_settings().values()}
    unknown = sorted(
        name
        for name in environment
        if name.upper().startswith(_PREFIX) and name.upper() not in known | OTHER_VARIABLES
    )
    return {name: next(iter(get_close_matches(name.upper(), known, 1)), None) for name in unknown}


def _default(name: str) -> object:
    return Settings.model_fields[name].default


def _last_run(values: Mapping[str, object]) -> tuple[Path, dict[str, object]]:
    """Return the record of the last `clm run` and its path. The record is empty if another source is set."""
    path = Path(str(values.get("data_dir") or _default("data_dir"))) / LAST_RUN_FILE
    record = _read(path)
    if values.get("source", record.get("source")) != record.get("source"):
        return path, {}
    return path, {
        **record.get(_RECORDED, {}),
        **{key: record[key] for key in LAST_RUN_FIELDS if key in record},
    }


def _read(path: Path) -> dict[str, Any]:
    """Return a record, empty if there is none. Raise SettingsError."""
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text()))
    except json.JSONDecodeError as error:
        raise SettingsError(f"{path} is not valid JSON ({error}); delete it or run `clm run`") from error


def _adapter(values: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """Return the source and the `settings` of its adapter.yml, such as the dates of a historical source."""
    own = values.get("adapters_dir")
    folders = adapter_folders(
        Path(str(values.get("sql_dir") or _default("sql_dir"))), Path(str(own)) if own else None
    )
    source = str(values.get("source") or _default("source"))
    path = adapter_folder(source, folders) / "adapter.yml"
    try:
        content = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not valid YAML: {error}") from error
    return source, dict(content.get("settings") or {})


def origins(settings: Settings) -> dict[str, str]:
    """Return the origin of each setting's value as a short text, by flat name."""
    return {name: settings.places.get(name, BY_DEFAULT) for name in settings.known}


def unset_dates(settings: Settings) -> list[str]:
    """Return those of start_date and end_date that neither the user nor the adapter has set."""
    path = settings.data_dir / LAST_RUN_FILE
    measured = _read(path).get("measured", [])
    places = origins(settings)
    return [
        name
        for name in ("start_date", "end_date")
        if places[name] == BY_DEFAULT or (places[name].startswith("last run") and name in measured)
    ]


def record_settings(data_dir: Path, source: str, values: Mapping[str, str]) -> None:
    """Record settings by flat name for all later commands on a data folder. The environment has priority over them."""
    path = data_dir / LAST_RUN_FILE
    write_json(path, {**_read(path), "source": source, _RECORDED: dict(values)})


def record_last_run(settings: Settings, measured: Collection[str] = ()) -> None:
    """Record the shop of this run in the data folder, atomically.

    measured: the dates that were taken from the input files because they are not set. The next run takes them from
    the files again. Settings that `record_settings` has recorded for the same source are kept.
    """
    path = settings.data_dir / LAST_RUN_FILE
    before = _read(path)
    record: dict[str, Any] = {
        name: None if (value := getattr(settings, name)) is None else str(value) for name in LAST_RUN_FIELDS
    }
    record["measured"] = sorted(measured)
    if _RECORDED in before and before.get("source") == settings.source:
        record[_RECORDED] = before[_RECORDED]
    write_json(path, record)
