"""The deployment: compose.yaml, its files, and the values for Helm."""
