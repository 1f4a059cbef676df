"""The errors of connectors.

Belongs here: the error classes. Does not: hiding secrets in their messages (`secrets`).
"""

from clm_dagster.errors import UserError


class ConnectorError(UserError):
    """A connector is wrong, or its source cannot be read. The message names connector and table, and the remedy."""
