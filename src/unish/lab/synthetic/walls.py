"""Walls with openings: windows, doors, passages, and what hangs on walls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.lab.synthetic.forms import make_curtain, make_rods, make_rounded_box, make_rounded_boxes, make_tube
from unish.lab.synthetic.paints import sample_cloth, sample_paint, sample_picture_paint, sample_plain
from unish.lab.synthetic.shapes import (
    Paint,
    join,
    make_box,
    make_boxes,
    make_mesh,
    make_quad,
    make_quads,
    make_turned,
    place,
    transform,
)
from unish.lab.synthetic.textures import WALL_KINDS, TextureBank
from unish.render.scene import Mesh

Rng = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class Opening:
    """A hole in a wall: from ``left`` to ``right`` along it, from ``low`` to ``high`` above the floor (metres)."""

    kind: str
    left: float
    right: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Wall:
    """A vertical plane. Local axes: x along it, y up, z into the room; the origin is its left lower end.

    Attributes:
        corner: (3,) stage position of the origin; yaw: turn of the local axes; length: metres.
    """

    corner: Float[ndarray, "3"]
    yaw: float
    length: float
    openings: tuple[Opening, ...] = ()

    def put(self, mesh: Mesh, at: float = 0.0, up: float = 0.0, out: float = 0.0) -> Mesh:
        """A mesh in local axes, moved along the wall, up and into the room, in the stage."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return place(mesh, self.corner + np.array([c * at + s * out, up, c * out - s * at]), self.yaw)

    def is_free(self, left: float, right: float, top: float) -> bool:
        """Would something as high as ``top`` between the two places hide no door and no window?"""
        return not any(
            left < hole.right + 0.05 and hole.left - 0.05 < right and top > hole.low - 0.02 for hole in self.openings
        )


def outline(low: Float[ndarray, "2"], high: Float[ndarray, "2"]) -> list[Wall]:
    """The four walls of a rectangle (x, z), facing inwards."""
    corners = np.array([[high[0], 0, high[1]], [low[0], 0, high[1]], [low[0], 0, low[1]], [high[0], 0, low[1]]])
    walls = []
    for side in range(4):
        across = corners[(side + 1) % 4] - corners[side]
        walls.append(
            Wall(
                corner=corners[side], yaw=float(np.arctan2(-across[2], across[0])), length=float(np.linalg.norm(across))
            )
        )
    return walls


def sample_wall_paint(rng: Rng, bank: TextureBank) -> Paint:
    """Mostly pale and quiet, sometimes patterned."""
    if rng.random() < 0.3:
        return sample_plain(rng, 0.2, 0.6)
    return sample_paint(rng, bank, *WALL_KINDS, tile=(0.8, 3.0), saturation=0.15)


def make_wall(wall: Wall, height: float, paint: Paint) -> Mesh:
    """The wall's surface around its openings, in the stage."""
    rects, at = [], 0.0
    for hole in sorted(wall.openings, key=lambda hole: hole.left):
        rects += [
            (at, hole.left, 0.0, height),
            (hole.left, hole.right, 0.0, hole.low),
            (hole.left, hole.right, hole.high, height),
        ]
        at = hole.right
    rects.append((at, wall.length, 0.0, height))
    left, right, low, high = np.array(
        [rect for rect in rects if rect[1] - rect[0] > 1e-4 and rect[3] - rect[2] > 1e-4]
    ).T
    flat = np.stack(
        [np.stack([left, low], 1), np.stack([right, low], 1), np.stack([right, high], 1), np.stack([left, high], 1)],
        axis=1,
    )
    vertices = np.concatenate([flat, np.zeros_like(flat[..., :1])], axis=-1).reshape(-1, 3)
    faces = (np.array([[0, 1, 2], [0, 2, 3]])[None] + 4 * np.arange(len(flat))[:, None, None]).reshape(-1, 3)
    uv = flat.reshape(-1, 2) * [1, -1] + [0, height]
    normals = np.broadcast_to([0.0, 0.0, 1.0], vertices.shape)
    return wall.put(make_mesh(vertices, faces, uv, paint, normals))


