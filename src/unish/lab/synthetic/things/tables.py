"""Tables, desks, beds: what carries clutter. A piece is a list: its body, then what stands on or beside it."""

from __future__ import annotations

import numpy as np

from unish.lab.synthetic.forms import make_cloth_heap, make_cushion, make_rounded_box, make_sheet
from unish.lab.synthetic.paints import sample_cloth, sample_paint, sample_plain
from unish.lab.synthetic.shapes import Paint, join, make_box, make_boxes, make_turned, place, tilt
from unish.lab.synthetic.textures import TextureBank
from unish.lab.synthetic.things.deskware import make_desk_lamp, make_keyboard, make_screen
from unish.lab.synthetic.things.seats import make_chair, make_legs, make_office_chair, make_stool
from unish.lab.synthetic.things.stock import Piece, place_all, scatter
from unish.render.scene import Mesh

Rng = np.random.Generator
HANDLE = Paint(colour=(0.35, 0.35, 0.36))


def sample_count(rng: Rng, area: float) -> int:
    """How many things to try on a surface: now and then none, now and then as many as fit."""
    return int(area * rng.choice([0, 6, 18, 35, 60], p=[0.06, 0.2, 0.3, 0.32, 0.12]) + rng.integers(0, 3))


def _make_top(rng: Rng, bank: TextureBank, width: float, depth: float, height: float) -> Mesh:
    """Board on legs, trestles, panels or one foot; at times under a cloth."""
    top = sample_paint(rng, bank, "wood", "planks", "marble", "noise", "terrazzo", "wood")
    legs = sample_paint(rng, bank, "wood", "metal", "noise") if rng.random() < 0.6 else sample_plain(rng, 0.2)
    thick = rng.uniform(0.018, 0.06)
    pieces = [make_rounded_box((width, thick, depth), rng.choice([0.003, 0.015]), top, (0, height - thick / 2, 0))]
    kind = rng.random()
    if kind < 0.6:
        pieces.append(make_legs(rng, width, depth, height - thick, legs, rng.choice([0, 0, 0.08])))
        if rng.random() < 0.6:
            rail = make_boxes(
                np.array([[width - 0.1, 0.08, 0.02]] * 2 + [[0.02, 0.08, depth - 0.1]] * 2),
                np.array(
                    [
                        [0, 0, depth / 2 - 0.05],
                        [0, 0, 0.05 - depth / 2],
                        [width / 2 - 0.05, 0, 0],
                        [0.05 - width / 2, 0, 0],
                    ]
                )
                + np.array([0, height - thick - 0.04, 0]),
                legs,
            )
            pieces.append(rail)
    elif kind < 0.8:
        panels = np.array([[side * (width / 2 - 0.03), (height - thick) / 2, 0] for side in (-1, 1)])
        pieces.append(make_boxes(np.tile([0.025, height - thick, depth * 0.95], (2, 1)), panels, legs))
        pieces.append(make_box((width - 0.06, height * 0.4, 0.018), legs, (0, height * 0.7, -depth * 0.4)))
    else:
        column = min(width, depth) * 0.3
        pieces.append(
            make_turned([(0, 0), (column, 0), (column, 0.025), (0.04, 0.06), (0.04, height - thick)], legs, 14)
        )
    if rng.random() < 0.12:
        pieces.append(_make_tablecloth(rng, bank, width, depth, height))
    return join(pieces)


def _make_tablecloth(rng: Rng, bank: TextureBank, width: float, depth: float, height: float) -> Mesh:
    """Cloth over a table, hanging down in folds at the rim."""
    a, b = np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1, 21), indexing="ij")
    hang = rng.uniform(0.1, 0.3)
    x, z = a * (width / 2 + hang), b * (depth / 2 + hang)
    over = np.maximum(np.maximum(np.abs(x) - width / 2, np.abs(z) - depth / 2), 0)
    wave = 0.02 * np.sin(12 * x + 9 * z + rng.uniform(0, 6)) * (over > 0)
    flat = np.stack(
        [
            np.clip(x, -width / 2 - 0.01, width / 2 + 0.01) + wave,
            height + 0.004 - over,
            np.clip(z, -depth / 2 - 0.01, depth / 2 + 0.01) + wave,
        ],
        -1,
    )
    return make_sheet(flat, sample_cloth(rng, bank))


