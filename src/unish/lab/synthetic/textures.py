"""A bank of tileable textures made from random numbers, and optionally from a folder of images."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Int16, UInt8
from numpy import ndarray
from PIL import Image

from unish.lab.synthetic.materials import MATERIALS
from unish.lab.synthetic.panoramas import Sky, develop_sky, read_radiance
from unish.lab.synthetic.patterns import PATTERNS, SIDE, random_colour

__all__ = ["FLOOR_KINDS", "GROUND_KINDS", "SIDE", "WALL_KINDS", "TextureBank", "make_texture_bank", "random_colour"]

Kind = str
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
PER_KIND = {
    "noise": 12, "cloudy": 8, "marble": 6, "planks": 12, "tiles": 10, "bricks": 8, "checker": 4, "stripes": 6,
    "stones": 8, "grass": 8, "asphalt": 6, "carpet": 8, "poster": 16, "books": 6, "facade": 8, "text": 4,
    "clouds": 4,
    "fabric": 8, "knit": 4, "wood": 10, "terrazzo": 4, "concrete": 6, "plaster": 6, "metal": 4, "wallpaper": 8,
    "rug": 6, "gravel": 3, "leaves": 4, "graffiti": 3, "wicker": 3, "subway": 5, "parquet": 4, "label": 10, "screen": 6,
    "paving": 4,
}  # fmt: skip
FLOOR_KINDS = (
    "planks", "planks", "parquet", "tiles", "carpet", "marble", "checker", "noise", "concrete", "terrazzo",
    "fabric", "wood", "image",
)  # fmt: skip
WALL_KINDS = (
    "plaster",
    "cloudy",
    "plaster",
    "wallpaper",
    "concrete",
    "bricks",
    "stripes",
    "tiles",
    "noise",
    "subway",
    "image",
)
GROUND_KINDS = ("grass", "asphalt", "stones", "gravel", "paving", "concrete", "leaves", "asphalt", "paving", "grass")


class TextureBank:
    """Texture layers by kind.

    Attributes:
        layers: (L, 256, 256, 3) sRGB.
        skies: panoramas among them, kind ``panorama``.
        kin: (64, L + 1) for each of 64 recolourings the layer of the same kind that takes the place of a layer; the
            last column keeps −1 (no texture).
    """

    def __init__(self, layers: UInt8[ndarray, "L S S 3"], kinds: tuple[Kind, ...], skies: tuple[Sky, ...] = ()) -> None:
        self.layers = layers
        self.skies = skies
        self.kin = _sample_kin(len(layers), kinds)
        self._by_kind = {kind: np.flatnonzero([k == kind for k in kinds]) for kind in set(kinds)}

    def pick(self, rng: np.random.Generator, *kinds: Kind) -> int:
        """A random layer of one of the kinds (kinds that the bank lacks are passed over)."""
        present = [kind for kind in kinds if kind in self._by_kind]
        return int(rng.choice(self._by_kind[present[rng.integers(len(present))]]))


def _sample_kin(num_layers: int, kinds: tuple[Kind, ...]) -> Int16[ndarray, "64 _"]:
    """Permutations within kinds, the same for every bank of these kinds."""
    rng = np.random.default_rng(13)
    tables = np.tile(np.append(np.arange(num_layers), -1).astype(np.int16), (64, 1))
    for kind in sorted(set(kinds)):
        own = np.flatnonzero([k == kind for k in kinds])
        for table in tables:
            table[own] = rng.permutation(own)
    return tables


@lru_cache(maxsize=2)
def make_texture_bank(seed: int, folder: str | None = None) -> TextureBank:
    """The bank that every clip of ``seed`` draws from; images found under ``folder`` join it as kind ``image``,
    Radiance panoramas (.hdr) as skies.

    Raises:
        InputError: a panorama cannot be read.
    """
    makers = {**PATTERNS, **MATERIALS}
    layers, kinds = [], []
    for number, (kind, count) in enumerate(PER_KIND.items()):
        rng = np.random.default_rng([seed, 7, number])
        for _ in range(count):
            layers.append((np.clip(makers[kind](rng), 0, 1) * 255 + 0.5).astype(np.uint8))
            kinds.append(kind)
    skies: list[Sky] = []
    for path in sorted(Path(folder).rglob("*")) if folder else []:
        if path.suffix.lower() in IMAGE_SUFFIXES:
            layers.append(np.asarray(Image.open(path).convert("RGB").resize((SIDE, SIDE))))
            kinds.append("image")
        elif path.suffix.lower() == ".hdr":
            picture, sky = develop_sky(read_radiance(path), SIDE, len(layers))
            layers.append(picture)
            kinds.append("panorama")
            skies.append(sky)
    return TextureBank(np.stack(layers), tuple(kinds), tuple(skies))
