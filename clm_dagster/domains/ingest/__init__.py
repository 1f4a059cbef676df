"""From a shop's own files to the contract: landing, merging of versions, rejects, the ledger."""
