"""Identity: which customer ids are one person. SQL computes it."""
