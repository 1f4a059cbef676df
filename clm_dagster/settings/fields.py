"""Base classes of settings, and the flat name of each field.

Belongs here: base classes, markers on fields, flat names. Does not: any setting.
"""

from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from clm_dagster.errors import UserError

T = TypeVar("T")


class SettingsError(UserError, ValueError):
    """A setting has an invalid value. The message names the setting and what was expected."""


@dataclass(frozen=True)
class _Mark:
    """A marker in the type annotation of a field."""

    name: str


_VARIABLE, _OWN_NAME = _Mark("variable"), _Mark("own name")

Variable = Annotated[T, _VARIABLE]
"""Type of a setting that is also a variable of the SQL project, under its flat name."""
OwnName = Annotated[T, _OWN_NAME]
"""Type of a setting whose flat name does not start with the name of its domain."""


class SettingsGroup(BaseModel):
    """An immutable group of related settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DomainSettings(SettingsGroup):
    """Base class for the settings of a domain. A domain has at most one subclass, in its `settings.py`.

    Field names do not include the domain: `horizon_days` of the domain `churn` is CLM_CHURN_HORIZON_DAYS. A field of
    type `Variable[int]` is also a variable of the SQL project. A field of type `OwnName[float]` has no prefix.
    """


@dataclass(frozen=True)
class Setting:
    """A field of a group with its flat name."""

    name: str
    group: type[SettingsGroup]
    field: str
    info: FieldInfo

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"CLM_{self.name.upper()}"

    @property
    def description(self) -> str:
        """The description, one sentence."""
        return self.info.description or ""

    @property
    def is_sql_variable(self) -> bool:
        """Whether the SQL project reads it."""
        return _VARIABLE in self.info.metadata


def settings_of(group: type[SettingsGroup], domain: str = "") -> list[Setting]:
    """Return the fields of a group with their flat names, which start with the domain unless marked as `OwnName`."""
    return [
        Setting(
            field if not domain or _OWN_NAME in info.metadata else f"{domain}_{field}", group, field, info
        )
        for field, info in group.model_fields.items()
    ]
