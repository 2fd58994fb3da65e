"""Bulky things of workshops, entrances and yards: crates, bins, bicycles, ladders, railings, machines, lamps."""

from __future__ import annotations

import numpy as np

from unish.lab.synthetic.forms import make_cushion, make_rods, make_rounded_box, make_tube
from unish.lab.synthetic.paints import sample_cloth, sample_paint, sample_plain
from unish.lab.synthetic.shapes import (
    Paint,
    join,
    make_box,
    make_boxes,
    make_cylinder,
    make_turned,
    place,
    tilt,
    transform,
)
from unish.lab.synthetic.textures import TextureBank, random_colour
from unish.lab.synthetic.things.household import make_pot_plant
from unish.lab.synthetic.things.stock import Piece, open_stock, scatter
from unish.render.scene import Mesh

Rng = np.random.Generator
DARK = Paint(colour=(0.07, 0.07, 0.075))


def make_crates(rng: Rng, bank: TextureBank) -> Piece:
    """Boxes of one or several kinds on and beside each other."""
    columns, paint, pieces = int(rng.integers(1, 4)), sample_paint(rng, bank, "planks", "label", "cloudy", "metal"), []
    x = 0.0
    for _ in range(columns):
        size, y = rng.uniform(0.25, 0.6, 3), 0.0
        for _ in range(int(rng.integers(1, 5))):
            size = size * rng.uniform(0.8, 1.05, 3)
            if y + size[1] > 1.9:
                break
            if rng.random() < 0.4:
                paint = sample_paint(rng, bank, "planks", "label", "text", "wood", "cloudy", "poster", "image")
            box = make_rounded_box(size, 0.008, paint, (0, size[1] / 2, 0))
            pieces.append(place(box, (x + size[0] / 2, y, rng.normal(0, 0.03)), rng.normal(0, 0.08)))
            y += size[1]
        x += size[0] + 0.06
    return [place(join(pieces), (-x / 2, 0, 0))]


def make_slatted_crate(rng: Rng, bank: TextureBank) -> Piece:
    """Open crate or pallet of boards."""
    width, depth, height = rng.uniform(0.4, 1.2), rng.uniform(0.3, 0.8), rng.uniform(0.14, 0.5)
    wood, rows = sample_paint(rng, bank, "wood", "planks"), max(int(height / 0.11), 1)
    sizes, at = [], []
    for row in range(rows):
        y = (row + 0.5) * height / rows
        for side in (-1, 1):
            sizes += [(width, height / rows * 0.7, 0.015), (0.015, height / rows * 0.7, depth)]
            at += [(0, y, side * depth / 2), (side * width / 2, y, 0)]
    slats = max(int(width / 0.12), 2)
    for x in np.linspace(-0.45, 0.45, slats) * width:
        sizes.append((0.09, 0.015, depth))
        at.append((x, 0.02, 0))
    things = scatter(rng, bank, ("kitchen", "tools", "cloth"), (width * 0.9, depth * 0.9), 0.03, 6, height + 0.1)
    return [join([make_boxes(np.array(sizes), np.array(at), wood), *things])]


def make_ladder(rng: Rng, bank: TextureBank) -> Piece:
    """Step ladder with rungs."""
    height, width, spread = rng.uniform(0.8, 2.1), rng.uniform(0.35, 0.5), rng.uniform(0.3, 0.7)
    paint = sample_paint(rng, bank, "metal", "wood")
    tops = np.array([[-width * 0.4, height, 0], [width * 0.4, height, 0]])
    feet = np.array([[-width / 2, 0, spread / 2], [width / 2, 0, spread / 2]])
    rear = feet * [1, 1, -1]
    t = np.arange(0.22, height, 0.24)[:, None] / height
    steps = [feet[s] * (1 - t) + tops[s] * t for s in (0, 1)]
    pieces = [
        make_rods(np.concatenate([feet, rear]), np.concatenate([tops, tops]), 0.02, paint, 5),
        make_rods(steps[0], steps[1], 0.018, paint, 5),
    ]
    return [join(pieces)]


