"""The fixed inputs of a simulation: everything that is decided before the shop's first day.

Belongs here: assembling the parts. Does not: drawing them.
"""

from dataclasses import dataclass

from clm_dagster.simulate.catalogue import Catalogue, build_catalogue
from clm_dagster.simulate.parameters import Calendar, Parameters, calendar
from clm_dagster.simulate.population import Population, build_population


@dataclass(frozen=True)
class Scenario:
    """Parameters, calendar, catalogue and population of one simulated shop.

    future: which random numbers of customers (`OwnNumbers`) follow the first planned touch; a shop on disk has 0.
    """

    parameters: Parameters
    days: Calendar
    catalogue: Catalogue
    population: Population
    future: int = 0

    @classmethod
    def build(cls, parameters: Parameters) -> "Scenario":
        """Draw the scenario of a shop."""
        days, catalogue = calendar(parameters), build_catalogue(parameters)
        return cls(parameters, days, catalogue, build_population(parameters, catalogue, days))
