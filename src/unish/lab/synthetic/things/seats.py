"""Chairs, stools, benches, armchairs and sofas."""

from __future__ import annotations

import numpy as np

from unish.lab.synthetic.forms import (
    make_cushion,
    make_rods,
    make_rounded_box,
    make_rounded_boxes,
    make_sheet,
    make_tube,
)
from unish.lab.synthetic.paints import sample_cloth, sample_paint, sample_plain
from unish.lab.synthetic.shapes import Paint, join, make_box, make_boxes, make_cylinder, make_turned, place, tilt
from unish.lab.synthetic.textures import TextureBank
from unish.render.scene import Mesh

Rng = np.random.Generator
DARK = Paint(colour=(0.09, 0.09, 0.1))


def make_legs(rng: Rng, width: float, depth: float, height: float, paint: Paint, splay: float = 0.0) -> Mesh:
    """Four legs under a top of the given extent: square or round posts, upright or splayed."""
    inset = 0.03
    corners = np.array([[x, z] for x in (-1, 1) for z in (-1, 1)]) * [width / 2 - inset, depth / 2 - inset]
    feet = corners * (1 + splay)
    tops = np.stack([corners[:, 0], np.full(4, height), corners[:, 1]], axis=1)
    floor = np.stack([feet[:, 0], np.zeros(4), feet[:, 1]], axis=1)
    if splay == 0 and rng.random() < 0.5:
        side = rng.uniform(0.025, 0.07)
        return make_boxes(np.tile([side, height, side], (4, 1)), (tops + floor) / 2, paint)
    return make_rods(floor, tops, rng.uniform(0.012, 0.025), paint, 7)


def make_chair(rng: Rng, bank: TextureBank, height: float | None = None) -> Mesh:
    """Chair for a table: legs, seat board or pad, a back of board, slats, rods or a bent shell."""
    width, depth = rng.uniform(0.38, 0.48), rng.uniform(0.38, 0.46)
    height = height or rng.uniform(0.42, 0.48)
    frame = (
        sample_paint(rng, bank, "wood", "planks", "noise", "metal") if rng.random() < 0.7 else sample_plain(rng, 0.8)
    )
    seat = sample_cloth(rng, bank) if rng.random() < 0.5 else frame
    thick, tall, lean = rng.uniform(0.02, 0.06), rng.uniform(0.35, 0.55), rng.uniform(0.02, 0.18)
    pieces = [
        make_legs(rng, width, depth, height - thick, frame, rng.choice([0.0, 0.0, 0.12])),
        make_rounded_box((width, thick, depth), 0.02, seat, (0, height - thick / 2, 0)),
    ]
    rear = -depth / 2 + 0.02
    kind = rng.integers(4)
    if kind == 0:
        t, x = np.meshgrid(np.linspace(0, 1, 5), np.linspace(-0.5, 0.5, 7), indexing="ij")
        bend = rear - lean * t + 0.18 * x**2
        pieces.append(make_sheet(np.stack([x * width, height + t * tall, bend], axis=-1), seat))
        return join(pieces)
    posts = np.array([[-width / 2 + 0.02, height - 0.03, rear], [width / 2 - 0.02, height - 0.03, rear]])
    ends = posts + np.array([0, tall, -lean])
    pieces.append(make_rods(posts, ends, rng.uniform(0.012, 0.02), frame, 6))
    if kind == 1:
        back = tilt(make_rounded_box((width, tall * 0.5, 0.03), 0.012, seat, (0, tall * 0.72, 0)), -lean / tall)
        pieces.append(place(back, (0, height, rear)))
    elif kind == 2:
        count = int(rng.integers(2, 5))
        t = np.linspace(0.35, 0.95, count)
        at = np.stack([np.zeros(count), height + t * tall, rear - lean * t], axis=1)
        pieces.append(make_boxes(np.tile([width - 0.04, tall * 0.12, 0.015], (count, 1)), at, frame))
    else:
        x = np.linspace(-0.4, 0.4, int(rng.integers(4, 8)))[:, None] * [width, 0, 0]
        low, high = [x + np.array([0, height - 0.02, rear]), x + np.array([0, height + tall * 0.95, rear - lean])]
        pieces.append(make_rods(low, high, 0.007, frame, 5))
        pieces.append(make_rounded_box((width, 0.06, 0.025), 0.01, frame, (0, height + tall, rear - lean)))
    return join(pieces)


