"""The commands of the domain, as `clm` finds them."""

from clm_dagster.domains.actions.campaign_commands import campaign
from clm_dagster.domains.actions.export_commands import export

__all__ = ["campaign", "export"]
