"""Furniture and other things made of boxes and turned solids. Each stands on y = 0, centred, its back towards −z."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from unish.render.scene import Mesh
from unish.synthetic.shapes import Paint, join, make_blob, make_box, make_cylinder, make_turned, place
from unish.synthetic.textures import TextureBank, random_colour

Rng = np.random.Generator


def draw_paint(
    rng: Rng, bank: TextureBank, *kinds: str, tile: tuple[float, float] = (0.6, 1.6), saturation: float = 0.5
) -> Paint:
    """A surface: textured with one of the kinds, sometimes tinted; or, without kinds, mostly plain."""
    if not kinds and rng.random() < 0.5:
        return Paint(colour=tuple(random_colour(rng, saturation=saturation)))
    chosen = kinds or ("planks", "noise", "cloudy", "planks", "carpet", "marble", "image")
    tint = np.ones(3) if rng.random() < 0.5 else random_colour(rng, saturation=saturation, low=0.6, high=1.0)
    return Paint(colour=tuple(tint), layer=bank.pick(rng, *chosen), tile=rng.uniform(*tile))


def draw_picture_paint(rng: Rng, bank: TextureBank, width: float, *kinds: str) -> Paint:
    """A picture that fills a surface ``width`` metres wide."""
    return Paint(
        colour=(1.0, 1.0, 1.0), layer=bank.pick(rng, *(kinds or ("poster", "poster", "text", "image"))), tile=width
    )


def make_small_thing(rng: Rng, bank: TextureBank) -> Mesh:
    """Something that stands on a table: box, can, vase, ball, book pile."""
    kind = rng.integers(5)
    size = rng.uniform(0.05, 0.3, 3)
    if kind == 0:
        return place(
            make_box(size, draw_paint(rng, bank, "poster", "noise", "text", tile=(0.1, 0.4)), (0, size[1] / 2, 0)),
            (0, 0, 0),
            rng.uniform(0, 6),
        )
    if kind == 1:
        return make_cylinder(size[0] / 3, size[1], draw_paint(rng, bank, "poster", "stripes", "noise", tile=(0.1, 0.3)))
    if kind == 2:
        return make_vase(rng, bank, rng.uniform(0.1, 0.4))
    if kind == 3:
        return place(make_blob(rng, size / 2, draw_paint(rng, bank), 0.1), (0, size[1] / 2, 0))
    pieces, y = [], 0.0
    for _ in range(int(rng.integers(2, 6))):
        thick = rng.uniform(0.015, 0.05)
        book = make_box(
            (0.16, thick, 0.22), Paint(colour=tuple(random_colour(rng, saturation=0.8))), (0, y + thick / 2, 0)
        )
        pieces.append(place(book, (0, 0, 0), rng.uniform(-0.3, 0.3)))
        y += thick
    return join(pieces)


def make_vase(rng: Rng, bank: TextureBank, height: float) -> Mesh:
    """Turned solid with a random profile."""
    radii = height * rng.uniform(0.1, 0.4, 5)
    profile = [(0.0, 0.0), *[(float(r), float(h)) for r, h in zip(radii, np.linspace(0, height, 5), strict=True)]]
    return make_turned(profile, draw_paint(rng, bank, tile=(0.1, 0.4)), 12)


def make_table(rng: Rng, bank: TextureBank) -> Mesh:
    """Table or desk with things on it."""
    width, depth, height = (
        rng.uniform(0.6, 2.0),
        rng.uniform(0.5, 1.0),
        rng.choice([rng.uniform(0.68, 0.8), rng.uniform(0.35, 0.5)]),
    )
    top, legs = draw_paint(rng, bank, "planks", "marble", "noise"), draw_paint(rng, bank)
    thick = rng.uniform(0.02, 0.06)
    pieces = [make_box((width, thick, depth), top, (0, height - thick / 2, 0))]
    if rng.random() < 0.15:
        pieces = [
            make_turned([(0, height - thick), (width / 2, height - thick), (width / 2, height), (0, height)], top, 20)
        ]
        pieces.append(make_cylinder(0.05, height - thick, legs))
        pieces.append(make_cylinder(width / 4, 0.03, legs))
        depth = width = width * 0.7
    else:
        side = rng.uniform(0.03, 0.08)
        for sx in (-1, 1):
            for sz in (-1, 1):
                at = (sx * (width / 2 - side), (height - thick) / 2, sz * (depth / 2 - side))
                pieces.append(make_box((side, height - thick, side), legs, at))
    if rng.random() < 0.3 and height > 0.6:
        pieces.append(
            place(make_monitor(rng, bank), (rng.uniform(-0.2, 0.2) * width, height, -depth * 0.2), rng.normal(0, 0.2))
        )
    return join([*pieces, *_scatter(rng, bank, width, depth, height, int(rng.integers(0, 9)))])


def _scatter(rng: Rng, bank: TextureBank, width: float, depth: float, height: float, count: int) -> list[Mesh]:
    """Small things on a surface."""
    places = rng.uniform(-0.42, 0.42, (count, 2)) * (width, depth)
    return [place(make_small_thing(rng, bank), (x, height, z), rng.uniform(0, 6)) for x, z in places]


def make_counter(rng: Rng, bank: TextureBank) -> Mesh:
    """Row of low cupboards under one top with many things on it, as in kitchens and workshops."""
    width, depth, height = rng.uniform(1.2, 3.6), rng.uniform(0.5, 0.7), rng.uniform(0.82, 0.98)
    body, front, top = draw_paint(rng, bank), draw_paint(rng, bank), draw_paint(rng, bank, "marble", "planks", "noise")
    pieces = [
        make_box((width, height - 0.04, depth - 0.05), body, (0, height / 2 - 0.02, -0.02)),
        make_box((width + 0.04, 0.04, depth), top, (0, height - 0.02, 0)),
    ]
    doors = int(rng.integers(2, 7))
    for door in range(doors):
        at = ((door + 0.5) / doors * width - width / 2, height / 2 - 0.02, depth / 2 - 0.04)
        pieces.append(make_box((width / doors - 0.02, height - 0.16, 0.016), front, at))
        handle = (at[0], height * 0.8, depth / 2 - 0.02)
        pieces.append(make_box((0.12, 0.015, 0.03), Paint(colour=(0.35, 0.35, 0.35)), handle))
    if rng.random() < 0.5:
        basin = (rng.uniform(-0.3, 0.3) * width, height + 0.001, 0.02)
        pieces.append(make_box((0.5, 0.01, depth * 0.6), Paint(colour=(0.55, 0.56, 0.58)), basin))
        pieces.append(
            place(make_cylinder(0.015, 0.3, Paint(colour=(0.6, 0.6, 0.6)), 8), (basin[0], height, -depth * 0.35))
        )
    return join([*pieces, *_scatter(rng, bank, width, depth * 0.8, height, int(rng.integers(2, 14)))])


def make_monitor(rng: Rng, bank: TextureBank) -> Mesh:
    """Screen on a foot."""
    width = rng.uniform(0.4, 0.7)
    height = width * rng.uniform(0.55, 0.7)
    dark = Paint(colour=(0.08, 0.08, 0.09))
    picture = draw_picture_paint(rng, bank, width, "poster", "text")
    screen = Paint(colour=(0.8, 0.8, 0.8), layer=picture.layer, tile=width, lit=rng.random() < 0.5)
    return join([
        make_box((width, height, 0.03), dark, (0, height / 2 + 0.1, -0.02)),
        make_box((width * 0.95, height * 0.92, 0.005), screen, (0, height / 2 + 0.1, 0)),
        make_box((0.05, 0.12, 0.03), dark, (0, 0.06, -0.03)),
        make_box((0.22, 0.015, 0.16), dark, (0, 0.008, 0)),
    ])  # fmt: skip


def make_chair(rng: Rng, bank: TextureBank) -> Mesh:
    """Chair or stool."""
    width, height = rng.uniform(0.38, 0.5), rng.uniform(0.4, 0.5)
    seat, frame = draw_paint(rng, bank), draw_paint(rng, bank, "planks", "noise")
    pieces = [make_box((width, 0.05, width), seat, (0, height - 0.025, 0))]
    if rng.random() < 0.7:
        side = rng.uniform(0.025, 0.05)
        for sx in (-1, 1):
            for sz in (-1, 1):
                pieces.append(
                    make_box(
                        (side, height - 0.05, side),
                        frame,
                        (sx * (width - side) / 2, (height - 0.05) / 2, sz * (width - side) / 2),
                    )
                )
    else:
        pieces += [make_cylinder(0.03, height - 0.05, frame), make_cylinder(0.24, 0.05, frame)]
    if rng.random() < 0.8:
        tall = rng.uniform(0.3, 0.6)
        pieces.append(make_box((width, tall, 0.04), seat, (0, height + tall / 2, -width / 2)))
    return join(pieces)


def make_shelf(rng: Rng, bank: TextureBank) -> Mesh:
    """Open shelf with rows of books and things."""
    width, depth, height = rng.uniform(0.6, 1.8), rng.uniform(0.25, 0.45), rng.uniform(0.8, 2.2)
    wood = draw_paint(rng, bank, "planks", "noise", "cloudy")
    rows = int(rng.integers(2, 6))
    pieces = [make_box((width, height, 0.02), wood, (0, height / 2, -depth / 2))]
    pieces += [make_box((0.03, height, depth), wood, (sx * width / 2, height / 2, 0)) for sx in (-1, 1)]
    gap = height / rows
    for row in range(rows + 1):
        pieces.append(make_box((width, 0.025, depth), wood, (0, min(row * gap + 0.0125, height), 0)))
        if row == rows:
            break
        if rng.random() < 0.6:
            share = rng.uniform(0.4, 0.95)
            books = Paint(colour=(1, 1, 1), layer=bank.pick(rng, "books"), tile=gap * 0.8)
            at = ((share - 0.95) / 2 * width, row * gap + 0.025 + gap * 0.4, -0.03)
            pieces.append(make_box((width * share, gap * 0.8, depth * 0.7), books, at))
        else:
            for x in rng.uniform(-0.4, 0.4, int(rng.integers(1, 4))) * width:
                thing = make_small_thing(rng, bank)
                if thing.vertices[:, 1].max() < gap - 0.04:
                    pieces.append(place(thing, (x, row * gap + 0.025, 0)))
    return join(pieces)


def make_cabinet(rng: Rng, bank: TextureBank) -> Mesh:
    """Closed body with doors or drawers and handles: wardrobe, fridge, chest, kitchen unit."""
    width, depth = rng.uniform(0.4, 2.0), rng.uniform(0.35, 0.65)
    height = rng.choice([rng.uniform(0.4, 1.1), rng.uniform(1.4, 2.2)])
    body, front = draw_paint(rng, bank), draw_paint(rng, bank)
    pieces = [make_box((width, height, depth), body, (0, height / 2, 0))]
    columns, rows = int(rng.integers(1, 4)), int(rng.integers(1, 5))
    w, h = width / columns, height / rows
    for column in range(columns):
        for row in range(rows):
            at = (-width / 2 + (column + 0.5) * w, (row + 0.5) * h, depth / 2 + 0.008)
            pieces.append(make_box((w - 0.02, h - 0.02, 0.016), front, at))
            pieces.append(
                make_box((0.1, 0.015, 0.03), Paint(colour=(0.3, 0.3, 0.3)), (at[0], at[1] + h * 0.2, depth / 2 + 0.03))
            )
    for _ in range(int(rng.integers(0, 4))):
        at = (rng.uniform(-0.4, 0.4) * width, height, rng.uniform(-0.3, 0.3) * depth)
        pieces.append(place(make_small_thing(rng, bank), at))
    return join(pieces)


def make_bed(rng: Rng, bank: TextureBank) -> Mesh:
    """Bed with mattress, blanket, pillows, head board."""
    width, length, height = rng.uniform(0.9, 1.9), rng.uniform(1.9, 2.1), rng.uniform(0.35, 0.6)
    frame = draw_paint(rng, bank, "planks", "noise")
    cloth = draw_paint(rng, bank, "carpet", "noise", "stripes", "cloudy", tile=(0.4, 1.5))
    pieces = [
        make_box((width, height * 0.5, length), frame, (0, height * 0.25, 0)),
        make_box((width * 0.97, height * 0.5, length * 0.98), Paint(colour=(0.9, 0.9, 0.88)), (0, height * 0.74, 0)),
        make_box((width * 1.02, height * 0.45, length * 0.65), cloth, (0, height * 0.8, length * 0.17)),
        make_box((width, height + rng.uniform(0.1, 0.7), 0.06), frame, (0, height / 2 + 0.2, -length / 2)),
    ]
    for x in (-0.25, 0.25) if width > 1.3 else (0.0,):
        pillow = make_blob(rng, (0.32, 0.09, 0.2), draw_paint(rng, bank, "noise", "cloudy"), 0.1)
        pieces.append(place(pillow, (x * width, height + 0.06, -length * 0.38)))
    return join(pieces)


def make_sofa(rng: Rng, bank: TextureBank) -> Mesh:
    """Armchair or sofa."""
    seats = int(rng.integers(1, 4))
    width, depth = 0.35 + 0.65 * seats, rng.uniform(0.8, 0.95)
    cloth = draw_paint(rng, bank, "noise", "cloudy", "carpet", "stripes", tile=(0.4, 1.2))
    pieces = [
        make_box((width, 0.3, depth), cloth, (0, 0.2, 0)),
        make_box((width, 0.45, 0.2), cloth, (0, 0.6, -depth / 2 + 0.1)),
        *[make_box((0.17, 0.35, depth), cloth, (sx * (width / 2 - 0.085), 0.45, 0)) for sx in (-1, 1)],
    ]
    for seat in range(seats):
        x = (seat - (seats - 1) / 2) * 0.65
        pieces.append(make_box((0.63, 0.14, depth * 0.7), cloth, (x, 0.42, 0.08)))
        if rng.random() < 0.5:
            cushion = make_blob(rng, (0.22, 0.2, 0.09), draw_paint(rng, bank), 0.12)
            pieces.append(place(cushion, (x, 0.65, -depth / 2 + 0.3)))
    return join(pieces)


def make_plant(rng: Rng, bank: TextureBank) -> Mesh:
    """Pot with a crown of leaves-like blobs."""
    radius, tall = rng.uniform(0.1, 0.25), rng.uniform(0.3, 1.2)
    pieces = [
        make_turned(
            [(radius * 0.7, 0), (radius, radius * 1.6), (0, radius * 1.6)], draw_paint(rng, bank, tile=(0.2, 0.5))
        )
    ]
    leaves = Paint(
        colour=tuple(rng.uniform(0.7, 1.1) * np.array([0.6, 0.9, 0.5])), layer=bank.pick(rng, "grass"), tile=0.4
    )
    for _ in range(int(rng.integers(3, 9))):
        at = (*(rng.normal(0, tall * 0.15, 2)), radius * 1.6 + tall * rng.uniform(0.2, 0.9))
        size = rng.uniform(0.05, 0.22, 3) * (0.5 + tall)
        pieces.append(place(make_blob(rng, size, leaves, 0.35), (at[0], at[2], at[1])))
    pieces.append(make_cylinder(0.015, radius * 1.6 + tall * 0.6, Paint(colour=(0.35, 0.25, 0.15)), 6))
    return join(pieces)


def make_floor_lamp(rng: Rng, bank: TextureBank) -> Mesh:
    """Pole with a shade."""
    height = rng.uniform(1.2, 1.8)
    metal = Paint(colour=tuple(random_colour(rng, saturation=0.1, high=0.6)))
    wide, narrow = rng.uniform(0.15, 0.28), rng.uniform(0.08, 0.15)
    shade = make_turned([(wide, 0), (narrow, 0.3), (0, 0.3)], Paint(colour=(0.95, 0.9, 0.75), lit=rng.random() < 0.6))
    return join(
        [make_cylinder(0.15, 0.03, metal), make_cylinder(0.015, height, metal, 8), place(shade, (0, height - 0.25, 0))]
    )


def make_crates(rng: Rng, bank: TextureBank) -> Mesh:
    """A few boxes on and beside each other."""
    pieces, y = [], 0.0
    for _ in range(int(rng.integers(1, 5))):
        size = rng.uniform(0.2, 0.7, 3)
        box = make_box(
            size, draw_paint(rng, bank, "planks", "text", "poster", "noise", "image"), (0, y + size[1] / 2, 0)
        )
        pieces.append(place(box, (*rng.normal(0, 0.05, 1), 0, *rng.normal(0, 0.05, 1)), rng.uniform(-0.6, 0.6)))
        y += size[1]
        if y > 1.6:
            break
    return join(pieces)


FURNITURE: tuple[tuple[Callable[[Rng, TextureBank], Mesh], float], ...] = (
    (make_table, 3.0), (make_chair, 3.0), (make_shelf, 2.5), (make_cabinet, 2.5), (make_bed, 1.0), (make_sofa, 1.5),
    (make_counter, 1.5), (make_plant, 1.2), (make_floor_lamp, 0.8), (make_crates, 1.5),
)  # fmt: skip


def draw_furniture(rng: Rng, bank: TextureBank) -> Mesh:
    """A random piece."""
    weights = np.array([weight for _, weight in FURNITURE])
    return FURNITURE[int(rng.choice(len(FURNITURE), p=weights / weights.sum()))][0](rng, bank)
