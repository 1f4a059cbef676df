"""Experiments: who is held out, what a treatment did, and how sure that is.

Belongs here: assignment, effects with intervals, sequential looks, sample-ratio mismatch, power and false discoveries,
as functions of counts, sums and arrays. Does not: tables, campaigns, money spent, Dagster, MLflow, DuckDB.

    held_out = is_held_out(customer_ids, "win_back", key)
    look = AnytimeLook(progress=progress(sizes, planned))
    effect = cuped_effect(control, treated, look)
"""

from typing import TYPE_CHECKING

from clm_dagster.statistics.experiments.assignment import (
    GLOBAL_HOLDOUT,
    HOLDOUT_SHARE,
    arms,
    balance,
    hash_numbers,
    is_held_out,
    number_sql,
    text_sql,
)
from clm_dagster.statistics.experiments.moments import Sums, filled
from clm_dagster.statistics.late_names import late_names

if TYPE_CHECKING:
    from clm_dagster.statistics.experiments.discoveries import Discoveries, select_discoveries
    from clm_dagster.statistics.experiments.effects import (
        Effect,
        Incremental,
        NotEnoughData,
        cuped_effect,
        incremental,
        mean_effect,
        rate_effect,
    )
    from clm_dagster.statistics.experiments.power import (
        Design,
        customers_for_mean,
        customers_for_rate,
        mean_power,
        rate_power,
        smallest_mean_effect,
        smallest_rate_effect,
    )
    from clm_dagster.statistics.experiments.sample_ratio import (
        SampleRatio,
        check_sample_ratio,
        check_sample_ratio_daily,
    )
    from clm_dagster.statistics.experiments.sequential import AnytimeLook, FixedLook, Look, progress
else:
    __getattr__ = late_names(
        __name__,
        {
            "discoveries": "Discoveries select_discoveries",
            "effects": "Effect Incremental NotEnoughData cuped_effect incremental mean_effect rate_effect",
            "power": "Design customers_for_mean customers_for_rate mean_power rate_power smallest_mean_effect "
            "smallest_rate_effect",
            "sample_ratio": "SampleRatio check_sample_ratio check_sample_ratio_daily",
            "sequential": "AnytimeLook FixedLook Look progress",
        },
    )

__all__ = [
    "GLOBAL_HOLDOUT",
    "HOLDOUT_SHARE",
    "AnytimeLook",
    "Design",
    "Discoveries",
    "Effect",
    "FixedLook",
    "Incremental",
    "Look",
    "NotEnoughData",
    "SampleRatio",
    "Sums",
    "arms",
    "balance",
    "check_sample_ratio",
    "check_sample_ratio_daily",
    "cuped_effect",
    "customers_for_mean",
    "customers_for_rate",
    "filled",
    "hash_numbers",
    "incremental",
    "is_held_out",
    "mean_effect",
    "mean_power",
    "number_sql",
    "progress",
    "rate_effect",
    "rate_power",
    "select_discoveries",
    "smallest_mean_effect",
    "smallest_rate_effect",
    "text_sql",
]