def make_dining_set(rng: Rng, bank: TextureBank) -> Piece:
    """Table with chairs around it, partly pushed in or turned away, laid or littered."""
    width, depth, height = rng.uniform(0.7, 2.2), rng.uniform(0.65, 1.0), rng.uniform(0.7, 0.78)
    piece = [_make_top(rng, bank, width, depth, height)]
    groups = [("kitchen",), ("kitchen", "living"), ("desk", "kitchen"), ("desk", "living", "cloth")][
        int(rng.integers(4))
    ]
    piece += scatter(rng, bank, groups, (width, depth), height, sample_count(rng, width * depth))
    chair = make_stool(rng, bank) if rng.random() < 0.15 else make_chair(rng, bank)
    for side in (0, 1, 2, 3):
        along, across = (width, depth) if side % 2 == 0 else (depth, width)
        for slot in range(max(int(along / 0.62), 1)):
            if rng.random() < 0.25:
                continue
            count = max(int(along / 0.62), 1)
            at = np.array([(slot + 0.5) / count * along - along / 2, 0, -(across / 2 + rng.uniform(-0.1, 0.45))])
            yaw = side * np.pi / 2
            c, s = np.cos(yaw), np.sin(yaw)
            piece.append(place(chair, (c * at[0] + s * at[2], 0, c * at[2] - s * at[0]), yaw + rng.normal(0, 0.2)))
    return piece


def make_low_table(rng: Rng, bank: TextureBank) -> Piece:
    """Coffee table, side table, bedside table."""
    width, depth, height = rng.uniform(0.35, 1.2), rng.uniform(0.35, 0.7), rng.uniform(0.32, 0.55)
    piece = [_make_top(rng, bank, width, depth, height)]
    groups = [("living", "desk"), ("kitchen", "desk"), ("living",)][int(rng.integers(3))]
    return piece + scatter(rng, bank, groups, (width, depth), height, sample_count(rng, width * depth))


def make_desk(rng: Rng, bank: TextureBank) -> Piece:
    """Desk with screens, keyboard, lamp, drawers, papers, and a chair before it."""
    width, depth, height = rng.uniform(0.9, 1.9), rng.uniform(0.55, 0.85), rng.uniform(0.7, 0.78)
    piece = [_make_top(rng, bank, width, depth, height)]
    if rng.random() < 0.5:
        drawers = make_drawers(rng, bank, 0.4, depth * 0.85, height - 0.08)
        piece.append(place(drawers, (rng.choice([-1, 1]) * (width / 2 - 0.25), 0, 0)))
    x = rng.uniform(-0.2, 0.2) * width
    screens = int(rng.choice([0, 1, 1, 2]))
    for number in range(screens):
        shift = (number - (screens - 1) / 2) * 0.62
        piece.append(
            place(make_screen(rng, bank), (x + shift, height, -depth * 0.22), -shift * 0.5 + rng.normal(0, 0.1))
        )
    if screens:
        piece.append(place(make_keyboard(rng, bank), (x, height, depth * 0.22), rng.normal(0, 0.1)))
    if rng.random() < 0.4:
        piece.append(
            place(make_desk_lamp(rng, bank), (np.copysign(width * 0.38, -x), height, -depth * 0.25), rng.uniform(0, 6))
        )
    # The rest of the clutter keeps to the ends of the desk, beside screens and keyboard.
    end = width * 0.28 if screens else width / 2
    for side in (-1, 1):
        strip = scatter(
            rng, bank, ("desk", "desk", "kitchen", "living"), (end, depth), height, sample_count(rng, end * depth)
        )
        piece += place_all(strip, (side * (width - end) / 2, 0, 0))
    if rng.random() < 0.8:
        chair = make_office_chair(rng, bank) if rng.random() < 0.65 else make_chair(rng, bank)
        piece.append(place(chair, (x, 0, depth / 2 + rng.uniform(0.05, 0.5)), np.pi + rng.normal(0, 0.6)))
    return piece


