"""Crockery, pots, bottles, food and small kitchen machines."""

from __future__ import annotations

import numpy as np

from unish.lab.synthetic.forms import make_cushion, make_rods, make_rounded_box, make_rounded_boxes, make_tube
from unish.lab.synthetic.paints import sample_paint, sample_plain
from unish.lab.synthetic.shapes import (
    Paint,
    join,
    make_blob,
    make_box,
    make_boxes,
    make_cylinder,
    make_turned,
    place,
    tilt,
)
from unish.lab.synthetic.textures import TextureBank, random_colour
from unish.render.scene import Mesh

Rng = np.random.Generator
STEEL = Paint(colour=(0.62, 0.63, 0.65))
DARK = Paint(colour=(0.07, 0.07, 0.08))


def sample_metal(rng: Rng, bank: TextureBank) -> Paint:
    """Brushed steel, brass or dark metal."""
    tint = np.array([0.8, 0.8, 0.82]) if rng.random() < 0.7 else random_colour(rng, saturation=0.4)
    return Paint(colour=tuple(tint * rng.uniform(0.5, 1.0)), layer=bank.pick(rng, "metal", "noise"), tile=0.5)


def _sample_ceramic(rng: Rng, bank: TextureBank) -> Paint:
    if rng.random() < 0.6:
        return Paint(colour=tuple(random_colour(rng, saturation=0.25, low=0.75, high=1.0)))
    return sample_paint(rng, bank, "stripes", "terrazzo", "cloudy", "checker", tile=(0.05, 0.2), saturation=0.8)


def _make_ring_handle(at: float, low: float, high: float, paint: Paint) -> Mesh:
    angle = np.linspace(-np.pi / 2, np.pi / 2, 7)
    reach, middle = (high - low) * 0.5, (low + high) / 2
    path = np.stack([at + reach * np.cos(angle), middle + reach * np.sin(angle), 0 * angle], axis=1)
    return make_tube(path, 0.006, paint, 5)


def make_cup(rng: Rng, bank: TextureBank) -> Mesh:
    """Cup, mug or glass."""
    radius, tall = rng.uniform(0.03, 0.045), rng.uniform(0.06, 0.13)
    foot = radius * rng.uniform(0.6, 1.0)
    paint = _sample_ceramic(rng, bank)
    profile = [(0, 0), (foot, 0), (radius, tall), (radius * 0.9, tall), (foot * 0.9, 0.01), (0, 0.01)]
    body = make_turned(profile, paint, 12)
    return join([body, _make_ring_handle(radius * 0.95, tall * 0.2, tall * 0.8, paint)]) if rng.random() < 0.6 else body


def make_bowl(rng: Rng, bank: TextureBank) -> Mesh:
    """Bowl, at times full of fruit."""
    radius, tall = rng.uniform(0.06, 0.17), rng.uniform(0.04, 0.1)
    share = np.linspace(0.3, 1, 5)
    profile = [(0.0, 0.0), *[(float(radius * s), float(tall * s**2.5)) for s in share], (radius * 0.94, tall)]
    pieces = [make_turned([*profile, (radius * 0.3, 0.012), (0, 0.012)], _sample_ceramic(rng, bank), 16)]
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(3, 8))):
            size = rng.uniform(0.025, 0.045)
            fruit = make_blob(rng, (size, size, size * rng.uniform(0.9, 1.4)), sample_plain(rng, 0.95, 0.4), 0.05)
            at = rng.normal(0, radius * 0.3, 2)
            pieces.append(place(fruit, (at[0], tall * 0.55 + rng.uniform(0, 0.04), at[1]), rng.uniform(0, 6)))
    return join(pieces)


def make_plates(rng: Rng, bank: TextureBank) -> Mesh:
    """One plate or a stack of them."""
    radius, paint = rng.uniform(0.08, 0.15), _sample_ceramic(rng, bank)
    rise = 0.012
    one = make_turned([(0, 0), (radius * 0.6, 0), (radius, 0.02), (radius * 0.58, 0.006), (0, 0.006)], paint, 18)
    count = int(rng.choice([1, 1, 2, 5, 9]))
    return join([place(one, (rng.normal(0, 0.002), i * rise, rng.normal(0, 0.002))) for i in range(count)])


