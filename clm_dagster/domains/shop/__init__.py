"""The shop's own totals: the rows are SQL; here is their chart."""