def make_bicycle(rng: Rng, bank: TextureBank) -> Piece:
    """Bicycle with spokes, leaning a little."""
    paint, radius = sample_plain(rng, 0.95), rng.uniform(0.28, 0.34)
    angle = np.linspace(0, 2 * np.pi, 25)
    circle = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    rear, front = np.array([-0.5, radius, 0]), np.array([0.52, radius, 0])
    pieces = []
    for hub in (rear, front):
        pieces.append(make_tube(circle * radius * 0.97 + hub, 0.016, DARK, 5))
        pieces.append(
            make_rods(
                np.tile(hub, (12, 1)), circle[:24:2] * radius * 0.95 + hub, 0.0022, Paint(colour=(0.7, 0.7, 0.7)), 3
            )
        )
    crank, saddle, head = (
        np.array([-0.06, radius - 0.05, 0]),
        np.array([-0.2, radius + 0.45, 0]),
        np.array([0.34, radius + 0.42, 0]),
    )
    starts = np.array([rear, rear, crank, crank, saddle, head])
    ends = np.array([crank, saddle, saddle, head, head, front])
    pieces.append(make_rods(starts, ends, 0.016, paint, 6))
    bar = np.array([[0.3, radius + 0.58, -0.28], [0.4, radius + 0.58, 0], [0.3, radius + 0.58, 0.28]])
    pieces += [make_tube(bar, 0.013, DARK, 5), make_rods(head[None], bar[1:2], 0.014, DARK, 5),
               place(make_cushion((0.13, 0.035, 0.07), DARK, 0.8, 0.8, 5, 11), saddle + np.array([0, 0.1, 0])),
               make_rods(saddle[None], saddle[None] + [0, 0.09, 0], 0.013, DARK, 5)]  # fmt: skip
    return [tilt(join(pieces), 0.12)]


def make_railing(rng: Rng, bank: TextureBank, length: float | None = None, height: float | None = None) -> Mesh:
    """Bars between rails."""
    length, height = length or rng.uniform(0.8, 3.0), height or rng.uniform(0.8, 1.1)
    paint = sample_paint(rng, bank, "metal", "wood", "noise") if rng.random() < 0.5 else sample_plain(rng, 0.4)
    x = np.linspace(-0.5, 0.5, max(int(length / rng.uniform(0.09, 0.2)), 3)) * length
    if rng.random() < 0.3:
        y = np.linspace(0.12, height - 0.08, int(rng.integers(3, 7)))
        starts = np.stack([np.full(len(y), -length / 2), y, 0 * y], axis=1)
        bars = make_rods(starts, starts + np.array([length, 0, 0]), 0.008, paint, 5)
        x = x[:: max(len(x) // 4, 1)]
        bars = join(
            [bars, make_rods(np.stack([x, 0 * x, 0 * x], 1), np.stack([x, 0 * x + height, 0 * x], 1), 0.018, paint, 6)]
        )
    else:
        foot = np.stack([x, 0 * x, 0 * x], axis=1)
        bars = make_rods(foot, foot + np.array([0, height, 0]), rng.uniform(0.006, 0.012), paint, 5)
    return join([bars, make_rounded_box((length, 0.045, 0.05), 0.02, paint, (0, height, 0))])


def make_bin(rng: Rng, bank: TextureBank) -> Piece:
    """Wheeled rubbish bin, barrel or column."""
    if rng.random() < 0.5:
        radius, height = rng.uniform(0.2, 0.32), rng.uniform(0.5, 1.0)
        paint = sample_paint(rng, bank, "metal", "wood", "noise")
        ribs = [(radius * (1.04 if i % 3 == 1 else 1.0), height * i / 9) for i in range(10)]
        return [make_turned([(0, 0), *ribs, (0, height)], paint, 18)]
    paint = sample_plain(rng, 0.8)
    return [join([
        make_rounded_box((0.5, 0.85, 0.52), 0.04, paint, (0, 0.5, 0)),
        make_rounded_box((0.56, 0.08, 0.62), 0.035, paint, (0, 0.96, 0.02)),
        make_box((0.46, 0.14, 0.1), DARK, (0, 0.07, -0.2)),
    ])]  # fmt: skip


def make_machine_tool(rng: Rng, bank: TextureBank) -> Piece:
    """Machine: blocks, drums, pipes, a panel with lamps."""
    body = sample_plain(rng, 0.7, 0.2) if rng.random() < 0.6 else sample_paint(rng, bank, "metal")
    width, depth, height = rng.uniform(0.5, 1.5), rng.uniform(0.45, 0.8), rng.uniform(0.7, 1.7)
    base = height * rng.uniform(0.4, 0.7)
    pieces = [make_rounded_box((width, base, depth), 0.03, body, (0, base / 2, 0))]
    column = rng.uniform(0.25, 0.5) * width
    x = rng.uniform(-0.25, 0.25) * width
    pieces.append(
        make_rounded_box((column, height - base, depth * 0.7), 0.04, body, (x, (base + height) / 2, -depth * 0.1))
    )
    drum = make_turned([(0, 0), (0.12, 0), (0.12, 0.3), (0.05, 0.36), (0, 0.36)], sample_paint(rng, bank, "metal"), 14)
    pieces.append(place(transform(drum, np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])), (-x, base + 0.14, 0)))
    for _ in range(int(rng.integers(1, 5))):
        path = rng.uniform((-0.5, 0.2, -0.3), (0.5, 0.9, 0.5), (4, 3)) * [width, height, depth]
        t = np.linspace(0, 3, 13)
        bent = np.stack([np.interp(t, np.arange(4), path[:, axis]) for axis in range(3)], axis=1)
        pieces.append(make_tube(bent, rng.uniform(0.01, 0.025), sample_plain(rng, 0.6), 6))
    lamps = np.stack([np.linspace(-0.3, 0.3, 5) * width, np.full(5, base * 0.8), np.full(5, depth / 2)], axis=1)
    colours = np.stack([random_colour(rng, saturation=1.0, low=0.4) for _ in range(5)])
    pieces.append(make_boxes(np.full((5, 3), 0.03), lamps, Paint(), colours))
    return [join(pieces)]


