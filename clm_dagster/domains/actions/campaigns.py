"""Campaigns: some lines of the playbook under one name.

Belongs here: which lines belong to a campaign. Does not: what its experiment could see (`experiment_size`), the asset
(`campaign_asset`), the command (`campaign_commands`).
"""

import difflib
from collections.abc import Sequence

from clm_dagster.domains.actions.names import NOTHING
from clm_dagster.domains.actions.playbook import Play
from clm_dagster.errors import UserError


class CampaignError(UserError, ValueError):
    """A campaign cannot be planned or read. The message says what was expected."""


def plays_of(campaign: str, plays: Sequence[Play]) -> list[Play]:
    """Return the lines of a campaign: the play or the action of that name, or all whose play or action starts with it.

    Raise CampaignError for a name that no line has, with the nearest ones.
    """
    offers = [play for play in plays if play.action != NOTHING]
    exact = [play for play in offers if campaign in (play.play, play.action)]
    found = exact or [
        play for play in offers if play.play.startswith(campaign) or play.action.startswith(campaign)
    ]
    if not found:
        known = sorted({name for play in offers for name in (play.play, play.action)})
        near = difflib.get_close_matches(campaign, known, 3) or known
        raise CampaignError(
            f"no line of the playbook that holds on this day is called {campaign!r}, or starts so; lines and actions "
            f"are {', '.join(near)}"
        )
    return found
