"""Vases, plants, toys, cloth, bags, shoes, bins, tools."""

from __future__ import annotations

import numpy as np

from unish.lab.synthetic.forms import (
    make_cloth_heap,
    make_cushion,
    make_leaves,
    make_rods,
    make_rounded_box,
    make_rounded_boxes,
    make_tube,
)
from unish.lab.synthetic.paints import sample_cloth, sample_paint, sample_plain
from unish.lab.synthetic.shapes import Paint, join, make_blob, make_box, make_boxes, make_turned, place, tilt
from unish.lab.synthetic.textures import TextureBank, random_colour
from unish.render.scene import Mesh

Rng = np.random.Generator
DARK = Paint(colour=(0.08, 0.08, 0.09))


def make_vase(rng: Rng, bank: TextureBank, height: float | None = None) -> Mesh:
    """Turned solid with a smooth random profile, at times with stems in it."""
    height = height or rng.uniform(0.1, 0.4)
    t = np.linspace(0, 1, 9)
    radii = height * np.clip(
        rng.uniform(0.15, 0.35) + rng.uniform(0.05, 0.15) * np.sin(rng.uniform(2, 6) * t + rng.uniform(0, 6)), 0.05, 1
    )
    profile = [(0.0, 0.0), *zip(radii.tolist(), (t * height).tolist(), strict=True)]
    vase = make_turned(profile, sample_paint(rng, bank, tile=(0.1, 0.4)), 14)
    if rng.random() < 0.5:
        return vase
    count = int(rng.integers(4, 14))
    stems = np.tile([0.0, height * 0.9, 0.0], (count, 1))
    directions = rng.normal(size=(count, 3)) * [0.4, 0, 0.4] + [0, 1, 0]
    green = Paint(colour=(0.3, 0.45, 0.2))
    pieces = [vase, make_leaves(rng, stems, directions, height, 0.03, green, 0.2)]
    ends = stems + directions * height * rng.uniform(0.6, 1.0, (count, 1))
    bloom = sample_plain(rng, 0.9, 0.5)
    pieces += [place(make_cushion(rng.uniform(0.02, 0.05) * np.ones(3), bloom, 1, 1, 5, 9), end) for end in ends[:6]]
    return join(pieces)


def make_pot_plant(rng: Rng, bank: TextureBank, tall: float | None = None) -> Mesh:
    """Pot with bent leaves: rosette, bush on stems, or palm."""
    tall = tall or rng.uniform(0.15, 0.5)
    radius = float(np.clip(tall * rng.uniform(0.15, 0.3), 0.05, 0.22))
    rim = radius * 1.7
    clay = sample_paint(rng, bank, "noise", "cloudy", "wicker", "terrazzo", tile=(0.2, 0.5))
    pieces = [make_turned([(0, 0), (radius * 0.7, 0), (radius, rim), (radius * 0.88, rim), (0, rim * 0.9)], clay, 14)]
    green = np.array([0.32, 0.5, 0.2]) * rng.uniform(0.6, 1.4) + rng.normal(0, 0.04, 3)
    leaf = Paint(
        colour=tuple(np.clip(green, 0.02, 1)),
        layer=bank.pick(rng, "noise", "leaves") if rng.random() < 0.4 else -1,
        tile=0.3,
    )
    habit = rng.integers(3)
    count = int(rng.integers(12, 60))
    azimuth = rng.uniform(0, 2 * np.pi, count)
    flat = np.stack([np.cos(azimuth), np.zeros(count), np.sin(azimuth)], axis=1)
    if habit == 0:
        up = rng.uniform(0.3, 2.5, (count, 1)) * [0, 1, 0]
        roots = np.tile([0, rim * 0.9, 0], (count, 1)) + flat * radius * 0.3
        pieces.append(
            make_leaves(rng, roots, flat + up, tall * 0.8, tall * rng.uniform(0.04, 0.15), leaf, rng.uniform(0, 0.7))
        )
    else:
        stems = int(rng.integers(1, 6))
        lean = rng.normal(0, 0.25, (stems, 2)) * tall * (habit == 1)
        starts = np.tile([0, rim * 0.8, 0], (stems, 1))
        ends = np.stack([lean[:, 0], np.full(stems, rim + tall * 0.8), lean[:, 1]], axis=1)
        pieces.append(make_rods(starts, ends, 0.006 + 0.01 * tall, Paint(colour=(0.35, 0.27, 0.17)), 5))
        which, share = rng.integers(stems, size=count), rng.uniform(0.35 if habit == 1 else 0.9, 1.0, (count, 1))
        roots = starts[which] * (1 - share) + ends[which] * share
        size = tall * (rng.uniform(0.15, 0.4) if habit == 1 else rng.uniform(0.4, 0.7))
        rise = rng.uniform(-0.2, 1.0, (count, 1)) * [0, 1, 0]
        pieces.append(
            make_leaves(rng, roots, flat + rise, size, size * rng.uniform(0.2, 0.6), leaf, rng.uniform(0.1, 0.7))
        )
    return join(pieces)


