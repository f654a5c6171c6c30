"""Real, in-memory implementations of the contracts."""
