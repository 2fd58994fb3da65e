"""Rooms, corridors and halls."""

from __future__ import annotations

from functools import partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.render.scene import Lighting, Mesh
from unish.synthetic.furniture import (
    draw_furniture,
    draw_paint,
    draw_picture_paint,
    make_cabinet,
    make_shelf,
    make_small_thing,
)
from unish.synthetic.shapes import Paint, join, make_box, make_quad, place, yaw_matrix
from unish.synthetic.stage import KeepOut, Prop, Stage, add_props, flat_ground
from unish.synthetic.textures import FLOOR_KINDS, WALL_KINDS, TextureBank, random_colour

Rng = np.random.Generator
SIZES = {"room": ((2.8, 7.0), (2.3, 3.1)), "corridor": ((1.7, 2.8), (2.2, 3.0)), "hall": ((8.0, 22.0), (3.0, 8.0))}
"""Range of the short side and of the height, metres."""


def make_room(rng: Rng, bank: TextureBank, kind: str, people: Float[ndarray, "K 2"], fixtures: list[Prop]) -> Stage:
    """An indoor stage of a kind in ``SIZES`` around the places (x, z) that people use; ``fixtures`` already stand."""
    (short_low, short_high), heights = SIZES[kind]
    height = rng.uniform(*heights)
    size = np.array([rng.uniform(short_low, short_high), rng.uniform(short_low, short_high)])
    if kind == "corridor":
        size[rng.integers(2)] = rng.uniform(6, 20)
    low = people.min(0) if len(people) else np.zeros(2)
    high = people.max(0) if len(people) else np.zeros(2)
    size = np.maximum(size, high - low + 1.4)
    slack = (size - (high - low + 1.4)) / 2
    centre = (low + high) / 2 + rng.uniform(-1, 1, 2) * slack
    walls_low, walls_high = centre - size / 2, centre + size / 2
    keep_out = KeepOut(centres=people, radius=0.45)
    props = list(fixtures)
    area = float(np.prod(size))
    wanted = int(rng.uniform(0.4, 2.8) * min(area, 45) ** 0.8)
    add_props(
        rng,
        props,
        keep_out,
        wanted,
        partial(_draw_against_wall, bank=bank, low=walls_low, high=walls_high, height=height),
    )
    add_props(rng, props, keep_out, wanted // 3, partial(_draw_free, bank=bank, low=walls_low, high=walls_high))
    shell = [
        _make_hull(rng, bank, walls_low, walls_high, height),
        *_dress_walls(rng, bank, walls_low, walls_high, height),
    ]
    if rng.random() < 0.4:
        shell.append(_make_rug(rng, bank, walls_low, walls_high))
    middle = np.array([centre[0], 0.8, centre[1]])
    return Stage(
        kind=kind,
        shell=join(shell),
        props=tuple(props),
        lighting=_light_room(rng, middle, size, height),
        low=np.array([walls_low[0] + 0.2, 0.25, walls_low[1] + 0.2]),
        high=np.array([walls_high[0] - 0.2, height - 0.15, walls_high[1] - 0.2]),
        ground=flat_ground,
        outdoors=False,
    )


def _make_hull(rng: Rng, bank: TextureBank, low: ndarray, high: ndarray, height: float) -> Mesh:
    """Floor, ceiling and four walls, with skirting boards at times."""
    width, depth = high - low
    floor = draw_paint(rng, bank, *FLOOR_KINDS, tile=(0.8, 3.0), saturation=0.2)
    ceiling = Paint(
        colour=tuple(random_colour(rng, saturation=0.1, low=0.75)),
        layer=bank.pick(rng, "noise", "cloudy", "tiles") if rng.random() < 0.5 else -1,
        tile=2.0,
    )
    pieces = [
        make_quad((low[0], 0, low[1]), (width, 0, 0), (0, 0, depth), floor),
        make_quad((low[0], height, low[1]), (width, 0, 0), (0, 0, depth), ceiling),
    ]
    common = draw_wall_paint(rng, bank)
    for corner, across in _walls(low, high):
        paint = common if rng.random() < 0.75 else draw_wall_paint(rng, bank)
        pieces.append(make_quad(corner, across, (0, height, 0), paint))
    if rng.random() < 0.5:
        board = Paint(colour=tuple(random_colour(rng, saturation=0.3, low=0.2)))
        tall = rng.uniform(0.05, 0.2)
        pieces += [
            make_box((width, tall, 0.03), board, ((low[0] + high[0]) / 2, tall / 2, z)) for z in (low[1], high[1])
        ]
        pieces += [
            make_box((0.03, tall, depth), board, (x, tall / 2, (low[1] + high[1]) / 2)) for x in (low[0], high[0])
        ]
    return join(pieces)


def draw_wall_paint(rng: Rng, bank: TextureBank) -> Paint:
    """Mostly pale and quiet, sometimes patterned."""
    if rng.random() < 0.3:
        return Paint(colour=tuple(random_colour(rng, saturation=0.3, low=0.6)))
    return draw_paint(rng, bank, *WALL_KINDS, tile=(0.8, 3.0), saturation=0.3)


def _walls(low: ndarray, high: ndarray) -> list[tuple[ndarray, ndarray]]:
    """Start and horizontal edge of each wall, in the order in which local +z of a thing along the edge looks inside."""
    corners = np.array([[high[0], 0, high[1]], [low[0], 0, high[1]], [low[0], 0, low[1]], [high[0], 0, low[1]]])
    return [(corners[side], corners[(side + 1) % 4] - corners[side]) for side in range(4)]


def _dress_walls(rng: Rng, bank: TextureBank, low: ndarray, high: ndarray, height: float) -> list[Mesh]:
    """Doors, windows, pictures, boards: thin boxes on the walls."""
    pieces: list[Mesh] = []
    for corner, across in _walls(low, high):
        length = float(np.linalg.norm(across))
        at = rng.uniform(0.2, 1.0)
        while at < length - 0.5:
            width, mesh = _draw_wall_thing(rng, bank, height)
            if at + width > length - 0.1:
                break
            along = across / length
            # The thing's own +z looks into the room: the wall's direction turned by 90° about the vertical.
            yaw = np.arctan2(-along[2], along[0])
            pieces.append(place(mesh, corner + along * (at + width / 2), yaw))
            at += width + rng.exponential(0.9) + 0.1
    return pieces


def _draw_wall_thing(rng: Rng, bank: TextureBank, height: float) -> tuple[float, Mesh]:
    """Width and mesh of a door, window, picture or board that hangs on the wall z = 0, facing +z."""
    kind = rng.choice(["door", "window", "picture", "picture", "board", "nothing"])
    frame = Paint(colour=tuple(random_colour(rng, saturation=0.4)))
    if kind == "nothing":
        return rng.uniform(0.3, 1.5), join([])
    if kind == "door":
        width, tall = rng.uniform(0.75, 1.0), min(rng.uniform(1.95, 2.15), height - 0.05)
        leaf = draw_paint(rng, bank, "planks", "noise", "cloudy")
        knob = make_box((0.12, 0.03, 0.06), Paint(colour=(0.5, 0.5, 0.5)), (width * 0.38, 1.02, 0.06))
        return width + 0.16, join(
            [
                make_box((width + 0.16, tall + 0.08, 0.04), frame, (0, tall / 2 + 0.04, 0)),
                make_box((width, tall, 0.06), leaf, (0, tall / 2, 0)),
                knob,
            ]
        )
    if kind == "window":
        width, tall = rng.uniform(0.6, 2.2), rng.uniform(0.7, min(1.6, height - 1.0))
        middle = min(0.85 + tall / 2, height - tall / 2 - 0.1)
        glow = Paint(
            colour=tuple(np.array([0.85, 0.92, 1.0]) * rng.uniform(0.5, 1.0)),
            layer=bank.pick(rng, "facade", "poster", "grass", "cloudy"),
            tile=max(width, tall),
            lit=False,
        )
        pieces = [
            make_box((width + 0.12, tall + 0.12, 0.05), frame, (0, middle, 0)),
            make_box((width, tall, 0.055), glow, (0, middle, 0)),
        ]
        pieces += [
            make_box((0.04, tall, 0.07), frame, (x * width, middle, 0))
            for x in (np.linspace(-0.5, 0.5, int(rng.integers(2, 5)))[1:-1])
        ]
        if rng.random() < 0.4:
            cloth = draw_paint(rng, bank, "stripes", "noise", "carpet", tile=(0.2, 0.6))
            pieces += [
                make_box((0.3, tall + 0.5, 0.08), cloth, (sx * (width / 2 + 0.1), middle, 0.05)) for sx in (-1, 1)
            ]
        return width + 0.6, join(pieces)
    width = rng.uniform(0.25, 1.2) if kind == "picture" else rng.uniform(0.8, 2.4)
    tall = width * rng.uniform(0.6, 1.4) if kind == "picture" else rng.uniform(0.4, 1.0)
    tall = min(tall, height - 1.2)
    middle = rng.uniform(1.1 + tall / 4, max(height - tall / 2 - 0.1, 1.15 + tall / 4))
    middle = min(middle, height - tall / 2 - 0.05)
    picture = (
        draw_picture_paint(rng, bank, width)
        if kind == "picture"
        else draw_paint(rng, bank, "text", "planks", "tiles", "poster", "books")
    )
    return width + 0.06, join(
        [
            make_box((width + 0.06, tall + 0.06, 0.03), frame, (0, middle, 0)),
            make_box((width, tall, 0.04), picture, (0, middle, 0)),
        ]
    )


def _draw_against_wall(rng: Rng, bank: TextureBank, low: ndarray, high: ndarray, height: float) -> Mesh | None:
    """A piece of furniture with its back to a wall, at times hung on it."""
    hung = rng.random() < 0.15
    mesh = (make_shelf if rng.random() < 0.4 else make_cabinet)(rng, bank) if hung else draw_furniture(rng, bank)
    rise = rng.uniform(1.3, 1.6) if hung else 0.0
    if hung and mesh.vertices[:, 1].max() + rise > height - 0.02:
        return None
    corner, across = _walls(low, high)[rng.integers(4)]
    length = float(np.linalg.norm(across))
    along = across / length
    yaw = np.arctan2(-along[2], along[0])
    half = (mesh.vertices[:, 0].max() - mesh.vertices[:, 0].min()) / 2
    if 2 * half > length - 0.1:
        return None
    inward = yaw_matrix(yaw) @ np.array([0, 0, 1.0])
    back = -mesh.vertices[:, 2].min() + rng.exponential(0.05) + 0.04
    return _inside(
        place(mesh, corner + along * rng.uniform(half, length - half) + inward * back + [0, rise, 0], yaw), low, high
    )


def _draw_free(rng: Rng, bank: TextureBank, low: ndarray, high: ndarray) -> Mesh | None:
    """A piece of furniture anywhere, turned anyhow; now and then small things lying on the floor."""
    mesh = make_small_thing(rng, bank) if rng.random() < 0.25 else draw_furniture(rng, bank)
    at = rng.uniform(low, high)
    yaw = rng.integers(4) * np.pi / 2 + rng.normal(0, 0.2) if rng.random() < 0.6 else rng.uniform(0, 2 * np.pi)
    return _inside(place(mesh, (at[0], 0, at[1]), yaw), low, high)


def _inside(mesh: Mesh, low: ndarray, high: ndarray) -> Mesh | None:
    """The mesh if it stays within the walls."""
    flat = mesh.vertices[:, [0, 2]]
    return mesh if (flat.min(0) >= low + 0.02).all() and (flat.max(0) <= high - 0.02).all() else None


def _make_rug(rng: Rng, bank: TextureBank, low: ndarray, high: ndarray) -> Mesh:
    """A flat cloth on the floor."""
    size = np.minimum(rng.uniform(1.0, 3.0, 2), (high - low) * 0.8)
    corner = rng.uniform(low, high - size)
    paint = draw_paint(rng, bank, "carpet", "stripes", "noise", "checker", tile=(0.5, 2.0), saturation=0.8)
    return make_quad((corner[0], 0.006, corner[1]), (size[0], 0, 0), (0, 0, size[1]), paint)


def _light_room(rng: Rng, middle: ndarray, size: ndarray, height: float) -> Lighting:
    """Soft light from all sides, one or two lamps, and a steep directional light for the shadows on the floor."""
    warm = np.array([1.0, rng.uniform(0.82, 1.0), rng.uniform(0.6, 1.0)])
    strength = rng.uniform(0.25, 1.0)
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(35, 85))
    direction = np.array([np.cos(elevation) * np.cos(azimuth), np.sin(elevation), np.cos(elevation) * np.sin(azimuth)])
    share = rng.random((2, 3))
    lamps = middle + (0.8 * share - 0.4) * np.array([size[0], 0, size[1]])
    lamps[:, 1] = height - 0.15 - 0.45 * share[:, 1]
    reach = min(float(size.max()), 8.0)
    power = rng.uniform(0.0, 0.8, (2, 1)) * reach * 0.7
    return Lighting(
        sun_direction=direction.astype(np.float32),
        sun_colour=(warm * rng.uniform(0.0, 0.6)).astype(np.float32),
        sky_colour=(strength * rng.uniform(0.5, 0.9) * np.ones(3)).astype(np.float32),
        ground_colour=(strength * rng.uniform(0.25, 0.6) * warm).astype(np.float32),
        lamp_positions=lamps.astype(np.float32),
        lamp_colours=(power * warm).astype(np.float32),
        fog_colour=np.full(3, 0.5, np.float32),
        fog_density=0.0,
        shadow_centre=middle.astype(np.float32),
        shadow_radius=float(min(np.hypot(*size) / 2 + 1.0, 9.0)),
        up=np.array([0, 1, 0], np.float32),
    )
