"""A simulated shop with known ground truth: for the demo, for sizing hardware, and for validating models.

Belongs here: generating the shop's deliveries and its ground truth. Does not: loading or analysing them.
"""