def make_stool(rng: Rng, bank: TextureBank, height: float | None = None) -> Mesh:
    """Stool with a round or square seat, or a pouffe."""
    height, width = height or rng.choice([rng.uniform(0.4, 0.5), rng.uniform(0.6, 0.78)]), rng.uniform(0.28, 0.42)
    frame = sample_paint(rng, bank, "wood", "metal", "noise")
    if rng.random() < 0.2:
        body = make_cushion((width / 2 + 0.05, height / 2, width / 2 + 0.05), sample_cloth(rng, bank), 0.35, 1.0)
        return place(body, (0, height / 2, 0))
    top = make_turned(
        [(0, height - 0.05), (width / 2, height - 0.05), (width / 2, height - 0.01), (0, height)], frame, 18
    )
    pieces = [top, make_legs(rng, width * 0.75, width * 0.75, height - 0.04, frame, 0.25)]
    if height > 0.55:
        angle = np.linspace(0, 2 * np.pi, 13)
        ring = np.stack([np.cos(angle), np.full(13, 0.0), np.sin(angle)], 1) * width * 0.52 + [0, height * 0.35, 0]
        pieces.append(make_tube(ring, 0.01, frame, 5))
    return join(pieces)


def make_office_chair(rng: Rng, bank: TextureBank) -> Mesh:
    """Swivel chair on a star foot with castors."""
    cloth = sample_cloth(rng, bank) if rng.random() < 0.5 else sample_plain(rng, 0.3)
    height, width = rng.uniform(0.43, 0.54), rng.uniform(0.44, 0.52)
    angle = rng.uniform(0, 6) + np.arange(5) * 2 * np.pi / 5
    tips = np.stack([0.29 * np.cos(angle), np.full(5, 0.08), 0.29 * np.sin(angle)], axis=1)
    pieces = [
        make_rods(np.tile([0, 0.12, 0.0], (5, 1)), tips, 0.018, DARK, 5),
        make_rounded_boxes(np.full((5, 3), 0.055), 0.026, tips * [1, 0, 1] + [0, 0.0275, 0], DARK),
        make_cylinder(0.028, height - 0.06, DARK, 8),
        make_rounded_box((width, 0.09, width * 0.95), 0.04, cloth, (0, height - 0.045, 0)),
    ]
    tall = rng.uniform(0.42, 0.7)
    back = tilt(make_rounded_box((width * 0.92, tall, 0.07), 0.035, cloth, (0, tall / 2, 0)), -rng.uniform(0.05, 0.25))
    pieces.append(place(back, (0, height + 0.08, -width / 2)))
    pieces.append(make_box((0.06, 0.2, 0.03), DARK, (0, height + 0.04, -width / 2 - 0.01)))
    if rng.random() < 0.6:
        for side in (-1, 1):
            x = side * (width / 2 + 0.03)
            pieces.append(make_rounded_box((0.06, 0.03, 0.26), 0.014, DARK, (x, height + 0.2, 0)))
            pieces.append(make_box((0.025, 0.22, 0.05), DARK, (x, height + 0.09, 0)))
    return join(pieces)


