"""Clips and people to predictions: the network and everything it is made of."""

from unish.network.config import PRESETS, UniSHConfig
from unish.network.unish import UniSH

__all__ = ["PRESETS", "UniSH", "UniSHConfig"]
