"""Shelves, cupboards, kitchen rows, racks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from unish.lab.synthetic.forms import make_rods, make_rounded_box, make_rounded_boxes, make_tube
from unish.lab.synthetic.paints import sample_paint, sample_plain
from unish.lab.synthetic.shapes import Paint, join, make_box, make_boxes, make_cylinder, make_quad, make_turned, place
from unish.lab.synthetic.textures import TextureBank
from unish.lab.synthetic.things.deskware import make_book_row
from unish.lab.synthetic.things.stock import fill_row, place_all, scatter
from unish.lab.synthetic.things.tables import HANDLE, Piece, make_drawers, sample_count
from unish.render.scene import Mesh

Rng = np.random.Generator
STEEL = Paint(colour=(0.6, 0.61, 0.63))
BLACK = Paint(colour=(0.04, 0.04, 0.045))


def make_shelf(rng: Rng, bank: TextureBank, width: float | None = None, height: float | None = None) -> Piece:
    """Open shelf with boards at uneven heights, filled with books and mixed things."""
    width, depth = width or rng.uniform(0.5, 2.0), rng.uniform(0.22, 0.42)
    height = height or rng.uniform(0.7, 2.3)
    wood = (
        sample_paint(rng, bank, "wood", "planks", "noise", "cloudy", "metal")
        if rng.random() < 0.7
        else sample_plain(rng, 0.3)
    )
    rows = max(int(height / rng.uniform(0.26, 0.42)), 1)
    gaps = rng.uniform(0.75, 1.3, rows)
    levels = np.concatenate([[0.0], np.cumsum(gaps / gaps.sum())]) * (height - 0.05) + 0.04
    boards = np.stack([np.zeros(rows + 1), levels, np.zeros(rows + 1)], axis=1)
    pieces = [make_boxes(np.tile([width, 0.022, depth], (rows + 1, 1)), boards, wood)]
    if rng.random() < 0.7:
        sides = np.array([[s * (width / 2 + 0.011), height / 2, 0] for s in (-1, 1)])
        pieces.append(make_boxes(np.tile([0.022, height, depth], (2, 1)), sides, wood))
        if rng.random() < 0.6:
            pieces.append(make_box((width, height, 0.01), wood, (0, height / 2, -depth / 2)))
    else:
        posts = np.array([[x * width / 2, 0, z * depth / 2] for x in (-1, 1) for z in (-1, 1)])
        pieces.append(make_rods(posts, posts + np.array([0, height, 0]), 0.015, STEEL, 6))
    theme = [("living", "desk"), ("kitchen",), ("desk",), ("tools", "kitchen"), ("cloth", "living"), ("living",)][
        int(rng.integers(6))
    ]
    full = rng.random()
    for row in range(rows):
        gap = float(levels[row + 1] - levels[row]) - 0.04
        at = (0, levels[row] + 0.012, 0)
        chance = rng.random()
        if chance < 0.4:
            share = rng.uniform(0.3, 1.0)
            books = make_book_row(rng, bank, (width - 0.03) * share, gap * 0.97)
            pieces.append(place(books, (-(1 - share) / 2 * (width - 0.04), at[1], -0.02)))
        elif chance < 0.5 + 0.5 * full:
            pieces.append(place(fill_row(rng, bank, theme, width - 0.04, depth, gap), at))
    return [join(pieces), *scatter(rng, bank, theme, (width, depth), height, int(rng.integers(0, 5)), 0.35)]


def make_wall_shelf(rng: Rng, bank: TextureBank) -> Piece:
    """Boards on brackets with things on them; to hang on a wall, lowest board at y = 0."""
    width, depth = rng.uniform(0.4, 1.6), rng.uniform(0.15, 0.28)
    pieces = []
    wood = sample_paint(rng, bank, "wood", "planks", "metal", "noise")
    for level in range(int(rng.integers(1, 4))):
        y = level * 0.34
        pieces.append(make_box((width, 0.022, depth), wood, (0, y + 0.011, 0)))
        filled = (
            make_book_row(rng, bank, width * 0.8, 0.28)
            if rng.random() < 0.3
            else fill_row(rng, bank, ("living", "kitchen", "desk"), width, depth, 0.3)
        )
        pieces.append(place(filled, (0, y + 0.022, 0)))
    return [join(pieces)]


def make_cabinet(rng: Rng, bank: TextureBank) -> Piece:
    """Wardrobe, sideboard, chest of drawers, filing cabinet, with things on top."""
    width, depth = rng.uniform(0.4, 1.9), rng.uniform(0.32, 0.62)
    height = rng.choice([rng.uniform(0.45, 1.1), rng.uniform(0.7, 0.95), rng.uniform(1.5, 2.25)])
    piece = [make_drawers(rng, bank, width, depth, height)]
    groups = [("living", "desk"), ("kitchen",), ("cloth", "desk"), ("tools", "desk")][int(rng.integers(4))]
    count = sample_count(rng, width * depth) if height < 1.4 else int(rng.integers(0, 5))
    return piece + scatter(rng, bank, groups, (width, depth), height, count, 0.6 if height < 1.4 else 0.3)


def make_kitchen_row(rng: Rng, bank: TextureBank, width: float | None = None) -> Piece:
    """Base units with a worktop, stove, oven, sink, upper cupboards, hood, tiles behind, and much on it."""
    unit = rng.uniform(0.45, 0.62)
    count = max(int((width or rng.uniform(1.2, 3.8)) / unit), 2)
    width, depth, height = count * unit, rng.uniform(0.56, 0.66), rng.uniform(0.84, 0.95)
    front = sample_paint(rng, bank) if rng.random() < 0.5 else sample_plain(rng, 0.5, 0.2)
    body = sample_plain(rng, 0.15, 0.5)
    x = (np.arange(count) + 0.5) * unit - width / 2
    pieces = [
        make_box((width, height - 0.14, depth - 0.05), body, (0, height / 2 + 0.03, -0.025)),
        make_box((width, 0.1, depth - 0.12), BLACK, (0, 0.05, -0.04)),
        make_rounded_box(
            (width + 0.03, 0.04, depth),
            0.006,
            sample_paint(rng, bank, "marble", "wood", "terrazzo", "noise", "metal"),
            (0, height - 0.02, 0),
        ),
        *_make_fronts(rng, x, unit, 0.12, height - 0.05, depth / 2 - 0.02, front),
    ]
    stove, sink = (float(v) for v in rng.choice(x, 2, replace=False))
    pieces += [*_make_stove(rng, stove, unit, height, depth), *_make_sink(rng, sink, unit, height, depth)]
    if rng.random() < 0.6:
        tiles = sample_paint(rng, bank, "tiles", "subway", "marble", "checker", tile=(0.4, 1.0), saturation=0.5)
        pieces.append(make_quad((-width / 2, height, -depth / 2 + 0.004), (width, 0, 0), (0, 0.55, 0), tiles))
    piece = [join(pieces)]
    for at in x:
        if abs(at - sink) > 0.01:
            clear = abs(at - stove) > 0.01
            things = scatter(
                rng,
                bank,
                ("kitchen",),
                (unit, depth * 0.9),
                height + 0.012 * (not clear),
                int(rng.integers(1, 8)),
                0.42,
            )
            piece += place_all(things, (at, 0, 0))
    if rng.random() < 0.7:
        piece += _make_uppers(rng, bank, x, unit, stove, depth, front, body)
    return piece


def _make_fronts(rng: Rng, x: np.ndarray, unit: float, low: float, high: float, z: float, paint: Paint) -> list[Mesh]:
    """Doors and drawers of a row of units."""
    sizes, centres = [], []
    for at in x:
        edges = np.linspace(low, high, 1 + int(rng.choice([1, 1, 2, 4])))
        for bottom, top in pairwise(edges):
            sizes.append((unit - 0.008, top - bottom - 0.008, 0.02))
            centres.append((at, (bottom + top) / 2, z))
    box, middle = np.array(sizes), np.array(centres)
    grips = middle + np.stack([0 * box[:, 0], box[:, 1] / 2 - 0.04, np.full(len(box), 0.025)], axis=1)
    bars = make_rounded_boxes(np.tile([rng.uniform(0.03, 0.3), 0.014, 0.025], (len(box), 1)), 0.006, grips, HANDLE)
    return [make_boxes(box, middle, paint), bars]


def _make_stove(rng: Rng, x: float, unit: float, height: float, depth: float) -> list[Mesh]:
    """Hob with plates above an oven with window, bar and knobs."""
    plates = [
        place(make_turned([(0.09, 0), (0.09, 0.008), (0.03, 0.01), (0, 0.01)], Paint(colour=(0.13, 0.12, 0.12)), 14),
              (x + a * unit * 0.23, height + 0.004, b * depth * 0.2)) for a in (-1, 1) for b in (-1, 1)
    ]  # fmt: skip
    knobs = np.stack(
        [x + np.linspace(-0.35, 0.35, 5) * unit, np.full(5, height - 0.1), np.full(5, depth / 2 + 0.005)], axis=1
    )
    face = BLACK if rng.random() < 0.6 else STEEL
    return [
        make_box((unit, 0.012, depth * 0.9), BLACK, (x, height + 0.002, 0)),
        *plates,
        make_box((unit - 0.01, height - 0.18, 0.03), face, (x, height / 2 + 0.03, depth / 2 - 0.012)),
        make_box((unit * 0.75, 0.26, 0.004), BLACK, (x, height * 0.48, depth / 2 + 0.006)),
        make_rounded_box((unit * 0.8, 0.02, 0.025), 0.009, STEEL, (x, height * 0.76, depth / 2 + 0.035)),
        make_rounded_boxes(np.full((5, 3), 0.035), 0.012, knobs, STEEL),
    ]


def _make_sink(rng: Rng, x: float, unit: float, height: float, depth: float) -> list[Mesh]:
    """Rim, dark bowl and a bent tap."""
    angle = np.linspace(np.pi, 0, 9)
    arc = np.stack(
        [0 * angle, height + 0.25 + 0.09 * np.sin(angle), -depth * 0.3 + 0.09 + 0.09 * np.cos(angle)], axis=1
    )
    path = np.concatenate([[[0, height, -depth * 0.3]], arc, arc[-1:] - [[0, 0.05, 0]]])
    return [
        make_rounded_box((unit * 0.9, 0.012, depth * 0.7), 0.005, STEEL, (x, height + 0.004, 0.02)),
        make_box((unit * 0.75, 0.003, depth * 0.52), Paint(colour=(0.3, 0.31, 0.32)), (x, height + 0.011, 0.02)),
        make_tube(path + np.array([x, 0, 0]), 0.012, STEEL, 7),
        place(make_cylinder(0.02, 0.05, STEEL, 8), (x + 0.07, height, -depth * 0.3)),
    ]


def _make_uppers(
    rng: Rng, bank: TextureBank, x: np.ndarray, unit: float, stove: float, depth: float, front: Paint, body: Paint
) -> Piece:
    """Upper cupboards in the open or closed kind, a hood over the stove."""
    low, tall, deep = rng.uniform(1.35, 1.5), rng.uniform(0.55, 0.85), rng.uniform(0.3, 0.38)
    back = -depth / 2 + deep / 2
    closed = [at for at in x if abs(at - stove) > 0.01 and rng.random() < 0.8]
    piece: Piece = []
    if closed:
        at = np.array(closed)
        boxes = make_boxes(
            np.tile([unit, tall, deep], (len(at), 1)), np.stack([at, 0 * at + low + tall / 2, 0 * at + back], 1), body
        )
        fronts = _make_fronts(rng, at, unit, low, low + tall, back + deep / 2 + 0.01, front)
        piece.append(join([boxes, *fronts]))
    if rng.random() < 0.7:
        hood = [
            make_rounded_box((unit, 0.06, depth * 0.8), 0.01, STEEL, (stove, low + 0.1, -depth * 0.1)),
            make_box((unit * 0.45, tall - 0.1, 0.25), STEEL, (stove, low + 0.1 + tall / 2, -depth / 2 + 0.14)),
        ]
        piece.append(join(hood))
    return piece


def make_fridge(rng: Rng, bank: TextureBank) -> Piece:
    """Fridge or washing machine, with magnets and notes."""
    paint = sample_plain(rng, 0.15, 0.6) if rng.random() < 0.6 else sample_paint(rng, bank, "metal")
    if rng.random() < 0.35:
        size = (0.6, 0.85, 0.58)
        angle = np.linspace(0, 2 * np.pi, 17)
        ring = np.stack([0.17 * np.cos(angle), 0.42 + 0.17 * np.sin(angle), np.full(17, 0.3)], axis=1)
        pieces = [make_rounded_box(size, 0.02, paint, (0, 0.43, 0)), make_tube(ring, 0.03, sample_plain(rng, 0.1), 6),
                  make_box((0.5, 0.09, 0.01), BLACK, (0, 0.77, 0.29))]  # fmt: skip
        return [join(pieces), *scatter(rng, bank, ("kitchen", "cloth"), (0.6, 0.55), 0.855, 5, 0.4)]
    width, height, depth = rng.uniform(0.55, 0.85), rng.uniform(1.3, 2.0), rng.uniform(0.58, 0.7)
    split = height * rng.uniform(0.3, 0.7)
    pieces = [make_box((width, height, depth - 0.06), paint, (0, height / 2, -0.03))]
    for low, high in ((0.06, split), (split, height)):
        pieces.append(
            make_rounded_box((width, high - low - 0.01, 0.06), 0.02, paint, (0, (low + high) / 2, depth / 2 - 0.03))
        )
        pieces.append(
            make_rounded_box(
                (0.025, min(0.35, high - low - 0.1), 0.04),
                0.01,
                STEEL,
                (width * 0.42, (low + high) / 2, depth / 2 + 0.02),
            )
        )
    count = int(rng.integers(0, 9))
    notes = np.stack(
        [
            rng.uniform(-0.4, 0.3, count) * width,
            rng.uniform(0.5, 0.95, count) * height,
            np.full(count, depth / 2 + 0.003),
        ],
        axis=1,
    )
    paper = Paint(layer=bank.pick(rng, "text", "poster", "image"), tile=0.2)
    pieces.append(make_boxes(rng.uniform((0.03, 0.03, 0.004), (0.2, 0.25, 0.006), (count, 3)), notes, paper))
    return [join(pieces), *scatter(rng, bank, ("kitchen",), (width, depth * 0.8), height, int(rng.integers(0, 5)), 0.3)]


def make_rack(rng: Rng, bank: TextureBank) -> Piece:
    """Storage rack of posts and boards full of boxes and tools."""
    width, depth, height = rng.uniform(0.8, 2.2), rng.uniform(0.35, 0.6), rng.uniform(1.4, 2.3)
    rows = int(rng.integers(2, 5))
    levels = np.linspace(0.1, height - 0.02, rows + 1)
    board = sample_paint(rng, bank, "metal", "wood", "planks")
    posts = np.array([[x * width / 2, 0, z * depth / 2] for x in (-1, 1) for z in (-1, 1)])
    pieces = [
        make_boxes(np.tile([width, 0.03, depth], (rows + 1, 1)), levels[:, None] * [0, 1.0, 0], board),
        make_boxes(
            np.tile([0.045, height, 0.045], (4, 1)), posts + np.array([0, height / 2, 0]), sample_plain(rng, 0.8)
        ),
    ]
    for row in range(rows):
        gap = float(levels[row + 1] - levels[row]) - 0.05
        groups = [("tools", "desk"), ("floor",), ("desk", "desk", "kitchen"), ("cloth", "tools")][int(rng.integers(4))]
        pieces += place_all([fill_row(rng, bank, groups, width - 0.06, depth, gap)], (0, levels[row] + 0.016, 0))
    return [join(pieces)]
