"""The harmless test pattern, synthetic streams, and the small servers of demo, tests and bench."""
