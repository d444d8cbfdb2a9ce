"""The way in for machines: the JSON API, the health checks and metrics, the export."""
