"""Report: what changed, why, what to do and what not to trust, in plain sentences and on one page."""