def make_pot(rng: Rng, bank: TextureBank) -> Mesh:
    """Pot with a lid and two handles, or a pan with one long handle."""
    paint = sample_metal(rng, bank) if rng.random() < 0.6 else sample_plain(rng, 0.9)
    if rng.random() < 0.5:
        radius, tall = rng.uniform(0.09, 0.15), rng.uniform(0.04, 0.07)
        inner = [(radius * 0.96, tall), (radius * 0.84, 0.006), (0, 0.006)]
        body = make_turned([(0, 0), (radius * 0.85, 0), (radius, tall), *inner], paint, 18)
        grip = np.array([[radius, tall * 0.8, 0], [radius + 0.06, tall + 0.01, 0], [radius + 0.2, tall + 0.03, 0]])
        return join([body, make_tube(grip, 0.011, DARK, 6)])
    radius, tall = rng.uniform(0.07, 0.15), rng.uniform(0.08, 0.22)
    pieces = [
        make_turned([(0, 0), (radius, 0.0), (radius, tall), (radius * 0.95, tall), (radius * 0.95, 0.02)], paint, 18)
    ]
    if rng.random() < 0.6:
        pieces.append(make_turned([(radius * 1.02, tall), (radius * 0.5, tall + 0.03), (0, tall + 0.035)], paint, 18))
        pieces.append(place(make_cushion((0.018, 0.014, 0.018), DARK, 1, 1, 5, 9), (0, tall + 0.045, 0)))
    for side in (-1, 1):
        pieces.append(make_box((0.03, 0.012, 0.07), DARK, (side * (radius + 0.012), tall * 0.8, 0)))
    return join(pieces)


def make_bottle(rng: Rng, bank: TextureBank) -> Mesh:
    """Bottle or jar with a label and a cap."""
    radius, tall = rng.uniform(0.025, 0.055), rng.uniform(0.12, 0.34)
    neck, shoulder = radius * rng.uniform(0.28, 0.85), tall * rng.uniform(0.55, 0.8)
    glass = sample_plain(rng, 0.9)
    body = make_turned(
        [(0, 0), (radius, 0.0), (radius, shoulder), (neck, shoulder + 0.2 * tall), (neck, tall)], glass, 12
    )
    cap = place(make_cylinder(neck * 1.15, 0.02, sample_plain(rng, 0.9), 10), (0, tall, 0))
    paper = sample_paint(rng, bank, "label", "poster", "text", tile=(0.08, 0.2))
    label = make_turned([(radius * 1.01, shoulder * 0.25), (radius * 1.01, shoulder * 0.8)], paper, 12)
    return join([body, cap, label])


def make_can(rng: Rng, bank: TextureBank) -> Mesh:
    """Tin, drink can or canister."""
    radius, tall = rng.uniform(0.03, 0.08), rng.uniform(0.06, 0.25)
    paper = sample_paint(rng, bank, "label", "poster", "stripes", "metal", tile=(0.1, 0.25))
    profile = [(radius * 0.94, 0), (radius, 0.008), (radius, tall - 0.008), (radius * 0.94, tall)]
    return join(
        [make_turned(profile, paper, 14), place(make_cylinder(radius * 0.93, 0.002, STEEL), (0, tall - 0.004, 0))]
    )


def make_carton(rng: Rng, bank: TextureBank) -> Mesh:
    """Packet of food, carton of milk, box of tea."""
    size = rng.uniform((0.05, 0.08, 0.04), (0.2, 0.3, 0.12))
    box = make_box(
        size, sample_paint(rng, bank, "label", "poster", "text", "image", tile=(0.1, 0.3)), (0, size[1] / 2, 0)
    )
    if rng.random() < 0.3:
        box = place(tilt(box, np.pi / 2), (0, size[2] / 2, -size[1] / 2))
    return box


def make_bread(rng: Rng, bank: TextureBank) -> Mesh:
    """Loaf, roll, cheese or cake on a board."""
    board = sample_paint(rng, bank, "wood", "planks", tile=(0.3, 0.6))
    crust = Paint(colour=(0.75, 0.5, 0.27), layer=bank.pick(rng, "cloudy", "noise", "terrazzo"), tile=0.3)
    width = rng.uniform(0.25, 0.42)
    loaf = place(make_cushion((width * 0.36, 0.05, 0.06), crust, 0.7, 0.7), (0.0, 0.065, 0.0), rng.normal(0, 0.3))
    return join([make_rounded_box((width, 0.018, width * 0.6), 0.006, board, (0, 0.009, 0)), loaf])


def make_kettle(rng: Rng, bank: TextureBank) -> Mesh:
    """Kettle or jug with spout and handle."""
    radius, tall, paint = rng.uniform(0.07, 0.09), rng.uniform(0.16, 0.26), sample_metal(rng, bank)
    body = make_turned(
        [(0, 0), (radius, 0), (radius * 1.02, tall * 0.4), (radius * 0.7, tall), (0, tall + 0.01)], paint, 16
    )
    nozzle = np.array([[-radius * 0.8, tall * 0.6, 0], [-radius * 1.6, tall * 0.95, 0]])
    spout = make_tube(nozzle, np.array([0.022, 0.012]), paint)
    angle = np.linspace(-1.2, 1.4, 7)
    grip = np.stack([radius * 0.8 + 0.055 * np.cos(angle), tall * 0.55 + 0.4 * tall * np.sin(angle), 0 * angle], axis=1)
    return join(
        [body, spout, make_tube(grip, 0.011, DARK, 6), place(make_cylinder(0.015, 0.02, DARK, 8), (0, tall, 0))]
    )


