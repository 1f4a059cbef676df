"""The published copy: what people and dashboards read, so that they never meet a writer."""
