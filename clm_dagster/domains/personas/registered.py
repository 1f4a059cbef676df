"""The registered persona model: its name, the types in its file, and the functions that save and load it.

Belongs here: what definitions need of it. Does not: the conversion itself (`served`).
"""

from typing import TYPE_CHECKING

from clm_dagster.domains.personas.queries import MODEL
from clm_dagster.platform.late_functions import late_functions
from clm_dagster.platform.trained_models.registered import RegisteredModel

if TYPE_CHECKING:
    from clm_dagster.domains.personas.served import pack, unpack
else:
    pack, unpack = late_functions("clm_dagster.domains.personas.served", "pack", "unpack")

REGISTERED = RegisteredModel(
    MODEL,
    pack=pack,
    unpack=unpack,
    trusted=("numpy.clip", "clm_dagster.domains.personas.served.PersonaPosition"),
)
