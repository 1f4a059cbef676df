"""Tables that Python writes, a snapshot at a time."""
