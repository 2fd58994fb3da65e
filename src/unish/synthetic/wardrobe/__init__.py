"""Clothes, hair, shoes and carried things with a geometry of their own, for posed bodies."""

from __future__ import annotations

from unish.synthetic.wardrobe.layers import PART_STEP, Part
from unish.synthetic.wardrobe.outfit import Outfit

__all__ = ["PART_STEP", "Outfit", "Part"]