def make_reveal(hole: Opening, depth: float, paint: Paint) -> Mesh:
    """The four inner faces of a hole through a wall of a thickness, in the wall's axes."""
    x, y, w, h = hole.left, hole.low, hole.right - hole.left, hole.high - hole.low
    starts = np.array([[x, y, 0], [x + w, y, 0], [x, y + h, 0], [x, y, 0]])
    ups = np.array([[0, h, 0], [0, h, 0], [w, 0, 0], [w, 0, 0]])
    return make_quads(starts, np.broadcast_to([0.0, 0.0, -depth], (4, 3)), ups, paint)


def make_window(rng: Rng, bank: TextureBank, hole: Opening, depth: float, clear: bool) -> Mesh:
    """Frame, bars, sill, blinds or curtains in the wall's axes; the pane is left open if ``clear``, else it glows."""
    w, h, x = hole.right - hole.left, hole.high - hole.low, (hole.left + hole.right) / 2
    frame = sample_plain(rng, 0.2, 0.5) if rng.random() < 0.7 else sample_paint(rng, bank, "wood", "metal")
    z, bar = -depth * rng.uniform(0.5, 0.95), rng.uniform(0.03, 0.07)
    columns, rows = int(rng.integers(1, 4)), int(rng.choice([1, 1, 1, 2, 3]))
    middle = (hole.low + hole.high) / 2
    sizes = [(bar, h, 0.05)] * (columns + 1) + [(w, bar, 0.05)] * (rows + 1)
    at = [(hole.left + w * i / columns, middle, z) for i in range(columns + 1)]
    at += [(x, hole.low + h * i / rows, z) for i in range(rows + 1)]
    pieces = [make_boxes(np.array(sizes), np.array(at), frame), make_reveal(hole, depth, sample_plain(rng, 0.15, 0.6))]
    if not clear:
        glow = Paint(
            colour=tuple(np.clip(np.array([0.9, 0.95, 1.0]) * rng.uniform(0.6, 1.15), 0, 1)),
            layer=bank.pick(rng, "clouds", "cloudy", "facade"),
            tile=w * 2,
            lit=False,
        )
        pieces.append(make_quad((hole.left, hole.low, -depth), (w, 0, 0), (0, h, 0), glow))
    if hole.low > 0.2:
        sill = sample_paint(rng, bank, "wood", "marble", "terrazzo", "noise")
        pieces.append(
            make_rounded_box((w + 0.1, 0.03, depth + 0.08), 0.01, sill, (x, hole.low - 0.005, -depth / 2 + 0.05))
        )
    chance = rng.random()
    if chance < 0.2:
        drop = h * rng.uniform(0.2, 1.0)
        slats = np.arange(hole.high - drop, hole.high, 0.035)
        centres = np.stack([np.full(len(slats), x), slats, np.full(len(slats), 0.0)], axis=1)
        pieces.append(
            make_boxes(np.tile([w - 0.02, 0.004, 0.028], (len(slats), 1)), centres, sample_plain(rng, 0.3, 0.5))
        )
    elif chance < 0.55:
        cloth = sample_cloth(rng, bank)
        tall = hole.high + 0.12 - (0.03 if rng.random() < 0.6 else hole.low - 0.15)
        rod = np.array([[hole.left - 0.3, hole.high + 0.12, 0.08], [hole.right + 0.3, hole.high + 0.12, 0.08]])
        pieces.append(make_rods(rod[:1], rod[1:], 0.012, frame, 6))
        for side in (-1, 1):
            wide = rng.uniform(0.2, 0.55) * max(w * 0.5, 0.3)
            curtain = make_curtain(rng, wide, tall, cloth)
            edge = x + side * (w / 2 + 0.12 - wide * 0.3)
            pieces.append(place(curtain, (edge, hole.high + 0.12 - tall, 0.08)))
    return join(pieces)


