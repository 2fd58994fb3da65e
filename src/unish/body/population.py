"""What the first betas of the free body mean, for those who draw people."""

from __future__ import annotations

STATURE_BETA, AGE_BETA = 0, 1
"""Betas of the *free* body: stature of adults, and age (0 for adults, −1 about 1.45 m, −3 about 0.95 m)."""
