"""All settings as one object: those of the shop and the platform, and one class per domain.

Belongs here: collecting all settings, and validating values. Does not: reading values (`loading`).
"""

from collections.abc import Mapping
from datetime import date
from typing import TypeVar

from pydantic import PrivateAttr, SecretStr, ValidationError

from clm_dagster.discovery import domain_modules
from clm_dagster.settings.fields import DomainSettings, Setting, SettingsError, SettingsGroup, settings_of
from clm_dagster.settings.shared import SharedSettings

BY_PROGRAM = "set by the program"
Domain = TypeVar("Domain", bound=DomainSettings)


class Settings(SharedSettings):
    """All settings: those of the shop and the platform as attributes, those of a domain by its class.

    `settings.of(ChurnSettings).horizon_days` is CLM_CHURN_HORIZON_DAYS. Created by `load_settings`.
    """

    _domains: tuple[DomainSettings, ...] = PrivateAttr(())
    _known: Mapping[str, Setting] = PrivateAttr(default_factory=dict)
    _places: Mapping[str, str] = PrivateAttr(default_factory=dict)

    def of(self, kind: type[Domain]) -> Domain:
        """Return the settings of one domain. Raise SettingsError for an unknown class."""
        for group in self._domains:
            if isinstance(group, kind):
                return group
        known = ", ".join(type(group).__name__ for group in self._domains)
        raise SettingsError(f"no domain has the settings {kind.__name__}; the domains have {known}")

    @property
    def known(self) -> Mapping[str, Setting]:
        """All settings by flat name."""
        return self._known

    @property
    def places(self) -> Mapping[str, str]:
        """The origins of all values that are not defaults, by flat name."""
        return self._places

    def flat(self) -> dict[str, object]:
        """Return all values by flat name."""
        groups: dict[type[SettingsGroup], SettingsGroup] = {type(group): group for group in self._domains}
        return {
            name: getattr(groups.get(setting.group, self), setting.field)
            for name, setting in self._known.items()
        }

    def sql_variables(self) -> dict[str, object]:
        """Return the variables of the SQL project: all settings of type `Variable`."""
        values = self.flat()
        return {
            name: str(values[name]) if isinstance(values[name], date) else values[name]
            for name, setting in self._known.items()
            if setting.is_sql_variable
        }

    def replace(self, **flat: object) -> "Settings":
        """Return a validated copy with other values, given by flat names."""
        return build_settings(
            self._known, self.flat() | flat, {**self._places, **dict.fromkeys(flat, BY_PROGRAM)}
        )


def known_settings() -> dict[str, Setting]:
    """Return all settings by flat name: first those of the shop and the platform, then those of each domain.

    Raise SettingsError if two settings have the same name.
    """
    known: dict[str, Setting] = {}
    groups: dict[str, type[SettingsGroup]] = {"": Settings, **_domain_groups()}
    for domain, group in groups.items():
        for setting in settings_of(group, domain):
            other = known.setdefault(setting.name, setting)
            if other is not setting:
                raise SettingsError(
                    f"{setting.variable} is defined by both {_place(other.group)} and {_place(group)}; "
                    "rename one of the fields"
                )
    return known


def _place(group: type[SettingsGroup]) -> str:
    return f"{group.__module__}.{group.__name__}"


def _domain_groups() -> dict[str, type[DomainSettings]]:
    """Return the settings class of each domain that has one."""
    groups: dict[str, type[DomainSettings]] = {}
    for domain, module in domain_modules("settings").items():
        found = [
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, DomainSettings)
            and value.__module__ == module.__name__
        ]
        if len(found) != 1:
            names = ", ".join(group.__name__ for group in found) or "none"
            raise SettingsError(f"{module.__file__}: expected one subclass of DomainSettings, found {names}")
        groups[domain] = found[0]
    return groups


def build_settings(
    known: Mapping[str, Setting], values: Mapping[str, object], places: Mapping[str, str]
) -> Settings:
    """Create settings from values by flat name; all others have their defaults.

    Raise SettingsError for unknown names, and for invalid values.
    """
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise SettingsError(f"unknown setting {', '.join(unknown)}; `clm settings` prints all settings")
    chosen: dict[type[SettingsGroup], dict[str, object]] = {s.group: {} for s in known.values()}
    for name, value in values.items():
        chosen[known[name].group][known[name].field] = value
    made: list[SettingsGroup] = []
    problems: list[str] = []
    for group, fields in chosen.items():
        try:
            made.append(group(**fields))
        except ValidationError as error:
            problems += _problems(error, {s.field: s for s in known.values() if s.group is group})
    if problems:
        raise SettingsError("; ".join(problems))
    (settings,) = (group for group in made if isinstance(group, Settings))
    settings._domains = tuple(group for group in made if isinstance(group, DomainSettings))
    settings._known, settings._places = known, places
    return settings


def _problems(error: ValidationError, fields: Mapping[str, Setting]) -> list[str]:
    """Return one message for each invalid value."""
    return [
        _problem(fields[str(found["loc"][0])], found["msg"], found["input"]) if found["loc"] else found["msg"]
        for found in error.errors()
    ]


def _problem(setting: Setting, message: str, value: object) -> str:
    """Return the message for an invalid value, which is not shown if it is a secret."""
    shown = "" if setting.info.annotation is SecretStr else f" (found {value!r})"
    return f"{setting.variable}: {message}{shown}"
