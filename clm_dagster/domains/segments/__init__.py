"""RFM segments: the scores are SQL; here are the check of the map and the chart."""
