"""What lies on desks and shelves: books, papers, computers, boxes, lamps."""

from __future__ import annotations

import numpy as np

from unish.lab.synthetic.forms import make_cushion, make_rods, make_rounded_box, make_rounded_boxes, make_tube
from unish.lab.synthetic.paints import sample_paint, sample_picture_paint, sample_plain
from unish.lab.synthetic.shapes import Paint, join, make_box, make_boxes, make_quad, make_turned, place, tilt, transform
from unish.lab.synthetic.textures import TextureBank, random_colour
from unish.render.scene import Mesh

Rng = np.random.Generator
DARK = Paint(colour=(0.08, 0.08, 0.09))


def _colours(rng: Rng, count: int, saturation: float = 0.8) -> np.ndarray:
    return np.stack([random_colour(rng, saturation=saturation, low=0.1) for _ in range(count)])


def make_book_row(rng: Rng, bank: TextureBank, width: float | None = None, tallest: float = 0.32) -> Mesh:
    """Books or binders side by side, each with its own size and colour, spines towards +z."""
    width = width or rng.uniform(0.12, 0.5)
    thick = rng.uniform(0.012, 0.05, int(width / 0.015) + 2)
    ends = np.cumsum(thick)
    thick = thick[: max(int((ends < width).sum()), 1)]
    count = len(thick)
    common = rng.random() < 0.3
    tall = tallest * (np.full(count, rng.uniform(0.7, 1.0)) if common else rng.uniform(0.55, 1.0, count))
    deep = np.full(count, rng.uniform(0.12, 0.2)) + rng.uniform(-0.02, 0.02, count)
    x = np.cumsum(thick) - thick / 2 - thick.sum() / 2
    sizes = np.stack([thick * 0.96, tall, deep], axis=1)
    centres = np.stack([x, tall / 2, -deep / 2 + 0.08], axis=1)
    colours = _colours(rng, count) if not common else np.tile(random_colour(rng, saturation=0.8), (count, 1))
    paint = Paint(
        layer=bank.pick(rng, "label", "noise", "text") if rng.random() < 0.6 else -1, tile=rng.uniform(0.1, 0.3)
    )
    return make_boxes(sizes, centres, paint, colours)


def make_book_pile(rng: Rng, bank: TextureBank) -> Mesh:
    """Books or magazines on each other, turned a little."""
    count = int(rng.integers(1, 9))
    thick = rng.uniform(0.006, 0.045, count)
    sizes = np.stack([rng.uniform(0.12, 0.24, count), thick, rng.uniform(0.17, 0.3, count)], axis=1)
    at = np.stack([rng.normal(0, 0.008, count), np.cumsum(thick) - thick / 2, rng.normal(0, 0.008, count)], axis=1)
    paint = Paint(layer=bank.pick(rng, "poster", "label", "image", "text"), tile=0.25)
    return make_boxes(sizes, at, paint, np.clip(_colours(rng, count) + 0.3, 0, 1), rng.normal(0, 0.2, count))


def make_papers(rng: Rng, bank: TextureBank) -> Mesh:
    """Sheets strewn about."""
    count = int(rng.integers(1, 8))
    sizes = np.tile([0.21, 0.0015, 0.297], (count, 1))
    spread = rng.uniform(0.01, 0.12)
    at = np.stack(
        [rng.normal(0, spread, count), 0.001 + 0.002 * np.arange(count), rng.normal(0, spread, count)], axis=1
    )
    paint = Paint(layer=bank.pick(rng, "text"), tile=0.297)
    return make_boxes(sizes, at, paint, rng.uniform(0.85, 1, (count, 1)) * np.ones(3), rng.normal(0, 0.5, count))


def make_screen(rng: Rng, bank: TextureBank) -> Mesh:
    """Monitor or television on a foot."""
    width = rng.uniform(0.4, 0.75)
    height = width * rng.uniform(0.5, 0.66)
    picture = sample_picture_paint(rng, bank, width, "screen", "poster", "image")
    on = rng.random() < 0.6
    glass = (
        Paint(colour=(0.9, 0.9, 0.9), layer=picture.layer, tile=width, lit=False) if on else Paint(colour=(0.04,) * 3)
    )
    rise = rng.uniform(0.06, 0.16)
    middle = rise + height / 2
    bezel = DARK if rng.random() < 0.8 else sample_plain(rng, 0.1)
    return join([
        make_rounded_box((width, height, 0.03), 0.008, bezel, (0, middle, -0.015)),
        make_quad((-width * 0.48, middle - height * 0.46, 0.003), (width * 0.96, 0, 0), (0, height * 0.92, 0), glass),
        make_box((0.05, middle, 0.025), bezel, (0, middle / 2, -0.045)),
        make_rounded_box((0.24, 0.014, 0.17), 0.006, bezel, (0, 0.008, -0.02)),
    ])  # fmt: skip


