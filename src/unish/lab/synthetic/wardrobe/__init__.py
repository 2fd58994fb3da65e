"""Clothes, hair, shoes and carried things with a geometry of their own, for posed bodies."""

from __future__ import annotations

from unish.lab.synthetic.wardrobe.layers import PART_STEP, Part
from unish.lab.synthetic.wardrobe.outfit import Outfit

__all__ = ["PART_STEP", "Outfit", "Part"]
