"""Tables written by Python, one snapshot at a time."""
