"""All settings as one object: the ground's, and one class of each domain that there is.

Belongs here: which settings there are, and checking values for them. Does not: where a value comes from (`loading`).
"""

from collections.abc import Mapping
from datetime import date
from typing import TypeVar

from pydantic import PrivateAttr, ValidationError

from clm_dagster.discovery import domain_modules
from clm_dagster.settings.fields import DomainSettings, Setting, SettingsError, SettingsGroup, settings_of
from clm_dagster.settings.ground import GroundSettings

BY_PROGRAM = "given by the program"
Domain = TypeVar("Domain", bound=DomainSettings)


class Settings(GroundSettings):
    """Every choice a user has: the ground's as attributes, a domain's by its class.

    `settings.of(ChurnSettings).horizon_days` is CLM_CHURN_HORIZON_DAYS. Made by `load_settings`.
    """

    _domains: tuple[DomainSettings, ...] = PrivateAttr(())
    _known: Mapping[str, Setting] = PrivateAttr(default_factory=dict)
    _places: Mapping[str, str] = PrivateAttr(default_factory=dict)

    def of(self, kind: type[Domain]) -> Domain:
        """The settings of one domain. Raise SettingsError for a class that is not among the domains'."""
        for group in self._domains:
            if isinstance(group, kind):
                return group
        known = ", ".join(type(group).__name__ for group in self._domains)
        raise SettingsError(f"no domain has the settings {kind.__name__}; there are {known}")

    @property
    def known(self) -> Mapping[str, Setting]:
        """Every setting there is, by its flat name."""
        return self._known

    @property
    def places(self) -> Mapping[str, str]:
        """Where the values came from that are not defaults, by flat name."""
        return self._places

    def flat(self) -> dict[str, object]:
        """Every value by its flat name."""
        groups: dict[type[SettingsGroup], SettingsGroup] = {type(group): group for group in self._domains}
        return {
            name: getattr(groups.get(setting.group, self), setting.field)
            for name, setting in self._known.items()
        }

    def sql_variables(self) -> dict[str, object]:
        """What the SQL project is given: the settings that are marked as its variables."""
        values = self.flat()
        return {
            name: str(values[name]) if isinstance(values[name], date) else values[name]
            for name, setting in self._known.items()
            if setting.is_sql_variable
        }

    def replace(self, **flat: object) -> "Settings":
        """The same settings with other values for some, by flat names; checked as if they were read."""
        return build_settings(
            self._known, self.flat() | flat, {**self._places, **dict.fromkeys(flat, BY_PROGRAM)}
        )


def known_settings() -> dict[str, Setting]:
    """Every setting by its flat name: those of the ground, then those of each domain that there is.

    Raise SettingsError if two claim one name.
    """
    known: dict[str, Setting] = {}
    groups: dict[str, type[SettingsGroup]] = {"": Settings, **_domain_groups()}
    for domain, group in groups.items():
        for setting in settings_of(group, domain):
            other = known.setdefault(setting.name, setting)
            if other is not setting:
                raise SettingsError(
                    f"{setting.variable} is a setting of {_place(other.group)} and of {_place(group)}; "
                    "rename the field of one of them"
                )
    return known


def _place(group: type[SettingsGroup]) -> str:
    return f"{group.__module__}.{group.__name__}"


def _domain_groups() -> dict[str, type[DomainSettings]]:
    """The class of settings of each domain that has one."""
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
            raise SettingsError(f"{module.__file__}: a domain has one class of DomainSettings, found {names}")
        groups[domain] = found[0]
    return groups


def build_settings(
    known: Mapping[str, Setting], values: Mapping[str, object], places: Mapping[str, str]
) -> Settings:
    """Make settings of values by flat names; what is not among them is as by default.

    Raise SettingsError with one line for each value that cannot be used, and for a name that is no setting's.
    """
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise SettingsError(
            f"there is no setting {', '.join(unknown)}; `clm settings` prints those there are"
        )
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
    (ground,) = (group for group in made if isinstance(group, Settings))
    ground._domains = tuple(group for group in made if isinstance(group, DomainSettings))
    ground._known, ground._places = known, places
    return ground


def _problems(error: ValidationError, fields: Mapping[str, Setting]) -> list[str]:
    """One line for each value that cannot be used."""
    return [
        f"{fields[str(found['loc'][0])].variable}: {found['msg']} (found {found['input']!r})"
        if found["loc"]
        else found["msg"]
        for found in error.errors()
    ]
