"""Connectors: which tables and files of other systems are pulled into the inbox. The work is done by dlt."""
