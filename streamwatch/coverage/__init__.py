"""Which live seconds were examined and which were not, and why. Pure."""