def make_floor_lamp(rng: Rng, bank: TextureBank) -> Piece:
    """Pole with a shade."""
    height, metal = rng.uniform(1.2, 1.85), sample_plain(rng, 0.2)
    wide, narrow = rng.uniform(0.13, 0.28), rng.uniform(0.06, 0.15)
    shade = make_turned(
        [(wide, 0), (narrow, 0.3), (0, 0.3)], Paint(colour=(1.0, 0.92, 0.76), lit=rng.random() < 0.4), 16
    )
    pole = make_cylinder(0.013, height, metal, 8)
    return [join([make_cylinder(0.15, 0.03, metal, 16), pole, place(shade, (0, height - 0.25, 0))])]


def make_big_plant(rng: Rng, bank: TextureBank) -> Piece:
    """Pot plant that stands on the floor."""
    return [make_pot_plant(rng, bank, rng.uniform(0.6, 1.7))]


def make_coat_stand(rng: Rng, bank: TextureBank) -> Piece:
    """Stand or rail with coats and bags."""
    height, width = rng.uniform(1.5, 1.85), rng.uniform(0.4, 1.4)
    metal = sample_paint(rng, bank, "metal", "wood")
    posts = np.array([[-width / 2, 0, 0], [width / 2, 0, 0]])
    pieces = [
        make_rods(posts, posts + np.array([0, height, 0]), 0.016, metal, 6),
        make_rods(posts[:1] + np.array([0, height, 0]), posts[1:] + np.array([0, height, 0]), 0.016, metal, 6),
        make_boxes(np.tile([0.05, 0.04, 0.45], (2, 1)), posts + np.array([0, 0.02, 0]), metal),
    ]
    for x in np.arange(-width / 2 + 0.06, width / 2 - 0.04, rng.uniform(0.05, 0.16)):
        tall, broad = rng.uniform(0.6, 1.15), rng.uniform(0.17, 0.24)
        coat = make_cushion((0.035, tall / 2, broad), sample_cloth(rng, bank), 0.35, 0.6, 9, 11)
        pieces.append(place(coat, (x, height - tall / 2 - 0.04, 0), rng.normal(0, 0.15)))
    return [join(pieces)]


def make_floor_thing(rng: Rng, bank: TextureBank) -> Piece:
    """Something from the stock that lies on the floor."""
    return [open_stock(bank).sample(rng, "floor")]


def make_clutter(rng: Rng, bank: TextureBank) -> Piece:
    """A patch of floor covered with things."""
    size = rng.uniform(0.4, 1.4, 2)
    groups = [("floor",), ("floor", "tools"), ("floor", "living", "desk"), ("cloth",)][int(rng.integers(4))]
    return scatter(rng, bank, groups, (float(size[0]), float(size[1])), 0.004, int(rng.integers(4, 16)))