def make_toy(rng: Rng, bank: TextureBank) -> Mesh:
    """Ball, building blocks, a soft animal, a toy car."""
    kind = rng.integers(4)
    if kind == 0:
        radius = rng.uniform(0.04, 0.13)
        paint = sample_paint(rng, bank, "checker", "stripes", "poster", tile=(0.1, 0.5), saturation=0.9)
        return place(make_cushion((radius,) * 3, paint, 1, 1), (0, radius, 0))
    if kind == 1:
        count = int(rng.integers(4, 16))
        sizes = rng.choice([0.03, 0.045, 0.06], (count, 3))
        at = np.stack([rng.normal(0, 0.1, count), sizes[:, 1] / 2, rng.normal(0, 0.1, count)], axis=1)
        at[count // 2 :, 1] += 0.05
        colours = np.stack([random_colour(rng, saturation=1.0, low=0.5) for _ in range(count)])
        return make_boxes(sizes, at, Paint(), colours, rng.uniform(0, 6, count))
    if kind == 2:
        fur, size = sample_cloth(rng, bank), rng.uniform(0.08, 0.16)
        parts = [
            ((0, 1, 0), (0.8, 1, 0.7)),
            ((0, 2.3, 0.1), (0.7, 0.65, 0.65)),
            ((0.5, 2.9, 0), (0.25, 0.3, 0.12)),
            ((-0.5, 2.9, 0), (0.25, 0.3, 0.12)),
            ((0.55, 0.25, 0.7), (0.25, 0.25, 0.6)),
            ((-0.55, 0.25, 0.7), (0.25, 0.25, 0.6)),
        ]
        return join([place(make_cushion(np.array(r) * size, fur, 1, 1, 7, 11), np.array(at) * size) for at, r in parts])
    size, paint = rng.uniform(0.08, 0.2), sample_plain(rng, 0.95, 0.4)
    sizes = size * np.array([[0.5, 0.25, 1.0], [0.42, 0.2, 0.5], *[[0.1, 0.24, 0.24]] * 4])
    wheels = [[x, 0.12, z] for x in (-0.25, 0.25) for z in (-0.3, 0.3)]
    colours = np.array([paint.colour, (0.2, 0.3, 0.4), *[(0.05, 0.05, 0.05)] * 4])
    return make_rounded_boxes(
        sizes, size * 0.08, size * np.array([[0, 0.25, 0], [0, 0.46, 0], *wheels]), Paint(), colours
    )


def make_folded_cloth(rng: Rng, bank: TextureBank) -> Mesh:
    """Pile of folded towels or clothes."""
    count = int(rng.integers(1, 7))
    thick = rng.uniform(0.025, 0.06, count)
    sizes = np.stack([rng.uniform(0.22, 0.36, count), thick, rng.uniform(0.2, 0.3, count)], axis=1)
    at = np.stack([rng.normal(0, 0.01, count), np.cumsum(thick) - thick / 2, rng.normal(0, 0.01, count)], axis=1)
    colours = np.stack([random_colour(rng, saturation=0.8, low=0.3) for _ in range(count)])
    paint = Paint(layer=bank.pick(rng, "fabric", "knit", "carpet", "noise"), tile=0.2)
    return make_rounded_boxes(sizes, 0.02, at, paint, colours, rng.normal(0, 0.08, count))


def make_heap(rng: Rng, bank: TextureBank) -> Mesh:
    """Clothes or towels thrown down."""
    pieces = []
    for _ in range(int(rng.integers(1, 4))):
        heap = make_cloth_heap(rng, rng.uniform((0.15, 0.06, 0.15), (0.4, 0.25, 0.4)), sample_cloth(rng, bank))
        pieces.append(place(heap, (rng.normal(0, 0.1), 0, rng.normal(0, 0.1)), rng.uniform(0, 6)))
    return join(pieces)


def make_bag(rng: Rng, bank: TextureBank) -> Mesh:
    """Rucksack, handbag, suitcase, sack with handles."""
    size = rng.uniform((0.2, 0.25, 0.12), (0.45, 0.55, 0.28))
    cloth = sample_cloth(rng, bank) if rng.random() < 0.6 else sample_plain(rng, 0.8)
    body = place(make_cushion(size / 2, cloth, rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7)), (0, size[1] / 2, 0))
    angle = np.linspace(0, np.pi, 9)
    wide, rise = size[0] * rng.uniform(0.15, 0.4), rng.uniform(0.06, 0.25)
    strap = np.stack([wide * np.cos(angle), size[1] * 0.93 + rise * np.sin(angle), 0 * angle], axis=1)
    pocket = make_cushion((size[0] * 0.36, size[1] * 0.2, size[2] * 0.2), cloth, 0.4, 0.4)
    pieces = [body, make_tube(strap, 0.011, DARK, 5), place(pocket, (0, size[1] * 0.35, size[2] * 0.45))]
    return join(pieces)


