"""Looking after a deployment: freeing disk space, backup and restore."""
