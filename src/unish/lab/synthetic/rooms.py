"""Rooms, corridors and halls: plan, openings, light, furniture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.lab.synthetic.forms import make_cushion, make_rods
from unish.lab.synthetic.furniture import THEMES, Theme, sample_piece
from unish.lab.synthetic.paints import sample_paint, sample_plain
from unish.lab.synthetic.shapes import (
    Paint,
    join,
    make_box,
    make_boxes,
    make_cylinder,
    make_quad,
    make_turned,
    place,
)
from unish.lab.synthetic.stage import Furnishing, KeepOut, Prop, Stage, flat_ground
from unish.lab.synthetic.surroundings import light_room, make_view
from unish.lab.synthetic.textures import FLOOR_KINDS, TextureBank, random_colour
from unish.lab.synthetic.things.stock import place_all
from unish.lab.synthetic.things.storage import make_wall_shelf
from unish.lab.synthetic.walls import (
    Opening,
    Wall,
    make_door,
    make_radiator,
    make_reveal,
    make_wall,
    make_wall_thing,
    make_window,
    outline,
    sample_openings,
    sample_wall_paint,
)
from unish.render.scene import Mesh

Rng = np.random.Generator
SIZES = {"room": ((2.6, 6.5), (2.3, 3.1)), "corridor": ((1.7, 2.8), (2.2, 3.0)), "hall": ((8.0, 20.0), (3.0, 8.0))}
"""Range of the short side and of the height, metres."""
ROOM_THEMES = {
    "room": ("kitchen", "kitchen", "living", "living", "office", "office", "bedroom", "workshop"),
    "corridor": ("plain", "plain", "office"),
    "hall": ("plain", "class", "workshop", "office"),
}


def make_room(rng: Rng, bank: TextureBank, kind: str, people: Float[ndarray, "K 2"], fixtures: list[Prop]) -> Stage:
    """An indoor stage of a kind in ``SIZES`` around the places (x, z) that people use; ``fixtures`` already stand."""
    low, high, height = _sample_extent(rng, kind, people)
    theme = THEMES[str(rng.choice(ROOM_THEMES[kind]))]
    keep_out = KeepOut(centres=people, radius=0.45)
    stock = Furnishing(fixtures, keep_out, low, high)
    common = sample_wall_paint(rng, bank)
    blocks = _add_blocks(rng, bank, stock, low, high, height, common)
    walls = [_open_wall(rng, wall, kind, height, blocks) for wall in outline(low, high)]
    density = rng.choice([0.4, 0.8, 1.0, 1.0])
    faces = [(wall, True) for wall in walls] + [(face, False) for block in blocks for face in _faces_of(block)]
    for wall, _ in sorted(faces, key=lambda _: rng.random()):
        _furnish_wall(rng, bank, stock, wall, theme, density, height)
    _furnish_middle(rng, bank, stock, theme, density, low, high)
    shell = [_make_floor_and_ceiling(rng, bank, low, high, height), *_make_overhead(rng, bank, low, high, height)]
    for wall in walls:
        paint = common if rng.random() < 0.75 else sample_wall_paint(rng, bank)
        shell += _dress_wall(rng, bank, wall, height, paint)
    shell += _make_beyond(rng, bank, stock, walls, height, common, theme)
    if rng.random() < 0.45:
        shell.append(_make_rug(rng, bank, low, high))
    sunny = [wall for wall in walls if any(hole.kind == "window" for hole in wall.openings)]
    return Stage(
        kind=kind,
        shell=join(shell),
        props=tuple(stock.props),
        lighting=light_room(rng, low, high, height, sunny),
        low=np.array([low[0] + 0.2, 0.25, low[1] + 0.2]),
        high=np.array([high[0] - 0.2, height - 0.15, high[1] - 0.2]),
        ground=flat_ground,
        outdoors=False,
    )


def _sample_extent(rng: Rng, kind: str, people: Float[ndarray, "K 2"]) -> tuple[ndarray, ndarray, float]:
    """Corners (x, z) and height of a room that holds the people with some space around them."""
    (short_low, short_high), heights = SIZES[kind]
    height = float(rng.uniform(*heights))
    size = rng.uniform(short_low, short_high, 2)
    if kind == "corridor":
        size[rng.integers(2)] = rng.uniform(6, 20)
    low = people.min(0) if len(people) else np.zeros(2)
    high = people.max(0) if len(people) else np.zeros(2)
    size = np.maximum(size, high - low + 1.4 + (rng.uniform(0, 2.5) if len(people) else 0.0))
    slack = (size - (high - low + 1.4)) / 2
    centre = (low + high) / 2 + rng.uniform(-1, 1, 2) * slack
    return centre - size / 2, centre + size / 2, height


def _add_blocks(
    rng: Rng, bank: TextureBank, stock: Furnishing, low: ndarray, high: ndarray, height: float, paint: Paint
) -> list[Prop]:
    """Full-height solids that turn the box into an L, into alcoves, or stand in it as columns and partitions."""
    size, blocks = high - low, []
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.35, 0.35, 0.2, 0.1]))):
        kind = rng.choice(["corner", "corner", "pier", "column", "partition"])
        share = rng.uniform(0.2, 0.5, 2) if kind == "corner" else rng.uniform(0.05, 0.2, 2)
        extent = np.maximum(share * size, 0.25)
        if kind == "column":
            extent = np.full(2, rng.uniform(0.2, 0.5))
        if kind == "partition":
            extent[rng.integers(2)] = 0.12
        side = rng.integers(0, 2, 2).astype(float)
        if kind in ("pier", "partition"):
            side[rng.integers(2)] = rng.random()
        if kind == "column":
            side = rng.uniform(0.15, 0.85, 2)
        corner = low + side * (size - extent)
        tall = height if kind != "partition" or rng.random() < 0.5 else rng.uniform(0.9, 1.6)
        looks = paint if rng.random() < 0.6 else sample_wall_paint(rng, bank)
        middle = corner + extent / 2
        box = make_box((extent[0], tall - 0.004, extent[1]), looks, (middle[0], tall / 2, middle[1]))
        if kind == "column" and rng.random() < 0.5:
            box = place(make_cylinder(extent[0] / 2, tall - 0.004, looks, 18), (middle[0], 0, middle[1]))
        if stock.add([box]):
            blocks.append(stock.props[-1])
    return blocks


def _faces_of(block: Prop) -> list[Wall]:
    """The sides of a block as walls that face outwards."""
    if (block.high - block.low)[[0, 2]].min() < 0.7:
        return []
    walls = outline(block.low[[0, 2]].astype(np.float64), block.high[[0, 2]].astype(np.float64))
    turned = []
    for wall in walls:
        along = np.array([np.cos(wall.yaw), 0, -np.sin(wall.yaw)])
        turned.append(replace(wall, corner=wall.corner + along * wall.length, yaw=wall.yaw + np.pi))
    return turned


def _open_wall(rng: Rng, wall: Wall, kind: str, height: float, blocks: list[Prop]) -> Wall:
    """The wall with doors, windows and passages where no block stands before it."""
    blocked = []
    along = np.array([np.cos(wall.yaw), 0, -np.sin(wall.yaw)])
    for block in blocks:
        ends = [(corner - wall.corner) @ along for corner in (block.low, block.high)]
        blocked.append((min(ends) - 0.05, max(ends) + 0.05))
    kinds = list(rng.choice(["window", "window", "door", "passage"], int(rng.integers(0, 3 if kind == "room" else 5))))
    return replace(wall, openings=sample_openings(rng, wall, height, blocked, kinds))


def _furnish_wall(
    rng: Rng, bank: TextureBank, stock: Furnishing, wall: Wall, theme: Theme, density: float, height: float
) -> None:
    """Pieces side by side with their backs to a wall, from one end to the other."""
    at = rng.exponential(0.25)
    while at < wall.length - 0.3:
        if rng.random() > density:
            at += rng.uniform(0.3, 1.5)
            continue
        hung = rng.random() < 0.12
        piece = make_wall_shelf(rng, bank) if hung else sample_piece(rng, bank, theme.walls)
        body = piece[0].vertices
        width, top = float(body[:, 0].max() - body[:, 0].min()), max(float(part.vertices[:, 1].max()) for part in piece)
        rise = rng.uniform(1.2, 1.6) if hung else 0.0
        if top + rise < height - 0.02 and at + width < wall.length and wall.is_free(at, at + width, top + rise):
            back = (
                -min(float(part.vertices[:, 2].min()) for part in piece if part is piece[0])
                + 0.02
                + rng.exponential(0.02)
            )
            if stock.add([wall.put(part, at - float(body[:, 0].min()), rise, back) for part in piece]):
                at += width + (0.02 if rng.random() < 0.5 else rng.exponential(0.3))
                continue
        at += rng.uniform(0.2, 0.6)


def _furnish_middle(
    rng: Rng, bank: TextureBank, stock: Furnishing, theme: Theme, density: float, low: ndarray, high: ndarray
) -> None:
    """Pieces away from the walls, mostly square to them."""
    area = float(min(np.prod(high - low), 40.0))
    common = rng.integers(2) * np.pi / 2
    for _ in range(min(int(area * density * rng.uniform(0.3, 0.8)) + 2, 18)):
        at = rng.uniform(low, high)
        yaw = (
            common + rng.integers(2) * np.pi + rng.normal(0, 0.06) if rng.random() < 0.6 else rng.uniform(0, 2 * np.pi)
        )
        stock.add(place_all(sample_piece(rng, bank, theme.middle), (at[0], 0, at[1]), yaw))


def _make_overhead(rng: Rng, bank: TextureBank, low: ndarray, high: ndarray, height: float) -> list[Mesh]:
    """Beams, pipes, hanging lamps above the heads of people."""
    pieces: list[Mesh] = []
    (width, depth), middle = high - low, (low + high) / 2
    if rng.random() < 0.2:
        wood = sample_paint(rng, bank, "wood", "planks", "concrete", "metal")
        size = rng.uniform(0.06, 0.2)
        for z in np.arange(low[1] + rng.uniform(0.2, 0.8), high[1] - size, rng.uniform(0.6, 1.4)):
            pieces.append(make_box((width - 0.01, size * 1.3, size), wood, (middle[0], height - size * 0.65, z)))
    if rng.random() < 0.15:
        starts = np.stack(
            [rng.uniform(low[0] + 0.1, high[0] - 0.1, 3), np.full(3, height - 0.12), np.full(3, low[1] + 0.01)], axis=1
        )
        ends = starts + np.array([0, 0, depth - 0.02])
        pieces.append(make_rods(starts, ends, rng.uniform(0.02, 0.07), sample_plain(rng, 0.3), 8))
    glow = Paint(colour=(1.0, 0.97, 0.88), lit=False)
    for _ in range(int(rng.integers(0, 5))):
        at = rng.uniform(low + 0.3, high - 0.3)
        drop = rng.uniform(0.1, max(height - 2.3, 0.15))
        kind = rng.integers(4)
        if kind == 0:
            lamp = make_box((rng.uniform(0.2, 1.3), 0.06, 0.2), glow, (0, -0.03, 0))
        elif kind == 1:
            lamp = place(make_cushion((0.14, 0.14, 0.14), glow, 1, 1), (0, -drop, 0))
        elif kind == 2:
            lamp = place(
                make_turned([(rng.uniform(0.12, 0.3), -0.1), (0.05, 0.1), (0, 0.12)], sample_plain(rng, 0.8), 14),
                (0, -drop, 0),
            )
        else:
            lamp = make_cylinder(rng.uniform(0.12, 0.25), 0.08, glow, 16)
            lamp = place(lamp, (0, -0.085, 0))
        cord = make_rods(np.array([[0.0, -drop, 0]]), np.array([[0.0, 0, 0]]), 0.005, Paint(colour=(0.1, 0.1, 0.1)), 4)
        pieces.append(place(join([lamp, cord]), (at[0], height - 0.002, at[1]), rng.integers(2) * np.pi / 2))
    return pieces


def _make_floor_and_ceiling(rng: Rng, bank: TextureBank, low: ndarray, high: ndarray, height: float) -> Mesh:
    width, depth = high - low
    floor = sample_paint(rng, bank, *FLOOR_KINDS, tile=(0.8, 3.0), saturation=0.2)
    ceiling = Paint(
        colour=tuple(random_colour(rng, saturation=0.1, low=0.75)),
        layer=bank.pick(rng, "plaster", "cloudy", "tiles", "planks", "concrete") if rng.random() < 0.5 else -1,
        tile=2.0,
    )
    return join([
        make_quad((low[0], 0, low[1]), (width, 0, 0), (0, 0, depth), floor),
        make_quad((low[0], height, low[1]), (width, 0, 0), (0, 0, depth), ceiling),
    ])  # fmt: skip


def _dress_wall(rng: Rng, bank: TextureBank, wall: Wall, height: float, paint: Paint) -> list[Mesh]:
    """The wall's surface, what fills its openings, skirting, and things that hang on it."""
    pieces = [make_wall(wall, height, paint)]
    thick = rng.uniform(0.1, 0.4)
    for hole in wall.openings:
        if hole.kind == "window":
            pieces.append(wall.put(make_window(rng, bank, hole, thick, rng.random() < 0.6)))
            if hole.low > 0.75 and rng.random() < 0.5:
                radiator = make_radiator(rng, bank, (hole.right - hole.left) * rng.uniform(0.5, 0.95))
                pieces.append(wall.put(radiator, (hole.left + hole.right) / 2))
        elif hole.kind == "door":
            pieces.append(wall.put(make_door(rng, bank, hole, min(thick, 0.15))))
        else:
            pieces.append(wall.put(make_reveal(hole, 0.15, sample_plain(rng, 0.2, 0.5))))
    if rng.random() < 0.6:
        board, tall = sample_plain(rng, 0.3, 0.2), rng.uniform(0.05, 0.16)
        edges = [
            0.0,
            *(
                edge
                for hole in sorted(wall.openings, key=lambda h: h.left)
                if hole.low < tall
                for edge in (hole.left, hole.right)
            ),
            wall.length,
        ]
        spans = np.array(edges).reshape(-1, 2)
        sizes = np.stack([spans[:, 1] - spans[:, 0], np.full(len(spans), tall), np.full(len(spans), 0.03)], axis=1)
        centres = np.stack([spans.mean(1), np.full(len(spans), tall / 2), np.zeros(len(spans))], axis=1)
        pieces.append(wall.put(make_boxes(sizes, centres, board)))
    at = rng.uniform(0.1, 1.0)
    while at < wall.length - 0.4:
        width, mesh = make_wall_thing(rng, bank, height)
        top = float(mesh.vertices[:, 1].max())
        if at + width < wall.length - 0.05 and top < height - 0.05 and wall.is_free(at, at + width, top):
            pieces.append(wall.put(mesh, at + width / 2))
            at += width
        at += rng.exponential(0.45) + 0.1
    return pieces