def make_shoes(rng: Rng, bank: TextureBank) -> Mesh:
    """Pairs of shoes."""
    pieces = []
    for pair in range(int(rng.integers(1, 4))):
        leather = sample_plain(rng, 0.6)
        shoe = join([
            make_cushion((0.048, 0.05, 0.14), leather, 0.8, 0.8, 7, 13),
            place(make_cushion((0.042, 0.06, 0.055), leather, 0.5, 0.8, 7, 13), (0, 0.05, -0.07)),
            make_rounded_box((0.09, 0.022, 0.28), 0.01, sample_plain(rng, 0.3), (0, -0.035, 0)),
        ])  # fmt: skip
        for side in (-1, 1):
            at = (pair * 0.28 + side * 0.06 + rng.normal(0, 0.01), 0.046, rng.normal(0, 0.03))
            pieces.append(place(shoe, at, rng.normal(0, 0.15)))
    return join(pieces)


def make_basket(rng: Rng, bank: TextureBank) -> Mesh:
    """Waste bin, laundry basket, bucket; sometimes full."""
    radius, tall = rng.uniform(0.12, 0.26), rng.uniform(0.22, 0.6)
    paint = sample_paint(rng, bank, "wicker", "noise", "metal", "fabric", "stripes", tile=(0.2, 0.6))
    foot = radius * rng.uniform(0.7, 1.0)
    profile = [
        (0, 0.0),
        (foot, 0),
        (radius, tall),
        (radius * 1.05, tall),
        (radius * 0.93, tall - 0.02),
        (foot * 0.9, 0.02),
        (0, 0.02),
    ]
    pieces = [make_turned(profile, paint, 16)]
    if rng.random() < 0.5:
        heap = make_cloth_heap(rng, (radius * 0.75, 0.15, radius * 0.75), sample_cloth(rng, bank))
        pieces.append(place(heap, (0, tall - 0.08, 0)))
    return join(pieces)


def make_tool(rng: Rng, bank: TextureBank) -> Mesh:
    """Hammer, drill, saw, pliers, paint roller: a grip and a head of metal, lying."""
    length = rng.uniform(0.16, 0.36)
    grip = sample_paint(rng, bank, "wood", "noise") if rng.random() < 0.5 else sample_plain(rng, 0.95)
    head = Paint(colour=tuple(rng.uniform(0.2, 0.6) * np.ones(3)), layer=bank.pick(rng, "metal", "noise"), tile=0.3)
    handle = make_tube(np.array([[0, 0.016, -length / 2], [0.005, 0.016, 0], [0, 0.016, length * 0.3]]), 0.014, grip)
    size = rng.uniform((0.03, 0.02, 0.02), (0.13, 0.05, 0.2))
    return join([handle, make_rounded_box(size, 0.006, head, (0, size[1] / 2, length * 0.35))])


def make_toolbox(rng: Rng, bank: TextureBank) -> Mesh:
    """Case with lid, latches and handle, or a machine with knobs."""
    size = rng.uniform((0.3, 0.15, 0.18), (0.55, 0.3, 0.3))
    body = sample_plain(rng, 0.95, 0.3)
    latches = np.array([[-0.25 * size[0], size[1] * 0.65, size[2] / 2], [0.25 * size[0], size[1] * 0.65, size[2] / 2]])
    grip = np.array([[-0.1, 0, 0], [-0.08, 0.05, 0], [0.08, 0.05, 0], [0.1, 0, 0]]) + np.array([0, size[1], 0])
    return join([
        make_rounded_box(size * [1, 0.7, 1], 0.015, body, (0, size[1] * 0.35, 0)),
        make_rounded_box(size * [1.02, 0.3, 1.02], 0.015, sample_plain(rng, 0.5), (0, size[1] * 0.85, 0)),
        make_rounded_boxes(np.tile([0.04, 0.07, 0.015], (2, 1)), 0.004, latches, DARK),
        make_tube(grip, 0.012, DARK, 6),
    ])  # fmt: skip


