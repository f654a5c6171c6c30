"""Scores over time become decisions. Pure."""