def make_keyboard(rng: Rng, bank: TextureBank) -> Mesh:
    """Keyboard with keys, mostly with a mouse beside it."""
    body = DARK if rng.random() < 0.6 else sample_plain(rng, 0.1)
    columns, rows = 15, 5
    x, z = np.meshgrid(np.linspace(-0.2, 0.2, columns), np.linspace(-0.05, 0.05, rows))
    at = np.stack([x.ravel(), np.full(x.size, 0.022), z.ravel()], axis=1)
    keys = make_boxes(
        np.tile([0.023, 0.008, 0.018], (x.size, 1)), at, Paint(colour=tuple(rng.uniform(0.1, 0.9) * np.ones(3)))
    )
    pieces = [make_rounded_box((0.43, 0.018, 0.13), 0.006, body, (0, 0.01, 0)), keys]
    if rng.random() < 0.7:
        pieces.append(
            place(make_cushion((0.03, 0.018, 0.055), body, 0.9, 0.9, 5, 13), (0.3, 0.016, 0.01), rng.normal(0, 0.3))
        )
    return join(pieces)


def make_laptop(rng: Rng, bank: TextureBank) -> Mesh:
    """Open or closed laptop."""
    body = Paint(colour=tuple(rng.choice([0.1, 0.6, 0.8]) * np.ones(3)))
    width, depth = rng.uniform(0.29, 0.38), rng.uniform(0.2, 0.26)
    pieces = [make_rounded_box((width, 0.016, depth), 0.006, body, (0, 0.008, 0))]
    if rng.random() < 0.25:
        return join([*pieces, make_rounded_box((width, 0.01, depth), 0.004, body, (0, 0.021, 0))])
    glass = Paint(colour=(0.9,) * 3, layer=bank.pick(rng, "screen", "text", "poster"), tile=width, lit=False)
    lid = [
        make_rounded_box((width, depth, 0.008), 0.004, body, (0, depth / 2, 0)),
        make_quad((-width * 0.47, depth * 0.06, 0.0055), (width * 0.94, 0, 0), (0, depth * 0.88, 0), glass),
    ]
    lean = tilt(join(lid), -rng.uniform(0.1, 0.5))
    x, z = np.meshgrid(np.linspace(-0.4, 0.4, 14) * width, np.linspace(-0.3, 0.1, 5) * depth)
    at = np.stack([x.ravel(), np.full(x.size, 0.0175), z.ravel()], axis=1)
    return join(
        [
            *pieces,
            place(lean, (0, 0.014, -depth / 2)),
            make_boxes(np.tile([0.016, 0.004, 0.014], (x.size, 1)), at, DARK),
        ]
    )


def make_desk_lamp(rng: Rng, bank: TextureBank) -> Mesh:
    """Lamp with a jointed arm, or a shade on a foot."""
    metal = sample_plain(rng, 0.7)
    glow = Paint(colour=(1.0, 0.93, 0.78), lit=rng.random() < 0.5)
    foot = make_turned([(0, 0), (0.09, 0), (0.085, 0.02), (0, 0.02)], metal, 14)
    if rng.random() < 0.5:
        elbow, end = np.array([-0.12, 0.25, 0]), np.array([0.12, 0.42, 0])
        arm = make_rods(np.array([[0, 0.02, 0], elbow]), np.array([elbow, end]), 0.008, metal, 6)
        head = tilt(make_turned([(0.085, 0), (0.04, 0.1), (0, 0.11)], metal, 12), 0, -0.4)
        return join([foot, arm, place(head, end - [0, 0.08, 0])])
    tall, wide = rng.uniform(0.18, 0.35), rng.uniform(0.08, 0.16)
    shade = place(make_turned([(wide, 0), (wide * 0.6, 0.16), (0, 0.16)], glow, 14), (0, tall - 0.02, 0))
    stem = make_turned([(0.03, 0.02), (0.045, tall * 0.4), (0.015, tall)], sample_paint(rng, bank, tile=(0.1, 0.3)), 12)
    return join([foot, stem, shade])