def make_drawers(rng: Rng, bank: TextureBank, width: float, depth: float, height: float) -> Mesh:
    """Closed body with drawers or doors and handles, one drawer at times pulled out."""
    body, front = sample_paint(rng, bank), sample_paint(rng, bank)
    columns, rows = (
        max(int(width / rng.uniform(0.35, 0.8)), 1),
        int(np.clip(round(height / rng.uniform(0.18, 0.9)), 1, 6)),
    )
    w, h = width / columns, (height - 0.06) / rows
    i, j = (a.ravel() for a in np.meshgrid(np.arange(columns), np.arange(rows), indexing="ij"))
    out = 0.01 + 0.2 * (rng.random(i.size) < 0.06)
    at = np.stack([-width / 2 + (i + 0.5) * w, 0.06 + (j + 0.5) * h, depth / 2 + out / 2], axis=1)
    fronts = make_boxes(np.stack([np.full(i.size, w - 0.012), np.full(i.size, h - 0.012), out + 0.01], 1), at, front)
    upright = h > 0.5
    bar = np.tile([0.014, 0.14, 0.02] if upright else [min(0.14, w * 0.4), 0.014, 0.02], (i.size, 1))
    grip = at + np.stack(
        [np.full(i.size, w * 0.4 * upright), np.full(i.size, h * (0.0 if upright else 0.25)), out / 2 + 0.02], 1
    )
    return join([make_box((width, height, depth), body, (0, height / 2, 0)), fronts, make_boxes(bar, grip, HANDLE)])


def make_bed(rng: Rng, bank: TextureBank) -> Piece:
    """Bed with mattress, crumpled blanket, pillows, head board; at times strewn with clothes."""
    width, length, height = rng.uniform(0.85, 1.9), rng.uniform(1.9, 2.1), rng.uniform(0.4, 0.6)
    frame, cloth = sample_paint(rng, bank, "wood", "planks", "fabric", "noise"), sample_cloth(rng, bank)
    sheet = sample_plain(rng, 0.2, 0.6)
    pieces = [
        make_rounded_box((width + 0.06, height * 0.45, length + 0.06), 0.02, frame, (0, height * 0.3, 0)),
        make_rounded_box((width, 0.22, length), 0.07, sheet, (0, height - 0.11, 0)),
        make_rounded_box((width + 0.06, rng.uniform(0.7, 1.2), 0.06), 0.02, frame, (0, 0.45, -length / 2 - 0.05)),
    ]
    a, b = np.meshgrid(np.linspace(-1, 1, 23), np.linspace(0, 1, 25), indexing="ij")
    waves = rng.normal(size=(6, 2)) * [5, 7]
    crumple = np.sin(np.stack([a, b], -1) @ waves.T + rng.uniform(0, 6, 6)).sum(-1) * rng.uniform(0.004, 0.02)
    x, z = a * (width / 2 + 0.15), -length * rng.uniform(0.0, 0.3) + b * (length * 0.7)
    over = np.maximum(np.abs(x) - width / 2, 0)
    y = height + 0.05 + crumple - over * 1.5
    z = np.minimum(z, length / 2 + 0.04)
    pieces.append(
        make_sheet(np.stack([np.clip(x, -width / 2 - 0.05, width / 2 + 0.05) + crumple * 0.5, y, z], -1), cloth)
    )
    for x_pillow in (-0.24, 0.24) if width > 1.3 else (0.0,):
        pillow = make_cushion((0.34, 0.1, 0.22), sample_cloth(rng, bank) if rng.random() < 0.5 else sheet, 0.8, 0.4)
        pillow = tilt(pillow, rng.choice([0.1, -0.9]))
        pieces.append(place(pillow, (x_pillow * width, height + 0.11, -length * 0.38), rng.normal(0, 0.15)))
    if rng.random() < 0.4:
        pieces.append(
            place(make_cloth_heap(rng, (0.3, 0.12, 0.35), sample_cloth(rng, bank)), (0, height + 0.05, length * 0.2))
        )
    things = scatter(
        rng, bank, ("cloth", "desk", "living"), (width * 0.8, length * 0.5), height + 0.05, int(rng.integers(0, 6))
    )
    return [join(pieces), *place_all(things, (0, 0, 0.3))]


def make_workbench(rng: Rng, bank: TextureBank) -> Piece:
    """Heavy bench with tools, a vice and boxes under it."""
    width, depth, height = rng.uniform(1.0, 2.4), rng.uniform(0.5, 0.8), rng.uniform(0.8, 0.95)
    wood = sample_paint(rng, bank, "wood", "planks", "metal")
    pieces = [
        make_box((width, 0.06, depth), wood, (0, height - 0.03, 0)),
        make_legs(rng, width, depth, height - 0.06, wood),
        make_box((width - 0.1, 0.025, depth - 0.08), wood, (0, 0.22, 0)),
    ]
    piece = [join(pieces)]
    piece += scatter(
        rng, bank, ("tools", "tools", "desk", "kitchen"), (width, depth), height, sample_count(rng, width * depth) + 6
    )
    return piece + scatter(rng, bank, ("tools", "floor"), (width - 0.2, depth), 0.235, 8, height - 0.35)
