"""Stages of the training of people in scenes: see ``coarse`` and ``fine``."""
