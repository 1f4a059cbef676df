"""One folder for each capability: what a data team switches on, reads and backfills.

Belongs here: a domain's tables, charts, checks, settings and models. Does not: anything that two domains share (see
`platform`, `statistics`). No domain imports another: they meet in tables.
"""
