"""Metrics, health and logs that speak once when something changes."""
