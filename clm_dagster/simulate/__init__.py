"""A shop that never was, whose truth is known: for the demo, for sizing hardware, for proving models."""
