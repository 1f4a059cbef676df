"""Alerts: what is wrong in a shop, told once to each channel.

Belongs here: what is wrong now (`collecting`), what each channel was told (`memory`), texts (`messages`), sending
(`channels`). Does not: repairing anything, checks themselves (the domains), the state of a shop for the terminal.
"""
