"""What stands in which kind of room: pieces against walls and in the middle, with their weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy import ndarray

from unish.lab.synthetic.textures import TextureBank, random_colour
from unish.lab.synthetic.things import rough, seats, storage, tables
from unish.lab.synthetic.things.stock import Piece
from unish.render.scene import Mesh

Rng = np.random.Generator
Maker = Callable[[Rng, TextureBank], Piece]
VARIANTS = 12
"""Pieces of each kind that a process makes; every clip changes what it takes of them."""


def _single(maker: Callable[[Rng, TextureBank], object]) -> Maker:
    def make(rng: Rng, bank: TextureBank) -> Piece:
        return [maker(rng, bank)]  # type: ignore[list-item]

    return make


CHAIR, STOOL, OFFICE_CHAIR, SOFA, BENCH, STACK, RAILING = (
    _single(maker)
    for maker in (
        seats.make_chair, seats.make_stool, seats.make_office_chair, seats.make_sofa, seats.make_bench,
        seats.make_stacked_chairs, rough.make_railing,
    )
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Theme:
    """Pieces with weights, along the walls and in the middle of a room."""

    walls: tuple[tuple[Maker, float], ...]
    middle: tuple[tuple[Maker, float], ...]


THEMES = {
    "kitchen": Theme(
        walls=(
            (storage.make_kitchen_row, 5),
            (storage.make_fridge, 2),
            (storage.make_shelf, 1),
            (storage.make_cabinet, 1),
            (rough.make_bin, 0.5),
            (rough.make_big_plant, 0.5),
            (rough.make_crates, 0.4),
        ),
        middle=(
            (tables.make_dining_set, 4),
            (CHAIR, 1),
            (STOOL, 1),
            (rough.make_floor_thing, 2),
            (rough.make_slatted_crate, 0.5),
            (storage.make_cabinet, 0.5),
        ),
    ),
    "living": Theme(
        walls=(
            (SOFA, 3),
            (storage.make_shelf, 3),
            (storage.make_cabinet, 2.5),
            (tables.make_low_table, 1),
            (rough.make_big_plant, 1.2),
            (rough.make_floor_lamp, 1),
            (CHAIR, 0.6),
            (tables.make_desk, 0.5),
            (rough.make_bicycle, 0.2),
        ),
        middle=(
            (tables.make_low_table, 3),
            (SOFA, 1.5),
            (tables.make_dining_set, 1.5),
            (rough.make_floor_thing, 3),
            (rough.make_clutter, 1.5),
            (STOOL, 0.7),
            (rough.make_big_plant, 0.5),
        ),
    ),
    "office": Theme(
        walls=(
            (tables.make_desk, 4),
            (storage.make_shelf, 3),
            (storage.make_cabinet, 2),
            (rough.make_crates, 0.7),
            (rough.make_big_plant, 0.7),
            (OFFICE_CHAIR, 1),
            (rough.make_bin, 0.4),
            (rough.make_coat_stand, 0.4),
        ),
        middle=(
            (tables.make_desk, 3),
            (OFFICE_CHAIR, 2),
            (tables.make_dining_set, 1.5),
            (rough.make_floor_thing, 2),
            (rough.make_clutter, 0.7),
            (rough.make_crates, 0.5),
        ),
    ),
    "bedroom": Theme(
        walls=(
            (tables.make_bed, 3),
            (storage.make_cabinet, 3),
            (tables.make_low_table, 1),
            (storage.make_shelf, 1.5),
            (tables.make_desk, 1),
            (CHAIR, 1),
            (rough.make_coat_stand, 0.8),
            (rough.make_floor_lamp, 0.7),
            (rough.make_big_plant, 0.5),
        ),
        middle=((rough.make_floor_thing, 4), (rough.make_clutter, 2), (CHAIR, 1), (STOOL, 0.6), (tables.make_bed, 0.6)),
    ),
    "workshop": Theme(
        walls=(
            (tables.make_workbench, 4),
            (storage.make_rack, 3),
            (rough.make_machine_tool, 1.5),
            (rough.make_crates, 1.5),
            (rough.make_ladder, 0.7),
            (rough.make_bicycle, 0.8),
            (storage.make_cabinet, 1),
            (rough.make_bin, 0.7),
        ),
        middle=(
            (tables.make_workbench, 1.5),
            (rough.make_machine_tool, 1.5),
            (rough.make_slatted_crate, 1.5),
            (rough.make_crates, 1.5),
            (STOOL, 1),
            (rough.make_floor_thing, 2),
            (rough.make_clutter, 2),
            (rough.make_ladder, 0.4),
            (rough.make_bicycle, 0.5),
        ),
    ),
    "class": Theme(
        walls=(
            (storage.make_shelf, 2),
            (storage.make_cabinet, 2),
            (STACK, 1.5),
            (BENCH, 1.5),
            (rough.make_coat_stand, 1),
            (rough.make_big_plant, 1),
            (tables.make_desk, 1),
            (rough.make_bin, 0.4),
        ),
        middle=(
            (tables.make_dining_set, 5),
            (CHAIR, 1.5),
            (tables.make_desk, 1),
            (rough.make_floor_thing, 1),
            (RAILING, 0.3),
        ),
    ),
    "plain": Theme(
        walls=(
            (BENCH, 2),
            (rough.make_big_plant, 1.5),
            (storage.make_cabinet, 1.5),
            (CHAIR, 1),
            (rough.make_bin, 1),
            (storage.make_shelf, 0.7),
            (rough.make_crates, 0.6),
            (RAILING, 0.5),
            (rough.make_coat_stand, 0.5),
            (rough.make_bicycle, 0.4),
        ),
        middle=(
            (BENCH, 1),
            (rough.make_big_plant, 1),
            (rough.make_bin, 0.6),
            (rough.make_floor_thing, 2),
            (CHAIR, 1),
            (RAILING, 1),
            (STACK, 0.5),
        ),
    ),
}


def sample_piece(rng: Rng, bank: TextureBank, makers: tuple[tuple[Maker, float], ...]) -> Piece:
    """A random piece of a weighted list: one of a few that a process makes once, stretched, mirrored and recoloured."""
    weights = np.array([weight for _, weight in makers], np.float64)
    maker = makers[int(rng.choice(len(makers), p=weights / weights.sum()))][0]
    piece = _make_variant(bank, maker, int(rng.integers(VARIANTS)))
    scale = rng.uniform((0.9, 0.96, 0.9), (1.12, 1.05, 1.1)).astype(np.float32)
    scale[0] *= rng.choice([-1, 1])  # mirrored; both sides of a face are drawn
    table = bank.kin[rng.integers(len(bank.kin))]
    channels = rng.permutation(3) if rng.random() < 0.25 else np.arange(3)
    tint = random_colour(rng, saturation=0.35, low=0.65, high=1.1).astype(np.float32)
    return [_vary(mesh, scale, table, channels, tint) for mesh in piece]


@lru_cache(maxsize=512)
def _make_variant(bank: TextureBank, maker: Maker, number: int) -> Piece:
    """The same for the same number, whatever else was made before."""
    return maker(np.random.default_rng([MAKER_NUMBERS[maker], number]), bank)


def _vary(mesh: Mesh, scale: ndarray, table: ndarray, channels: ndarray, tint: ndarray) -> Mesh:
    normals = mesh.normals / scale
    normals /= np.maximum(np.sqrt((normals**2).sum(1, keepdims=True)), np.float32(1e-9))
    lit = (normals**2).sum(1, keepdims=True) > 0.1
    colours = np.where(lit, np.minimum(mesh.colours[:, channels] * tint, np.float32(1)), mesh.colours)
    return replace(mesh, vertices=mesh.vertices * scale, normals=normals, colours=colours, layers=table[mesh.layers])


MAKER_NUMBERS: dict[Maker, int] = {}
for _theme in THEMES.values():
    for _maker, _ in (*_theme.walls, *_theme.middle):
        MAKER_NUMBERS.setdefault(_maker, len(MAKER_NUMBERS))