def make_radiator(rng: Rng, bank: TextureBank, width: float) -> Mesh:
    """Ribs with pipes, its back at z = 0."""
    height, count = rng.uniform(0.4, 0.65), max(int(width / 0.06), 3)
    x = np.linspace(-0.5, 0.5, count) * width
    at = np.stack([x, np.full(count, 0.12 + height / 2), np.full(count, 0.06)], axis=1)
    paint = sample_plain(rng, 0.1, 0.75)
    pipe = np.array([[width / 2, 0.14, 0.06], [width / 2 + 0.08, 0.14, 0.06], [width / 2 + 0.08, 0.0, 0.06]])
    return join(
        [
            make_rounded_boxes(np.tile([0.045, height, 0.09], (count, 1)), 0.02, at, paint),
            make_tube(pipe, 0.012, paint, 6),
        ]
    )


def make_door(rng: Rng, bank: TextureBank, hole: Opening, depth: float) -> Mesh:
    """Frame, reveal and a leaf with panels and a handle, shut or ajar, in the wall's axes."""
    w, h, x = hole.right - hole.left, hole.high, (hole.left + hole.right) / 2
    trim = sample_plain(rng, 0.2, 0.5) if rng.random() < 0.6 else sample_paint(rng, bank, "wood")
    leaf = sample_plain(rng, 0.3, 0.4) if rng.random() < 0.5 else sample_paint(rng, bank, "wood", "planks", "metal")
    posts = np.array([[hole.left - 0.03, h / 2, 0], [hole.right + 0.03, h / 2, 0], [x, h + 0.03, 0]])
    pieces = [
        make_boxes(np.array([[0.07, h, 0.04], [0.07, h, 0.04], [w + 0.13, 0.07, 0.04]]), posts, trim),
        make_reveal(hole, depth, trim),
        make_box((w, h, 0.04), leaf, (x, h / 2, -depth)),
        make_rounded_box(
            (0.12, 0.02, 0.05), 0.008, Paint(colour=(0.55, 0.54, 0.5)), (x + w * 0.38, 1.03, -depth + 0.06)
        ),
    ]
    rows = int(rng.integers(0, 4))
    if rows:
        edges = (np.arange(rows) + 0.5) / rows
        panels = np.stack([np.full(rows, x), 0.1 + edges * (h - 0.2), np.full(rows, -depth + 0.022)], axis=1)
        pieces.append(make_boxes(np.tile([w * 0.7, (h - 0.2) / rows - 0.1, 0.016], (rows, 1)), panels, leaf))
    return join(pieces)


