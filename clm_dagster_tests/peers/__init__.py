"""Our statistics against the packages that people know: shap, mlxtend, statsforecast.

Belongs here: tests that need a package of the extra `peers`; `make peers` runs them in an environment of their own.
Does not: times, which the benchmarks measure.
"""
