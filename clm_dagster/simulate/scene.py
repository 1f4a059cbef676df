"""Everything about a shop that is decided before its first day.

Belongs here: putting it together. Does not: drawing any of it.
"""

from dataclasses import dataclass

from clm_dagster.simulate.catalogue import Catalogue, build_catalogue
from clm_dagster.simulate.parameters import Calendar, Parameters, calendar
from clm_dagster.simulate.population import Population, build_population


@dataclass(frozen=True)
class Scene:
    """What every part of a day's work looks up."""

    parameters: Parameters
    days: Calendar
    catalogue: Catalogue
    population: Population

    @classmethod
    def build(cls, parameters: Parameters) -> "Scene":
        """Draw it."""
        days, catalogue = calendar(parameters), build_catalogue(parameters)
        return cls(parameters, days, catalogue, build_population(parameters, catalogue, days))
