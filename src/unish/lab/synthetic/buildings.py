"""Houses with windows, doors, balconies and shop fronts as geometry; flights of steps."""

from __future__ import annotations

import numpy as np

from unish.lab.synthetic.paints import sample_paint, sample_plain
from unish.lab.synthetic.shapes import Paint, join, make_box, make_boxes, make_quad, place
from unish.lab.synthetic.textures import TextureBank
from unish.lab.synthetic.things.rough import make_railing
from unish.lab.synthetic.walls import Opening, Wall, make_door, make_reveal, make_wall
from unish.render.scene import Mesh

Rng = np.random.Generator
FACADE_KINDS = ("bricks", "plaster", "concrete", "stones", "cloudy", "plaster", "subway")


def make_house(rng: Rng, bank: TextureBank, width: float, depth: float, storeys: int) -> Mesh:
    """A house whose front stands in the plane z = 0 and faces +z, its body behind; centred in x."""
    each = rng.uniform(2.6, 3.6)
    wall = sample_paint(rng, bank, *FACADE_KINDS, tile=(1.2, 3.5), saturation=0.4)
    pieces = [place(_make_storey(rng, bank, width, each, wall, ground=True), (0, 0, 0))]
    if storeys > 1:
        upper = _make_storey(rng, bank, width, each, wall, ground=False)
        pieces += [place(upper, (0, each * floor, 0)) for floor in range(1, storeys)]
    tall = each * storeys
    body = make_box((width, tall, depth - 0.4), wall, (0, tall / 2, -depth / 2 - 0.2))
    roof = sample_paint(rng, bank, "tiles", "bricks", "concrete", "metal")
    pieces += [body, make_box((width + 0.3, 0.25, depth + 0.5), roof, (0, tall + 0.12, -depth / 2))]
    if rng.random() < 0.5:
        rise = rng.uniform(1.0, 3.5)
        for side in (0.0, -depth):
            run = -depth / 2 - side
            pieces.append(make_quad((-width / 2 - 0.2, tall + 0.2, side), (width + 0.4, 0, 0), (0, rise, run), roof))
    return join(pieces)


def _make_storey(rng: Rng, bank: TextureBank, width: float, height: float, wall: Paint, ground: bool) -> Mesh:
    """One floor of a front: evenly spaced openings with panes and bars, doors, shop windows, balconies."""
    count = max(int(width / rng.uniform(1.7, 3.2)), 1)
    step, wide = width / count, rng.uniform(0.4, 0.75)
    low, high = rng.uniform(0.5, 1.0), height - rng.uniform(0.3, 0.6)
    shop = ground and rng.random() < 0.35
    holes = []
    for number in range(count):
        middle, kind = (number + 0.5) * step, "window"
        half, bottom, top = step * wide / 2, low, high
        if shop:
            half, bottom = step * 0.42, 0.3
        if ground and rng.random() < 0.3:
            kind, half, bottom, top = "door", min(0.55, step * 0.4), 0.0, min(2.2, height - 0.2)
        holes.append(Opening(kind=kind, left=middle - half, right=middle + half, low=bottom, high=top))
    front = Wall(corner=np.array([-width / 2, 0, 0.0]), yaw=0.0, length=width, openings=tuple(holes))
    pieces, deep = [make_wall(front, height, wall)], rng.uniform(0.1, 0.28)
    frame, trim = sample_plain(rng, 0.3, 0.3), sample_plain(rng, 0.2, 0.4)
    balcony = not ground and rng.random() < 0.3
    for hole in holes:
        if hole.kind == "door":
            pieces.append(front.put(make_door(rng, bank, hole, deep)))
            continue
        pieces.append(front.put(join([make_reveal(hole, deep, trim), _make_pane(rng, bank, hole, deep, frame)])))
        if balcony and rng.random() < 0.7:
            rail = place(make_railing(rng, bank, hole.right - hole.left + 0.5, 0.95), (0, 0, 0.8))
            slab = make_box((hole.right - hole.left + 0.6, 0.12, 0.85), trim, (0, -0.06, 0.42))
            pieces.append(front.put(join([rail, slab]), (hole.left + hole.right) / 2, max(hole.low - 0.5, 0.1)))
    if shop and rng.random() < 0.7:
        sign = Paint(layer=bank.pick(rng, "label", "poster", "stripes"), tile=rng.uniform(1, 3))
        pieces.append(make_box((width * 0.9, 0.4, 0.1), sign, (0, high + 0.22, 0.05)))
        if rng.random() < 0.5:
            cloth = sample_paint(rng, bank, "stripes", "fabric", saturation=0.9)
            pieces.append(make_quad((-width * 0.45, high - 0.3, 1.1), (width * 0.9, 0, 0), (0, 0.5, -1.1), cloth))
    if rng.random() < 0.5:
        pieces.append(make_box((width, 0.14, 0.12), trim, (0, height - 0.07, 0.06)))
    return join(pieces)


