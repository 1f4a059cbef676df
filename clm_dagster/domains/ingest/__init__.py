"""Ingestion of a shop's files into the contract tables: landing, versions, rejects, the ledger of deliveries."""