def _make_beyond(
    rng: Rng, bank: TextureBank, stock: Furnishing, walls: list[Wall], height: float, paint: Paint, theme: Theme
) -> list[Mesh]:
    """What is seen through openings: further rooms behind passages, sky and houses behind windows."""
    pieces: list[Mesh] = []
    for wall in walls:
        for hole in wall.openings:
            if hole.kind == "passage":
                pieces += [
                    wall.put(mesh)
                    for mesh in _make_side_room(rng, bank, hole.left, hole.right, hole.high, paint, theme)
                ]
    if any(hole.kind == "window" for wall in walls for hole in wall.openings):
        pieces += make_view(rng, bank)
    return pieces


def _make_side_room(
    rng: Rng, bank: TextureBank, left: float, right: float, top: float, paint: Paint, theme: Theme
) -> list[Mesh]:
    """A plain room behind a passage, with a few pieces at its far wall, in the axes of the wall before it."""
    depth, tall = rng.uniform(1.2, 5.0), top + rng.uniform(0.15, 0.6)
    low, high = (
        np.array([left - rng.uniform(0.1, 1.5), -0.15 - depth]),
        np.array([right + rng.uniform(0.1, 1.5), -0.15]),
    )
    looks = paint if rng.random() < 0.5 else sample_wall_paint(rng, bank)
    far = outline(low, high)
    hole = Opening(kind="passage", left=high[0] - right, right=high[0] - left, low=0.0, high=top)
    far[0] = replace(far[0], openings=(hole,))  # the side towards the first room
    front = [make_wall(wall, tall, looks) for wall in far]
    pieces = [*front, _make_floor_and_ceiling(rng, bank, low, high, tall)]
    at = low[0] + 0.1
    for _ in range(4):
        piece = join(sample_piece(rng, bank, theme.walls))
        size = piece.vertices.max(0) - piece.vertices.min(0)
        if at + size[0] < high[0] and size[2] < depth - 0.3 and size[1] < tall:
            pieces.append(
                place(piece, (at - piece.vertices[:, 0].min(), 0, low[1] + 0.03 - piece.vertices[:, 2].min()))
            )
            at += size[0] + rng.exponential(0.3)
    return pieces


def _make_rug(rng: Rng, bank: TextureBank, low: ndarray, high: ndarray) -> Mesh:
    """A flat cloth on the floor."""
    size = np.minimum(rng.uniform(0.8, 3.0, 2), (high - low) * 0.8)
    corner = rng.uniform(low, high - size)
    if rng.random() < 0.6:
        paint = Paint(layer=bank.pick(rng, "rug"), tile=float(size.max()))
    else:
        paint = sample_paint(
            rng, bank, "carpet", "stripes", "fabric", "knit", "checker", tile=(0.3, 1.2), saturation=0.8
        )
    return make_quad((corner[0], 0.006, corner[1]), (size[0], 0, 0), (0, 0, size[1]), paint)