def _make_pane(rng: Rng, bank: TextureBank, hole: Opening, deep: float, frame: Paint) -> Mesh:
    """Dark glass with curtains or reflections as a picture, bars before it."""
    w, h, x, y = hole.right - hole.left, hole.high - hole.low, (hole.left + hole.right) / 2, (hole.low + hole.high) / 2
    shade = rng.uniform(0.15, 0.6)
    glass = Paint(
        colour=(shade * 0.85, shade * 0.95, shade),
        layer=bank.pick(rng, "clouds", "stripes", "cloudy", "poster", "noise"),
        tile=max(w, h),
    )
    bars = int(rng.integers(1, 3))
    sizes = np.array([(0.06, h, 0.05)] * (bars + 1) + [(w, 0.06, 0.05)] * 2)
    at = np.array(
        [(hole.left + w * i / bars, y, -deep * 0.7) for i in range(bars + 1)]
        + [(x, hole.low, -deep * 0.7), (x, hole.high - 0.03, -deep * 0.7)]
    )
    pane = make_quad((hole.left, hole.low, -deep), (w, 0, 0), (0, h, 0), glass)
    sill = make_box((w + 0.16, 0.06, 0.14), frame, (x, hole.low - 0.03, 0.05))
    return join([pane, sill, make_boxes(sizes, at, frame)])


def make_arcade(rng: Rng, bank: TextureBank, width: float) -> Mesh:
    """Row of columns with beams or arches in front of z = 0, and a roof."""
    height, deep = rng.uniform(2.4, 3.4), rng.uniform(1.5, 2.6)
    paint = sample_paint(rng, bank, "plaster", "stones", "concrete", "marble", "wood")
    count = max(int(width / rng.uniform(2.0, 3.5)), 2)
    x = np.linspace(-0.5, 0.5, count + 1) * (width - 0.4)
    side = rng.uniform(0.2, 0.45)
    columns = np.stack([x, np.full(len(x), height / 2), np.full(len(x), deep)], axis=1)
    roof = sample_paint(rng, bank, "tiles", "wood", "metal")
    return join([
        make_boxes(np.tile([side, height, side], (len(x), 1)), columns, paint),
        make_box((width, 0.35, 0.4), paint, (0, height + 0.17, deep)),
        make_box((width, 0.15, deep + 0.3), roof, (0, height + 0.42, deep / 2)),
    ])  # fmt: skip


def make_steps(rng: Rng, bank: TextureBank) -> list[Mesh]:
    """A flight of steps that rises towards −z to a terrace, with a railing or side walls; a ramp at times."""
    width, count = rng.uniform(1.2, 8.0), int(rng.integers(3, 16))
    rise, tread, terrace = rng.uniform(0.13, 0.19), rng.uniform(0.26, 0.38), rng.uniform(1.0, 5.0)
    paint = sample_paint(rng, bank, "concrete", "stones", "paving", "bricks", "wood", "terrazzo")
    number = np.arange(count)
    heights = (number + 1) * rise
    # Each step is a block down to the ground, the last one is the terrace.
    deep = np.full(count, tread)
    deep[-1] = terrace
    z = -np.cumsum(deep) + deep / 2
    centres = np.stack([np.zeros(count), heights / 2, z], axis=1)
    sizes = np.stack([np.full(count, width), heights, deep], axis=1)
    shades = np.repeat((1 - 0.1 * (number % 2))[:, None], 3, axis=1)
    pieces, top, length = [make_boxes(sizes, centres, paint, shades)], heights[-1], tread * (count - 1)
    if rng.random() < 0.6:
        metal = sample_paint(rng, bank, "metal", "wood")
        rail = make_railing(rng, bank, terrace, 0.95)
        pieces += [place(rail, (s * width / 2, top, -length - terrace / 2), np.pi / 2) for s in (-1, 1)]
        posts = np.stack([np.zeros(count), heights, z], axis=1)[:-1]
        bars = make_boxes(np.tile([0.03, 0.9, 0.03], (count - 1, 1)), posts + np.array([0, 0.45, 0]), metal)
        pieces += [place(bars, (s * (width / 2 - 0.05), 0, 0)) for s in (-1, 1)]
        hand = np.array([0, top + 0.9, -length])
        for s in (-1, 1):
            start = np.array([s * (width / 2 - 0.05), 0.9, 0])
            pieces.append(make_quad(start, hand - np.array([0, 0.9, 0]), (0, 0.06, 0), metal))
    elif rng.random() < 0.6:
        side = sample_paint(rng, bank, "bricks", "stones", "plaster", "graffiti")
        wall = (0.25, top + 0.4, length + terrace)
        pieces += [make_box(wall, side, (s * (width / 2 + 0.12), wall[1] / 2, -wall[2] / 2)) for s in (-1, 1)]
    return [join(pieces)]
