"""The one typed home of every setting, and where each value came from.

Belongs here: what a user may choose of the shop and of the platform (`ground`), what a domain's own class of settings
is made of (`fields`), all of them together (`composition`), reading values (`loading`). Does not: what a user may
choose of one domain (its `settings.py`), constants of a model, rules that people edit (those are seeds in
`dbt_like_sql/seeds`), anything that is derived from data. Nothing else in the package reads the environment.

In the code settings are nested: `settings.data_dir`, `settings.of(ChurnSettings).horizon_days`. Outside each has one
flat name: `CLM_DATA_DIR`, `CLM_CHURN_HORIZON_DAYS`.
"""

from clm_dagster.settings.composition import Settings, known_settings
from clm_dagster.settings.fields import DomainSettings, OwnName, SettingsError, Variable
from clm_dagster.settings.ground import PROJECT_DIR
from clm_dagster.settings.loading import LAST_RUN_FILE, load_settings, origins, record_last_run, unsaid_dates

__all__ = [
    "LAST_RUN_FILE",
    "PROJECT_DIR",
    "DomainSettings",
    "OwnName",
    "Settings",
    "SettingsError",
    "Variable",
    "known_settings",
    "load_settings",
    "origins",
    "record_last_run",
    "unsaid_dates",
]
