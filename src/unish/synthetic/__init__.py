"""Synthetic clips with exact truth: places, people, cameras, pictures."""
