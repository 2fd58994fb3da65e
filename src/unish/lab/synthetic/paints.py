"""Looks of surfaces drawn at random: plain, textured, cloth, pictures."""

from __future__ import annotations

import numpy as np

from unish.lab.synthetic.shapes import Paint
from unish.lab.synthetic.textures import TextureBank, random_colour

Rng = np.random.Generator
CLOTHS = ("fabric", "knit", "carpet", "noise", "stripes", "cloudy", "checker", "wallpaper")
SOLIDS = ("planks", "wood", "noise", "cloudy", "wood", "marble", "metal", "terrazzo", "plaster", "image")


def sample_paint(
    rng: Rng, bank: TextureBank, *kinds: str, tile: tuple[float, float] = (0.6, 1.6), saturation: float = 0.5
) -> Paint:
    """A surface: textured with one of the kinds, sometimes tinted; or, without kinds, mostly plain."""
    if not kinds and rng.random() < 0.5:
        return Paint(colour=tuple(random_colour(rng, saturation=saturation)))
    tint = np.ones(3) if rng.random() < 0.5 else random_colour(rng, saturation=saturation, low=0.6, high=1.0)
    return Paint(colour=tuple(tint), layer=bank.pick(rng, *(kinds or SOLIDS)), tile=rng.uniform(*tile))


def sample_plain(rng: Rng, saturation: float = 0.5, low: float = 0.05) -> Paint:
    """One colour."""
    return Paint(colour=tuple(random_colour(rng, saturation=saturation, low=low)))


def sample_cloth(rng: Rng, bank: TextureBank) -> Paint:
    """Woven, knitted or printed cloth."""
    return sample_paint(rng, bank, *CLOTHS, tile=(0.2, 0.9), saturation=0.8)


def sample_picture_paint(rng: Rng, bank: TextureBank, width: float, *kinds: str) -> Paint:
    """A picture that fills a surface ``width`` metres wide."""
    return Paint(
        colour=(1.0, 1.0, 1.0), layer=bank.pick(rng, *(kinds or ("poster", "poster", "text", "image"))), tile=width
    )