def make_wall_thing(rng: Rng, bank: TextureBank, height: float) -> tuple[float, Mesh]:
    """Width and mesh of pictures, boards, notices, hooks, clocks, lamps or boxes that hang on z = 0, centred in x."""
    kind = rng.choice(["picture", "pictures", "board", "notices", "hooks", "clock", "lamp", "box", "poster"])
    if kind in ("picture", "board", "poster"):
        width = rng.uniform(0.25, 1.1) if kind != "board" else rng.uniform(0.8, 2.2)
        tall = min(width * rng.uniform(0.6, 1.4), height - 1.3) if kind != "board" else rng.uniform(0.5, 1.1)
        middle = rng.uniform(1.25, 1.25 + max(height - 1.4 - tall / 2, 0.1) * 0.6)
        picture = (
            sample_picture_paint(rng, bank, width)
            if kind != "board"
            else sample_paint(rng, bank, "plaster", "text", "noise", "wood")
        )
        inner = make_box((width, tall, 0.012), picture, (0, middle, 0.008))
        frame = make_rounded_box(
            (width + 0.06, tall + 0.06, 0.025), 0.008, sample_paint(rng, bank, "wood", "noise"), (0, middle, 0.0)
        )
        return width + 0.06, inner if kind == "poster" else join([frame, inner])
    if kind in ("notices", "pictures"):
        count, wide = int(rng.integers(3, 14)), rng.uniform(0.5, 1.6)
        sizes = rng.uniform((0.1, 0.12, 0.006), (0.3, 0.32, 0.02), (count, 3))
        at = np.stack(
            [rng.uniform(-0.5, 0.5, count) * wide, rng.uniform(1.1, 1.9, count), 0.004 + 0.003 * np.arange(count)],
            axis=1,
        )
        layer = bank.pick(rng, "text", "poster", "label", "image")
        return wide + 0.3, make_boxes(sizes, at, Paint(layer=layer, tile=0.3), rng.uniform(0.6, 1, (count, 3)))
    if kind == "hooks":
        wide, y = rng.uniform(0.4, 1.0), rng.uniform(1.5, 1.75)
        pieces = [make_box((wide, 0.1, 0.02), sample_paint(rng, bank, "wood"), (0, y, 0.01))]
        for x in np.linspace(-0.4, 0.4, int(rng.integers(2, 6))) * wide:
            if rng.random() < 0.7:
                cloth = make_curtain(rng, rng.uniform(0.18, 0.35), rng.uniform(0.5, 1.1), sample_cloth(rng, bank))
                pieces.append(place(cloth, (x, y - cloth.vertices[:, 1].max(), 0.07)))
        return wide, join(pieces)
    if kind == "clock":
        radius = rng.uniform(0.1, 0.2)
        plate = make_turned(
            [(radius, 0), (radius, 0.03), (radius * 0.9, 0.03), (radius * 0.88, 0.02), (0, 0.02)],
            sample_plain(rng, 0.3),
            20,
        )
        upright = transform(plate, np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]))
        hands = make_boxes(
            np.array([[0.01, radius, 0.004], [radius * 0.6, 0.014, 0.004]]),
            np.array([[0, radius * 0.3, 0.03], [radius * 0.2, 0, 0.03]]),
            Paint(colour=(0.9, 0.9, 0.9)),
        )
        return 2 * radius, place(join([upright, hands]), (0, rng.uniform(1.7, 2.0), 0))
    if kind == "lamp":
        shade = make_turned([(0.06, 0), (0.1, 0.16), (0, 0.16)], Paint(colour=(1.0, 0.95, 0.8), lit=False), 12)
        return 0.25, place(shade, (0, 1.75, 0.12))
    size = rng.uniform((0.2, 0.2, 0.06), (0.7, 0.8, 0.2))
    return float(size[0]), make_rounded_box(size, 0.01, sample_paint(rng, bank), (0, 1.45, size[2] / 2))


def sample_openings(
    rng: Rng, wall: Wall, height: float, blocked: Sequence[tuple[float, float]], kinds: Sequence[str]
) -> tuple[Opening, ...]:
    """Holes of the kinds, where they fit between one another and the blocked stretches."""
    holes: list[Opening] = []
    for kind in kinds:
        if kind == "window":
            width, low = rng.uniform(0.6, 2.4), 0.0 if rng.random() < 0.12 else rng.uniform(0.5, 1.15)
            high = min(rng.uniform(1.9, 2.4), height - 0.12)
        else:
            width, low = rng.uniform(0.75, 0.95) if kind == "door" else rng.uniform(0.8, 2.4), 0.0
            high = min(rng.uniform(1.95, 2.3), height - 0.1)
        if width > wall.length - 0.5:
            continue
        left = rng.uniform(0.2, wall.length - width - 0.2)
        taken = [*blocked, *((hole.left - 0.2, hole.right + 0.2) for hole in holes)]
        if all(left > end or left + width < start for start, end in taken):
            holes.append(Opening(kind=kind, left=left, right=left + width, low=low, high=high))
    return tuple(holes)
