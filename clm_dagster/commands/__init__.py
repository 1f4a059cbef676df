"""The commands of `clm` that are not a domain's own.

Belongs here: options and terminal output, one file for each group of commands. Does not: the work itself (`shop_run`,
`simulate`), the commands of a domain (its `commands.py`).
"""
