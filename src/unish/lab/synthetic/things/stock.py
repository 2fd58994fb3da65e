"""Small things made once per process and then copied with other sizes, colours and turns: clutter at little cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.lab.synthetic.shapes import Vector, join, place, take
from unish.lab.synthetic.textures import TextureBank, random_colour
from unish.lab.synthetic.things.deskware import DESKWARE
from unish.lab.synthetic.things.household import CLOTHS, FLOORWARE, LIVINGWARE, TOOLS
from unish.lab.synthetic.things.kitchenware import KITCHENWARE
from unish.render.scene import Mesh

Rng = np.random.Generator
Piece = list[Mesh]
"""Several meshes, each a prop of its own: a body, then what stands on or beside it."""
Maker = Callable[[Rng, TextureBank], Mesh]
GROUPS: dict[str, tuple[Maker, ...]] = {
    "kitchen": KITCHENWARE,
    "desk": DESKWARE,
    "living": LIVINGWARE,
    "tools": TOOLS,
    "cloth": CLOTHS,
    "floor": FLOORWARE,
}
VARIANTS = 4
"""Copies of each maker's thing in a stock; an instance is scaled, tinted, turned and re-textured on top."""
TALL = 0.22
"""Things that stand higher than this on a surface are props of their own, so that cameras may pass beside them."""


class Stock:
    """Ready-made small things of one texture bank."""

    def __init__(self, bank: TextureBank) -> None:
        rng = np.random.default_rng([len(bank.layers), 11])
        made: dict[Maker, list[Mesh]] = {}
        for maker in sorted({maker for group in GROUPS.values() for maker in group}, key=lambda m: m.__name__):
            made[maker] = [maker(rng, bank) for _ in range(VARIANTS)]
        self._groups = {name: [mesh for maker in makers for mesh in made[maker]] for name, makers in GROUPS.items()}
        self._num_layers = len(bank.layers)

    def sample(self, rng: Rng, group: str) -> Mesh:
        """A copy of something of the group, changed at random."""
        things = self._groups[group]
        mesh = things[int(rng.integers(len(things)))]
        scale = (rng.uniform(0.75, 1.3) * rng.uniform(0.85, 1.15, 3)).astype(np.float32)
        if rng.random() < 0.5:
            scale[0] = -scale[0]  # mirrored; both sides of a face are drawn
        normals = mesh.normals / scale
        normals /= np.maximum(np.sqrt((normals**2).sum(1, keepdims=True)), np.float32(1e-9))
        tint = random_colour(rng, saturation=0.5, low=0.6, high=1.1).astype(np.float32)
        colours = np.minimum(mesh.colours * tint, np.float32(1)) if rng.random() < 0.7 else mesh.colours.copy()
        layers = mesh.layers.copy()
        if rng.random() < 0.3:
            layers[layers >= 0] = rng.integers(self._num_layers)
        return take(mesh, vertices=mesh.vertices * scale, normals=normals, colours=colours, layers=layers)


@lru_cache(maxsize=2)
def open_stock(bank: TextureBank) -> Stock:
    """The stock of a bank, made once per process."""
    return Stock(bank)


def scatter(
    rng: Rng,
    bank: TextureBank,
    groups: Sequence[str],
    size: tuple[float, float],
    height: float,
    count: int,
    clearance: float = 9.0,
) -> list[Mesh]:
    """Things that do not overlap on a rectangle (x, z extent) around the origin at ``height``.

    The first mesh holds all low things; each tall one follows on its own. ``clearance``: greatest height of a thing.
    Empty surfaces give no mesh.
    """
    stock = open_stock(bank)
    low: list[Mesh] = []
    tall: list[Mesh] = []
    taken: list[tuple[ndarray, ndarray]] = []
    half = np.array(size) / 2
    for _ in range(count):
        mesh = stock.sample(rng, groups[int(rng.integers(len(groups)))])
        yaw = rng.normal(0, 0.35) if rng.random() < 0.7 else rng.uniform(0, 2 * np.pi)
        mesh = place(mesh, (0, 0, 0), yaw)
        lowest, highest = mesh.vertices.min(0), mesh.vertices.max(0)
        room = half - (highest - lowest)[[0, 2]] / 2
        if (room <= 0).any() or highest[1] - lowest[1] > clearance:
            continue
        at = _find_gap(rng, taken, room, (highest - lowest)[[0, 2]] / 2)
        if at is None:
            continue
        middle = (lowest + highest) / 2
        moved = place(mesh, (at[0] - middle[0], height - lowest[1], at[1] - middle[2]))
        (tall if highest[1] - lowest[1] > TALL else low).append(moved)
    return [*([join(low)] if low else []), *tall]


def _find_gap(
    rng: Rng, taken: list[tuple[ndarray, ndarray]], room: Float[ndarray, "2"], half: Float[ndarray, "2"]
) -> Float[ndarray, "2"] | None:
    """A place on the surface whose rectangle is still free; it is then noted as taken."""
    tries = rng.uniform(-1, 1, (6, 2)) * room
    if taken:
        centres, halves = (np.array(part) for part in zip(*taken, strict=True))
        hit = (np.abs(tries[:, None] - centres) < halves + half).all(axis=2).any(axis=1)
        tries = tries[~hit]
    if len(tries) == 0:
        return None
    taken.append((tries[0], half))
    return tries[0]


def fill_row(rng: Rng, bank: TextureBank, groups: Sequence[str], width: float, depth: float, clearance: float) -> Mesh:
    """Things side by side along x, as on a shelf board, none higher than ``clearance``."""
    stock, pieces = open_stock(bank), []
    x = -width / 2 + rng.uniform(0, 0.1)
    for _ in range(40):
        mesh = stock.sample(rng, groups[int(rng.integers(len(groups)))])
        lowest, highest = mesh.vertices.min(0), mesh.vertices.max(0)
        extent = highest - lowest
        if extent[1] > clearance or extent[2] > depth:
            shrink = np.float32(min(clearance / extent[1], depth / extent[2]))
            if shrink < 0.45:
                continue
            mesh = take(mesh, vertices=mesh.vertices * shrink)
            lowest, highest, extent = lowest * shrink, highest * shrink, extent * shrink
        if x + extent[0] > width / 2:
            break
        z = rng.uniform(-1, 1) * (depth - extent[2]) / 2
        middle = (lowest + highest) / 2
        pieces.append(place(mesh, (x - lowest[0], -lowest[1], z - middle[2])))
        x += extent[0] + rng.exponential(0.03) + (rng.random() < 0.15) * 0.2
    return join(pieces)


def place_all(meshes: Sequence[Mesh], position: Vector, yaw: float = 0.0) -> list[Mesh]:
    """Every mesh turned about the vertical, then moved."""
    return [place(mesh, position, yaw) for mesh in meshes]
