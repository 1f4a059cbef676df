"""RFM segments: chart and map check. SQL computes the scores."""
