"""Heads: what reads points, confidence and cameras from the tokens of the scene decoder."""