def make_sofa(rng: Rng, bank: TextureBank, seats: int | None = None) -> Mesh:
    """Armchair or sofa with rounded cushions, at times with a blanket."""
    seats = seats or int(rng.integers(1, 4))
    each, arm = rng.uniform(0.55, 0.72), rng.uniform(0.08, 0.22)
    width, depth, seat = each * seats + 2 * arm, rng.uniform(0.78, 0.98), rng.uniform(0.38, 0.46)
    cloth, soft = sample_cloth(rng, bank), rng.uniform(0.03, 0.09)
    tall = rng.uniform(0.72, 0.95)
    pieces = [
        make_rounded_box((width, seat - 0.2, depth), soft, cloth, (0, (seat - 0.1) / 2 + 0.02, 0)),
        make_rounded_box((width, tall - 0.1, 0.2), soft, cloth, (0, (tall + 0.1) / 2, -depth / 2 + 0.1)),
        make_legs(rng, width - 0.06, depth - 0.06, 0.12, sample_paint(rng, bank, "wood", "metal")),
    ]
    arms = np.array([[side * (width - arm) / 2, seat * 0.72, 0.02] for side in (-1, 1)])
    pieces.append(make_rounded_boxes(np.tile([arm, seat * 1.05, depth - 0.04], (2, 1)), soft, arms, cloth))
    for number in range(seats):
        x = (number - (seats - 1) / 2) * each
        pieces.append(place(make_cushion((each * 0.5, 0.09, depth * 0.37), cloth, 0.35, 0.25), (x, seat - 0.04, 0.08)))
        back = tilt(make_cushion((each * 0.49, 0.21, 0.1), cloth, 0.4, 0.5), -0.2)
        pieces.append(place(back, (x, seat + 0.2, -depth / 2 + 0.24)))
        if rng.random() < 0.5:
            loose = tilt(make_cushion((0.22, 0.09, 0.22), sample_cloth(rng, bank), 0.9, 0.35), np.pi / 2 - 0.5)
            pieces.append(place(loose, (x + rng.normal(0, 0.1), seat + 0.22, 0.0), rng.normal(0, 0.3)))
    if rng.random() < 0.35:
        pieces.append(_make_blanket(rng, sample_cloth(rng, bank), rng.uniform(-0.3, 0.3) * width, seat + 0.07, depth))
    return join(pieces)


def _make_blanket(rng: Rng, paint: Paint, x: float, height: float, depth: float) -> Mesh:
    """Blanket that hangs over the front edge of a seat."""
    t, a = np.meshgrid(np.linspace(0, 1, 11), np.linspace(-0.5, 0.5, 11), indexing="ij")
    z = np.minimum(-0.15 + t * 0.9, depth / 2 + 0.02) + 0.015 * np.sin(a * 30 + rng.uniform(0, 6))
    y = height + 0.015 * np.sin(9 * t + 7 * a) - np.maximum(-0.15 + t * 0.9 - depth / 2, 0) * 1.1
    return make_sheet(np.stack([x + a * rng.uniform(0.4, 0.9), y, z], axis=-1), paint)


def make_bench(rng: Rng, bank: TextureBank, height: float | None = None) -> Mesh:
    """Bench of slats, with or without a back."""
    length, height, depth = rng.uniform(1.1, 2.0), height or rng.uniform(0.4, 0.48), rng.uniform(0.34, 0.45)
    wood = sample_paint(rng, bank, "wood", "planks")
    slats = int(rng.integers(2, 6))
    z = (np.arange(slats) + 0.5) / slats * depth - depth / 2
    at = np.stack([np.zeros(slats), np.full(slats, height - 0.018), z], axis=1)
    sizes = np.tile([length, 0.035, depth / slats * 0.88], (slats, 1))
    if rng.random() < 0.6:
        t = np.array([0.25, 0.4])
        at = np.concatenate([at, np.stack([0 * t, height + t, -depth / 2 - 0.15 * t], axis=1)])
        sizes = np.concatenate([sizes, np.tile([length, 0.1, 0.03], (2, 1))])
    iron = sample_paint(rng, bank, "metal", "concrete", "noise")
    sides = [
        make_box((0.06, height - 0.03, depth * 0.9), iron, (s * length * 0.4, (height - 0.03) / 2, 0)) for s in (-1, 1)
    ]
    posts = [make_box((0.05, 0.5, 0.04), iron, (s * length * 0.4, height + 0.2, -depth / 2 - 0.05)) for s in (-1, 1)]
    return join([make_boxes(sizes, at, wood), *sides, *(posts if len(sizes) > slats else [])])


def make_stacked_chairs(rng: Rng, bank: TextureBank) -> Mesh:
    """A stack of equal chairs."""
    chair = make_chair(rng, bank)
    return join([place(chair, (0, 0.09 * i, 0.04 * i)) for i in range(int(rng.integers(2, 6)))])
