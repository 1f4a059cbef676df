"""The build ledger: versions of stored partitions, and which of them are stale."""
