"""The alert chain under torture: killed, cut off and misled, and nothing may be lost. `scripts/torture-alerts`."""
