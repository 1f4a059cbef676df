"""Shops that `dg scaffold defs clm_dagster.ShopComponent NAME` writes in a checkout.

Belongs here: one folder a shop, which Git ignores and the wheel leaves out. Does not: code. Shops that are to last
belong into a project of their own, see "Several shops" in the documentation.
"""
