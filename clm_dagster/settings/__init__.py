"""Typed settings, and the origin of each value.

Belongs here: the settings of the shop and of the platform (`shared`), base classes for the settings of a domain
(`fields`), all settings as one object (`composition`), reading values (`loading`). Does not: the settings of a domain
(its `settings.py`), constants of a model, rules that users edit (seeds in `dbt_like_sql/seeds`), anything derived from
data. No other module reads settings from the environment.

In code, settings are nested: `settings.data_dir`, `settings.of(ChurnSettings).horizon_days`. Outside, each setting has
one flat name: `CLM_DATA_DIR`, `CLM_CHURN_HORIZON_DAYS`.
"""

from clm_dagster.settings.alerting import reveal
from clm_dagster.settings.composition import Settings, known_settings
from clm_dagster.settings.fields import DomainSettings, OwnName, SettingsError, Variable
from clm_dagster.settings.loading import (
    LAST_RUN_FILE,
    load_settings,
    load_shop_settings,
    misspelt_variables,
    origins,
    read_env_file,
    record_last_run,
    record_settings,
    unset_dates,
)
from clm_dagster.settings.shared import PROJECT_DIR

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
    "load_shop_settings",
    "misspelt_variables",
    "origins",
    "read_env_file",
    "record_last_run",
    "record_settings",
    "reveal",
    "unset_dates",
]
