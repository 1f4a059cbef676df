"""Alerts: what is wrong in a shop, sent once to each channel.

Belongs here: what is wrong now (`collecting`), what was sent to each channel (`memory`), texts (`messages`), sending
(`channels`). Does not: repairing anything, checks themselves (the domains), the state of a shop for the terminal.
"""
