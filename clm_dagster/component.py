"""The Dagster component of a shop, for a deployment with several of them.

Belongs here: the attributes in a shop's `defs.yaml`, what `dg scaffold defs clm_dagster.ShopComponent` writes, and the
settings of a shop in a folder. Does not: definitions of assets (`definitions`), the settings themselves (`settings`).
"""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import click
import dagster as dg
import yaml
from dagster.components.resolved.errors import ResolutionException
from dagster.components.scaffold.scaffold import Scaffolder, ScaffoldRequest
from pydantic import BaseModel, Field, PrivateAttr, ValidationError

from clm_dagster.definitions import shop_definitions
from clm_dagster.settings import Settings, SettingsError, known_settings, load_shop_settings

FILE = "defs.yaml"
TYPE = "clm_dagster.ShopComponent"
# The attributes beside `settings`, and the settings that they are.
_OWN = {
    "source": "source",
    "input": "input",
    "data_dir": "data_dir",
    "adapters_dir": "adapters_dir",
    "prefix": "asset_prefix",
}
_DEFS = """\
# A shop of this deployment: its assets, jobs, schedules and sensors. All attributes: `dg docs serve`.
type: {type}
attributes:
  # The adapter that reads the files: one of clm_dagster's, or a folder in adapters/ here.
  source: {source}
  # The files, relative to this folder: a folder, a file or a glob.
  input: inbox
  # Warehouse, landing area, MLflow store and published copy.
  data_dir: data
  # First part of every asset key, and of the names of jobs, schedules and sensors.
  prefix: {prefix}
  # Any setting by its name in lower case, without CLM_; `clm settings` prints all of them.
  settings: {{}}
  #  start_date: 2024-01-01
  #  timezone: Europe/London
  #  currency: EUR
"""
_IGNORED = "/data/\n/inbox/\n"


class ScaffoldParams(BaseModel):
    """Options of `dg scaffold defs clm_dagster.ShopComponent`."""

    source: str = Field(
        default="generic", description="The adapter that reads the shop's files, such as shopify."
    )


class ShopScaffolder(Scaffolder[ScaffoldParams]):
    """Writes the folder of a new shop: defs.yaml with comments, an inbox, and what Git ignores."""

    @classmethod
    def get_scaffold_params(cls) -> type[ScaffoldParams]:
        """Return the options of the command."""
        return ScaffoldParams

    def scaffold(self, request: ScaffoldRequest[ScaffoldParams]) -> None:
        """Write the folder. Raise ClickException for an unknown source, or a folder whose name is no prefix."""
        if request.scaffold_format != "yaml" or request.append:
            raise click.ClickException(
                f"a shop is a folder with its own {FILE}: scaffold yaml, in a new folder"
            )
        folder, source = request.target_path, request.params.source
        component = ShopComponent(source=source)
        try:
            component.settings_in(folder)
        except SettingsError as error:
            folder.rmdir()  # made by `dg`, which would refuse the name the next time
            raise click.ClickException(str(error)) from error
        text = _DEFS.format(type=request.type_name, source=source, prefix=_prefix_of(folder))
        (folder / FILE).write_text(text)
        (folder / ".gitignore").write_text(_IGNORED)
        (folder / "inbox").mkdir()


