"""Talks to a person at a terminal."""