def make_machine(rng: Rng, bank: TextureBank) -> Mesh:
    """Microwave, toaster, coffee machine, mixer, radio: a rounded body with a front and knobs."""
    size = rng.uniform((0.18, 0.17, 0.16), (0.52, 0.4, 0.36))
    body = sample_metal(rng, bank) if rng.random() < 0.5 else sample_plain(rng, 0.6)
    pieces = [make_rounded_box(size, rng.uniform(0.01, 0.05), body, (0, size[1] / 2 + 0.01, 0))]
    front = Paint(colour=tuple(random_colour(rng, saturation=0.2, low=0.02, high=0.3)))
    panel = (size[0] * rng.uniform(0.4, 0.7), size[1] * rng.uniform(0.3, 0.7), 0.01)
    pieces.append(make_rounded_box(panel, 0.004, front, (-size[0] * 0.1, size[1] * 0.5, size[2] / 2)))
    knobs = int(rng.integers(1, 5))
    at = np.stack(
        [np.full(knobs, size[0] * 0.4), np.linspace(0.25, 0.8, knobs) * size[1], np.full(knobs, size[2] / 2)], 1
    )
    pieces.append(make_rounded_boxes(np.full((knobs, 3), 0.025), 0.008, at, sample_plain(rng, 0.5)))
    return join(pieces)


def make_utensils(rng: Rng, bank: TextureBank) -> Mesh:
    """Jar or block with spoons, knives, brushes, pencils sticking out."""
    tall, radius, count = rng.uniform(0.09, 0.18), rng.uniform(0.035, 0.065), int(rng.integers(3, 10))
    jar = make_turned(
        [(0, 0), (radius, 0), (radius, tall), (radius * 0.9, tall), (radius * 0.9, 0.01)],
        _sample_ceramic(rng, bank),
        12,
    )
    foot, lean = rng.normal(0, radius * 0.3, (count, 2)), rng.normal(0, radius * 0.9, (count, 2))
    rise = rng.uniform(1.3, 2.1, count) * tall
    starts = np.stack([foot[:, 0], np.full(count, 0.012), foot[:, 1]], axis=1)
    ends = np.stack([lean[:, 0], rise, lean[:, 1]], axis=1)
    pieces = [jar, make_rods(starts, ends, 0.005, sample_paint(rng, bank, "wood", "noise"), 5)]
    heads = rng.uniform((0.02, 0.03, 0.006), (0.05, 0.07, 0.012), (count, 3))
    colours = np.stack([random_colour(rng, saturation=0.6) for _ in range(count)])
    pieces.append(make_rounded_boxes(heads, 0.012, ends, Paint(), colours, rng.uniform(0, 6, count)))
    return join(pieces)


def make_dish_rack(rng: Rng, bank: TextureBank) -> Mesh:
    """Wire rack with plates on edge."""
    width, depth, count = rng.uniform(0.3, 0.45), 0.3, int(rng.integers(8, 14))
    x = np.linspace(-width / 2, width / 2, count)
    flat = np.stack([x, np.full(count, 0.02), np.full(count, -depth / 2)], axis=1)
    wires = [
        (flat, flat + np.array([0, 0, depth])),
        (flat, flat + np.array([0, 0.1, 0])),
        (flat + np.array([0, 0, depth]), flat + np.array([0, 0.1, depth])),
    ]
    pieces = [make_rods(start, end, 0.003, STEEL, 4) for start, end in wires]
    plate = make_turned([(0, 0), (0.11, 0.01), (0, 0.012)], _sample_ceramic(rng, bank), 16)
    for at in x[1:-1:2][: int(rng.integers(2, 7))]:
        pieces.append(place(tilt(plate, 0.0, np.pi / 2 + 0.15), (at, 0.13, 0)))
    return join(pieces)


def make_tray(rng: Rng, bank: TextureBank) -> Mesh:
    """Shallow tray or baking tin."""
    size = rng.uniform((0.25, 0.02, 0.18), (0.5, 0.06, 0.35))
    paint, thick = sample_paint(rng, bank, "metal", "wood", "wicker", "noise"), 0.008
    sizes = np.array([[size[0], thick, size[2]], *[[size[0], size[1], thick]] * 2, *[[thick, size[1], size[2]]] * 2])
    half = size / 2
    at = np.array(
        [
            [0, thick / 2, 0],
            [0, half[1], half[2]],
            [0, half[1], -half[2]],
            [half[0], half[1], 0],
            [-half[0], half[1], 0],
        ]
    )
    return make_boxes(sizes, at, paint)


KITCHENWARE = (
    make_cup, make_cup, make_bowl, make_plates, make_pot, make_pot, make_bottle, make_bottle, make_can, make_carton,
    make_carton, make_bread, make_kettle, make_machine, make_machine, make_utensils, make_dish_rack, make_tray,
)  # fmt: skip