def make_cable(rng: Rng, bank: TextureBank) -> Mesh:
    """Cable lying in loops."""
    angle = np.linspace(0, rng.uniform(4, 14), 40)
    wander = np.cumsum(rng.normal(0, 0.012, (40, 2)), axis=0)
    radius = rng.uniform(0.03, 0.12)
    path = np.stack(
        [radius * np.cos(angle) + wander[:, 0], 0.006 + 0.003 * (angle // 6), radius * np.sin(angle) + wander[:, 1]], 1
    )
    return make_tube(path, 0.004, sample_plain(rng, 0.5), 5)


def make_open_box(rng: Rng, bank: TextureBank) -> Mesh:
    """Cardboard box with open flaps, a plastic crate or a filing tray."""
    size = rng.uniform((0.2, 0.12, 0.18), (0.55, 0.42, 0.45))
    card = Paint(colour=(0.72, 0.56, 0.38), layer=bank.pick(rng, "cloudy", "noise", "text"), tile=0.5)
    paint, thick = (card if rng.random() < 0.6 else sample_paint(rng, bank, "wicker", "planks", "noise")), 0.008
    half = size / 2
    sizes = np.array([[size[0], thick, size[2]], *[[size[0], size[1], thick]] * 2, *[[thick, size[1], size[2]]] * 2])
    at = np.array(
        [
            [0, thick / 2, 0],
            [0, half[1], half[2]],
            [0, half[1], -half[2]],
            [half[0], half[1], 0],
            [-half[0], half[1], 0],
        ]
    )
    pieces = [make_boxes(sizes, at, paint)]
    if rng.random() < 0.6:
        for side in (-1, 1):
            flap = make_box((size[0], thick, half[2]), paint, (0, 0, half[2] / 2))
            leaf = tilt(flap, rng.uniform(-0.9, 0.9))
            pieces.append(
                place(leaf, (0, size[1], half[2]), 0) if side > 0 else place(leaf, (0, size[1], -half[2]), np.pi)
            )
    else:
        pieces.append(place(make_book_pile(rng, bank), (0, 0.01, 0)))
    return join(pieces)


def make_carton_box(rng: Rng, bank: TextureBank) -> Mesh:
    """Closed parcel, storage box or case with rounded edges."""
    size = rng.uniform((0.12, 0.08, 0.12), (0.5, 0.4, 0.45))
    paint = sample_paint(rng, bank, "label", "cloudy", "text", "fabric", "poster", "image", "noise", tile=(0.2, 0.5))
    tape = make_box((size[0] + 0.002, size[1] + 0.003, 0.05), Paint(colour=(0.75, 0.66, 0.5)), (0, size[1] / 2, 0))
    body = make_rounded_box(size, rng.choice([0.002, 0.01, 0.03]), paint, (0, size[1] / 2, 0))
    return join([body, tape]) if rng.random() < 0.4 else body


def make_frame(rng: Rng, bank: TextureBank) -> Mesh:
    """Standing picture or clock."""
    width = rng.uniform(0.1, 0.3)
    tall = width * rng.uniform(0.7, 1.4)
    picture = sample_picture_paint(rng, bank, width)
    pieces = [
        make_box((width, tall, 0.012), sample_paint(rng, bank, "wood", "noise"), (0, tall / 2, 0)),
        make_box((width * 0.8, tall * 0.8, 0.004), picture, (0, tall / 2, 0.008)),
    ]
    return tilt(join(pieces), -rng.uniform(0.1, 0.25))


def make_speaker(rng: Rng, bank: TextureBank) -> Mesh:
    """Box with round membranes: loudspeaker, projector, printer-like case."""
    size = rng.uniform((0.1, 0.14, 0.1), (0.25, 0.4, 0.25))
    pieces = [make_rounded_box(size, 0.01, sample_paint(rng, bank, "wood", "noise"), (0, size[1] / 2, 0))]
    for at, share in ((0.3, 0.38), (0.72, 0.25)):
        ring = make_turned([(size[0] * share, 0), (size[0] * share * 0.8, -0.012), (0, -0.02)], DARK, 14)
        upright = transform(ring, np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]))
        pieces.append(place(upright, (0, size[1] * at, size[2] / 2 + 0.004)))
    return join(pieces)


def make_office_machine(rng: Rng, bank: TextureBank) -> Mesh:
    """Printer or computer tower."""
    light = Paint(colour=tuple(rng.choice([0.12, 0.75, 0.88]) * np.ones(3)))
    if rng.random() < 0.5:
        size = np.array([0.19, rng.uniform(0.35, 0.46), rng.uniform(0.4, 0.5)])
        slots = np.stack([np.zeros(3), size[1] * np.array([0.7, 0.8, 0.9]), np.full(3, size[2] / 2)], axis=1)
        parts = [make_rounded_boxes(np.tile([0.15, 0.025, 0.01], (3, 1)), 0.003, slots, DARK)]
    else:
        size = rng.uniform((0.38, 0.18, 0.32), (0.5, 0.32, 0.42))
        sheet = Paint(layer=bank.pick(rng, "text"), tile=0.3)
        paper = tilt(make_box((0.21, 0.25, 0.004), sheet, (0, 0.12, 0)), -0.5)
        parts = [
            place(paper, (0, size[1] - 0.02, -size[2] * 0.25)),
            make_box((0.24, 0.04, 0.1), DARK, (0, size[1] * 0.35, size[2] * 0.42)),
        ]
    return join([make_rounded_box(size, 0.02, light, (0, size[1] / 2, 0)), *parts])


DESKWARE = (
    make_book_row, make_book_row, make_book_pile, make_book_pile, make_papers, make_papers, make_screen, make_keyboard,
    make_laptop, make_desk_lamp, make_cable, make_open_box, make_carton_box, make_frame, make_speaker,
    make_office_machine,
)  # fmt: skip
