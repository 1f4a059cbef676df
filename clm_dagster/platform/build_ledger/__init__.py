"""The ledger of builds: versions of stored partitions, and which of them are stale."""
