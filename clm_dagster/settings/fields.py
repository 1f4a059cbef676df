"""What classes of settings are made of, and the flat name that each field has outside.

Belongs here: the base classes, the marks on fields, flat names. Does not: any setting.
"""

from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from clm_dagster.errors import UserError

T = TypeVar("T")


class SettingsError(UserError, ValueError):
    """A setting has a value that cannot be used; the message names it and says what would do."""


@dataclass(frozen=True)
class _Mark:
    """Something that the type of a field says of it."""

    name: str


_VARIABLE, _OWN_NAME = _Mark("variable"), _Mark("own name")

Variable = Annotated[T, _VARIABLE]
"""The type of a setting that the SQL project reads: a variable under the setting's flat name."""
OwnName = Annotated[T, _OWN_NAME]
"""The type of a setting whose flat name does not begin with its domain's name."""


class SettingsGroup(BaseModel):
    """Some settings that belong together; a group cannot be changed once it is made."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DomainSettings(SettingsGroup):
    """What a user may choose of one domain; a domain has one such class, in its `settings.py`.

    A field is named without its domain: `horizon_days` of the domain `churn` is CLM_CHURN_HORIZON_DAYS outside. Two
    types say more of a field: `Variable[int]` is also a variable of the SQL project, `OwnName[float]` has no prefix.
    """


@dataclass(frozen=True)
class Setting:
    """A field of a group, as it is known outside."""

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
        """What it is, in a sentence."""
        return self.info.description or ""

    @property
    def is_sql_variable(self) -> bool:
        """Whether the SQL project reads it."""
        return _VARIABLE in self.info.metadata


def settings_of(group: type[SettingsGroup], domain: str = "") -> list[Setting]:
    """Every field of a group with its flat name, which begins with the domain unless it has a name of its own."""
    return [
        Setting(
            field if not domain or _OWN_NAME in info.metadata else f"{domain}_{field}", group, field, info
        )
        for field, info in group.model_fields.items()
    ]