@dg.scaffold_with(ShopScaffolder)
class ShopComponent(dg.Component, dg.Model, dg.Resolvable):
    """A shop: its files become customer features, segments, churn, value, demand and recommendations in DuckDB.

    A deployment may have many. Each has its own folder of data, MLflow store, asset keys, jobs, schedules and sensors.
    Paths are relative to the folder of this file.
    """

    source: Annotated[
        str,
        dg.Resolver.default(
            description="The adapter that reads the shop's files: one of clm_dagster's, or one in `adapters_dir`.",
            examples=["generic", "shopify"],
        ),
    ]
    input: Annotated[
        str, dg.Resolver.default(description="The shop's files: a folder, a file or a glob.")
    ] = "inbox"
    data_dir: Annotated[
        str,
        dg.Resolver.default(
            description="Folder of the warehouse, landing area, MLflow store and published copy, for this shop only."
        ),
    ] = "data"
    adapters_dir: Annotated[
        str, dg.Resolver.default(description="Folder of the shop's own adapters; it may be missing.")
    ] = "adapters"
    prefix: Annotated[
        str | None,
        dg.Resolver.default(
            description="First part of asset keys and of names; the folder's name if it is not set.",
            examples=["my_shop"],
        ),
    ] = None
    settings: Annotated[
        dict[str, Any],
        dg.Resolver.default(
            description="Other settings by name, in lower case without CLM_; `clm settings` prints all of them.",
            examples=[{"start_date": "2024-01-01", "churn_horizon_days": 60}],
        ),
    ] = Field(default_factory=dict)

    _folder: Path | None = PrivateAttr(None)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> "ShopComponent":
        """Return the component with these attributes, which remembers its folder."""
        component = super().load(attributes, context)
        component._folder = context.path
        return component

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """Return what `dg list components` and the UI say."""
        return dg.ComponentTypeSpec(
            tags=["e-commerce", "duckdb", "mlflow"],
            produces=["asset", "asset_check", "job", "schedule", "sensor", "resource"],
        )

    def settings_in(self, folder: Path) -> Settings:
        """Return the settings of this shop in a folder.

        Raise SettingsError, which names the file and the attribute, for unknown settings and invalid values.
        """
        file = folder / FILE
        known = known_settings()
        attribute_of = {setting: name for name, setting in _OWN.items()}
        misplaced = sorted(self.settings.keys() & attribute_of.keys())
        if misplaced:
            names = ", ".join(f"`{attribute_of[name]}` for `settings.{name}`" for name in misplaced)
            raise SettingsError(f"{file}: these have attributes of their own: use {names}")
        unknown = sorted(self.settings.keys() - known.keys())
        if unknown:
            raise SettingsError(f"{file}: {'; '.join(_unknown(name, known) for name in unknown)}")
        values = self.settings | {
            "source": self.source,
            "input": self.input if "://" in self.input else _path(folder, self.input),
            "data_dir": _path(folder, self.data_dir),
            "adapters_dir": _path(folder, self.adapters_dir),
            "asset_prefix": self.prefix or _prefix_of(folder),
        }
        if not values["asset_prefix"]:
            raise SettingsError(
                f"{file}: attribute `prefix` is empty; each shop of a deployment needs its own"
            )
        try:
            return load_shop_settings(values, str(file))
        except SettingsError as error:
            raise SettingsError(f"{file}: {error}") from error

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the definitions of the shop. Raise SettingsError."""
        settings = self.settings_in(context.path)
        for other in context.component_tree.get_all_components(ShopComponent):
            folder = other._folder
            if folder is None or folder == context.path:
                continue
            theirs = other.settings_in(folder)
            if theirs.asset_prefix == settings.asset_prefix:
                raise SettingsError(_shared(context.path, folder, "prefix", settings.asset_prefix))
            if theirs.data_dir.resolve() == settings.data_dir.resolve():
                raise SettingsError(_shared(context.path, folder, "data_dir", settings.data_dir))
        return shop_definitions(settings)


def settings_of_folder(folder: Path) -> Settings:
    """Return the settings of the shop whose component is in a folder. Raise SettingsError."""
    file = folder / FILE
    if not file.is_file():
        raise SettingsError(
            f"{folder} is no shop: {file} does not exist. `dg scaffold defs {TYPE} NAME` makes one"
        )
    try:
        found = [document for document in yaml.safe_load_all(file.read_text()) if document]
    except yaml.YAMLError as error:
        raise SettingsError(f"{file} is not valid YAML: {error}") from error
    if len(found) != 1 or not isinstance(found[0], Mapping) or found[0].get("type") != TYPE:
        raise SettingsError(f"{file}: expected one component, of type {TYPE}")
    try:
        component: ShopComponent = ShopComponent.resolve_from_dict(dict(found[0].get("attributes") or {}))
    except (ResolutionException, ValidationError) as error:
        raise SettingsError(f"{file}: {error}") from error
    return component.settings_in(folder.resolve())


def _shared(folder: Path, other: Path, attribute: str, value: object) -> str:
    return f"{folder / FILE} and {other / FILE}: both have the {attribute} {value}; each shop needs its own"


def _path(folder: Path, path: str) -> str:
    return str(folder.resolve() / Path(path).expanduser())


def _prefix_of(folder: Path) -> str:
    """Return the name of a folder as a prefix."""
    return folder.resolve().name.replace("-", "_").replace(" ", "_")


def _unknown(name: str, known: Mapping[str, object]) -> str:
    near = get_close_matches(name.lower().removeprefix("clm_"), known, 1)
    hint = f"; did you mean `{near[0]}`" if near else ""
    return f"attribute `settings.{name}` is no setting{hint}; `clm settings` prints all of them"
