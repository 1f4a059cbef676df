"""Exports of planned actions to the tools that carry them out: the difference to what was sent last."""
