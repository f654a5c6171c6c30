"""Targets for hypothesis: each module has functions named `fuzz_*`; the suite runs them bounded."""