def make_paint_pot(rng: Rng, bank: TextureBank) -> Mesh:
    """Tin with a wire handle, or a roll of wire or tape."""
    if rng.random() < 0.3:
        radius, tall = rng.uniform(0.04, 0.12), rng.uniform(0.02, 0.09)
        profile = [(radius * 0.6, 0), (radius, 0), (radius, tall), (radius * 0.6, tall), (radius * 0.6, 0)]
        return make_turned(profile, sample_paint(rng, bank, "stripes", "noise", tile=(0.02, 0.1)), 16)
    radius, tall = rng.uniform(0.06, 0.14), rng.uniform(0.1, 0.3)
    paper = sample_paint(rng, bank, "label", "metal", "graffiti", tile=(0.2, 0.4))
    angle = np.linspace(0, np.pi, 9)
    wire = np.stack([radius * np.cos(angle), tall * 0.9 + radius * np.sin(angle), 0.02 + 0 * angle], axis=1)
    body = make_turned(
        [(radius, 0), (radius, tall), (radius * 0.9, tall), (radius * 0.85, tall - 0.01), (0, tall - 0.01)], paper, 16
    )
    return join([body, make_tube(wire, 0.003, DARK, 4)])


def make_round_pillow(rng: Rng, bank: TextureBank) -> Mesh:
    """Cushion lying flat or leaning."""
    pillow = make_cushion(rng.uniform((0.18, 0.06, 0.14), (0.3, 0.12, 0.3)), sample_cloth(rng, bank), 0.9, 0.35)
    return place(pillow, (0, 0.1, 0)) if rng.random() < 0.6 else place(tilt(pillow, 1.2), (0, 0.24, 0))


def make_rock(rng: Rng, bank: TextureBank) -> Mesh:
    """Rough lump of stone, wood or clay."""
    size = rng.uniform(0.05, 0.16, 3)
    lump = make_blob(
        rng, size, sample_paint(rng, bank, "noise", "stones", "marble", "concrete", "wood", tile=(0.2, 0.5)), 0.25
    )
    return place(lump, (0, size[1] * 0.8, 0))


def make_statue(rng: Rng, bank: TextureBank) -> Mesh:
    """Abstract figure: stacked lumps on a base."""
    paint, y, pieces = sample_paint(rng, bank, "marble", "wood", "metal", "noise", tile=(0.2, 0.5)), 0.03, []
    for _ in range(int(rng.integers(2, 5))):
        size = rng.uniform(0.03, 0.08, 3)
        pieces.append(
            place(
                make_cushion(size, paint, rng.uniform(0.4, 1.2), 0.8, 7, 13),
                (0, y + size[1] * 0.8, 0),
                rng.uniform(0, 6),
            )
        )
        y += size[1] * 1.6
    return join([make_box((0.11, 0.03, 0.11), sample_plain(rng, 0.3), (0, 0.015, 0)), *pieces])


def make_globe_lamp(rng: Rng, bank: TextureBank) -> Mesh:
    """Candles, globes, ring-shaped ornaments."""
    radius = rng.uniform(0.06, 0.14)
    ball = make_cushion((radius,) * 3, sample_paint(rng, bank, "cloudy", "marble", "terrazzo", tile=(0.2, 0.5)), 1, 1)
    foot = make_turned(
        [(0, 0), (radius * 0.6, 0), (0.02, 0.03), (0.015, 0.08)], sample_paint(rng, bank, "wood", "metal"), 12
    )
    angle = np.linspace(0, 2 * np.pi, 17)
    ring = make_tube(np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1) * radius * 1.08, 0.005, DARK, 4)
    return join([foot, place(ball, (0, 0.08 + radius, 0)), place(ring, (0, 0.08 + radius, 0), rng.uniform(0, 3))])


LIVINGWARE = (
    make_vase, make_vase, make_pot_plant, make_pot_plant, make_toy, make_toy, make_statue, make_globe_lamp,
    make_round_pillow, make_bag, make_folded_cloth,
)  # fmt: skip
TOOLS = (make_tool, make_tool, make_tool, make_toolbox, make_paint_pot, make_paint_pot, make_rock, make_bag)
CLOTHS = (make_folded_cloth, make_folded_cloth, make_heap, make_bag, make_shoes, make_basket, make_round_pillow)
FLOORWARE = (
    make_bag,
    make_bag,
    make_shoes,
    make_basket,
    make_basket,
    make_heap,
    make_toy,
    make_toolbox,
    make_paint_pot,
)
