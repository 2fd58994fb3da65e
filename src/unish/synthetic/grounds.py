"""Open ground and streets under a sky."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.render.scene import SKY_ID, Lighting, Mesh
from unish.synthetic.paints import draw_paint
from unish.synthetic.shapes import (
    Paint,
    grid_faces,
    join,
    make_blob,
    make_box,
    make_cylinder,
    make_mesh,
    make_turned,
    place,
)
from unish.synthetic.stage import Furnishing, KeepOut, Prop, Stage
from unish.synthetic.textures import GROUND_KINDS, TextureBank, random_colour
from unish.synthetic.things.library import Piece, place_all
from unish.synthetic.things.rough import make_bicycle, make_big_plant, make_bin, make_crates, make_railing
from unish.synthetic.things.seats import make_bench
from unish.synthetic.things.tables import make_dining_set

Rng = np.random.Generator
REACH = 120.0
"""Half the side of the ground, metres."""


class Relief:
    """Smooth hills that leave the middle of the stage even, so that people stand on flat ground."""

    def __init__(self, rng: Rng, amplitude: float, flat_radius: float) -> None:
        self._waves = rng.normal(size=(8, 2)) * rng.uniform(0.03, 0.35, (8, 1))
        self._phases = rng.uniform(0, 2 * np.pi, 8)
        self._amplitude, self._flat_radius = amplitude, flat_radius

    def __call__(self, positions: Float[ndarray, "N 2"]) -> Float[ndarray, "N"]:
        """Height at (x, z)."""
        distance = np.linalg.norm(positions, axis=-1)
        rise = np.clip((distance - self._flat_radius) / 25, 0, 1)
        waves = np.sin(positions @ self._waves.T + self._phases).sum(-1) / 3
        return self._amplitude * rise**2 * (3 - 2 * rise) * waves


def make_ground(rng: Rng, bank: TextureBank, kind: str, people: Float[ndarray, "K 2"], fixtures: list[Prop]) -> Stage:
    """An outdoor stage: ``open`` ground with relief, or a ``street`` with façades; ``fixtures`` already stand."""
    reach = float(np.linalg.norm(people, axis=1).max()) if len(people) else 0.0
    hills = rng.uniform(0.5, 6.0) if kind == "open" and rng.random() < 0.7 else 0.0
    relief = Relief(rng, hills, reach + 6.0)
    edge = np.full(2, REACH)
    stock = Furnishing(fixtures, KeepOut(centres=people, radius=0.5), -edge, edge)
    houses, nearest = (int(rng.integers(4, 14)), 3.5) if kind == "street" else (int(rng.integers(0, 3)), 12.0)
    for _ in range(houses):
        stock.add([_draw_building(rng, bank, nearest)])
    for _ in range(int(rng.integers(6, 36))):
        stock.add(_draw_outdoor_thing(rng, bank, relief))
    haze = np.clip(np.array([0.72, 0.8, 0.9]) * rng.uniform(0.7, 1.1) + rng.normal(0, 0.04, 3), 0.05, 1)
    shell = [_make_terrain(rng, bank, relief), *_make_strips(rng, bank, hills), _make_sky(rng, bank, haze)]
    return Stage(
        kind=kind,
        shell=join(shell),
        props=tuple(stock.props),
        lighting=_light_outdoors(rng, haze),
        low=np.array([-25.0, -10.0, -25.0]),
        high=np.array([25.0, 12.0, 25.0]),
        ground=relief,
        outdoors=True,
    )


def _make_terrain(rng: Rng, bank: TextureBank, relief: Relief) -> Mesh:
    """Height field, finer towards the middle."""
    side = 61
    line = np.linspace(-1, 1, side)
    line = np.sign(line) * np.abs(line) ** 2.2 * REACH
    x, z = np.meshgrid(line, line, indexing="ij")
    flat = np.stack([x, z], -1).reshape(-1, 2)
    vertices = np.stack([flat[:, 0], relief(flat), flat[:, 1]], axis=1)
    paint = draw_paint(rng, bank, *GROUND_KINDS, tile=(1.0, 5.0), saturation=0.2)
    return make_mesh(vertices, grid_faces(side, side), flat, paint)


def _make_strips(rng: Rng, bank: TextureBank, hills: float) -> list[Mesh]:
    """Roads and paths on even ground, a few millimetres above it."""
    if hills > 0 or rng.random() < 0.3:
        return []
    strips = []
    for number in range(int(rng.integers(1, 3))):
        width, offset, yaw = rng.uniform(1.5, 8), rng.uniform(-8, 8), rng.uniform(0, np.pi)
        paint = draw_paint(rng, bank, "asphalt", "tiles", "bricks", "stones", "noise", tile=(1, 4), saturation=0.2)
        strip = make_box((width, 0.004, 2 * REACH), paint, (offset, 0.006 + 0.006 * number, 0))
        strips.append(place(strip, (0, 0, 0), yaw))
    return strips


def _make_sky(rng: Rng, bank: TextureBank, haze: ndarray) -> Mesh:
    """Dome with a gradient from the haze at the horizon to the zenith, sometimes clouded."""
    rows, columns, radius = 12, 24, 500.0
    elevation, azimuth = np.meshgrid(
        np.radians(np.linspace(-12, 90, rows)), np.linspace(0, 2 * np.pi, columns), indexing="ij"
    )
    unit = np.stack(
        [np.cos(elevation) * np.cos(azimuth), np.sin(elevation), np.cos(elevation) * np.sin(azimuth)], axis=-1
    )
    cloudy = rng.random() < 0.6
    paint = Paint(layer=bank.pick(rng, "clouds") if cloudy else -1, lit=False, identity=SKY_ID)
    flat = unit[..., [0, 2]] / (0.25 + np.maximum(unit[..., 1:2], 0)) * rng.uniform(0.3, 1.0)
    mesh = make_mesh(unit.reshape(-1, 3) * radius, grid_faces(rows, columns), flat.reshape(-1, 2), paint)
    zenith = (
        np.clip(np.array([0.35, 0.55, 0.9]) * rng.uniform(0.6, 1.1), 0, 1)
        if rng.random() < 0.7
        else haze * rng.uniform(0.8, 1.2)
    )
    share = np.clip(np.sin(elevation), 0, 1).reshape(-1, 1) ** 0.6
    mesh.colours[:] = np.clip((haze * (1 - share) + zenith * share) * (1.15 if cloudy else 1.0), 0, 1)
    return mesh


def _draw_building(rng: Rng, bank: TextureBank, nearest: float) -> Mesh:
    """A house with façades at least ``nearest`` metres from the middle, facing it, with a roof."""
    width, depth, height = rng.uniform(6, 25), rng.uniform(5, 15), rng.uniform(3, 20)
    distance, azimuth = nearest + depth / 2 + rng.exponential(8), rng.uniform(0, 2 * np.pi)
    wall = Paint(colour=(1.0, 1.0, 1.0), layer=bank.pick(rng, "facade"), tile=rng.uniform(5, 12))
    pieces = [make_box((width, height, depth), wall, (0, height / 2 - 0.2, 0))]
    base = draw_paint(rng, bank, "bricks", "stones", "noise")
    pieces.append(make_box((width + 0.1, rng.uniform(0.3, 1.2), depth + 0.1), base, (0, 0, 0)))
    door = draw_paint(rng, bank, "planks", "noise")
    for x in rng.uniform(-0.4, 0.4, int(rng.integers(1, 4))) * width:
        pieces.append(make_box((rng.uniform(0.9, 2.5), 2.1, 0.1), door, (x, 1.05, depth / 2)))
    roof = draw_paint(rng, bank, "tiles", "bricks", "noise")
    pieces.append(make_box((width + 0.8, 0.4, depth + 0.8), roof, (0, height, 0)))
    yaw = np.pi / 2 - azimuth + np.pi + rng.integers(-1, 2) * np.pi / 2 * (rng.random() < 0.2)
    return place(join(pieces), (distance * np.cos(azimuth), 0, distance * np.sin(azimuth)), yaw)


def _draw_outdoor_thing(rng: Rng, bank: TextureBank, relief: Relief) -> Piece:
    """Tree, bush, rock, pole, wall, bench, car, crates, bicycle, bin, railing, somewhere around."""
    maker = _THINGS[int(rng.choice(len(_THINGS), p=_THING_WEIGHTS))]
    distance, azimuth = 1.0 + rng.exponential(9), rng.uniform(0, 2 * np.pi)
    at = np.array([distance * np.cos(azimuth), distance * np.sin(azimuth)])
    made = maker(rng, bank)
    piece = made if isinstance(made, list) else [made]
    return place_all(piece, (at[0], float(relief(at[None])[0]) - 0.03, at[1]), rng.uniform(0, 2 * np.pi))


def _make_tree(rng: Rng, bank: TextureBank) -> Mesh:
    trunk_height, radius = rng.uniform(1.5, 4), rng.uniform(0.08, 0.35)
    bark = Paint(
        colour=tuple(np.array([0.5, 0.38, 0.27]) * rng.uniform(0.6, 1.3)),
        layer=bank.pick(rng, "noise", "planks"),
        tile=0.8,
    )
    leaf = Paint(
        colour=tuple(np.clip(rng.uniform(0.7, 1.2) * np.array([0.8, 1, 0.7]), 0, 1)),
        layer=bank.pick(rng, "grass"),
        tile=rng.uniform(0.5, 1.5),
    )
    pieces = [make_turned([(radius, 0), (radius * 0.6, trunk_height + 1)], bark, 10)]
    if rng.random() < 0.3:
        tall = rng.uniform(2, 6)
        for level in range(3):
            wide = rng.uniform(0.8, 1.6) * (1.2 - 0.3 * level)
            start = trunk_height * 0.5 + level * tall / 4
            pieces.append(make_turned([(wide, start), (0.02, start + tall / 2)], leaf, 12))
        return join(pieces)
    for _ in range(int(rng.integers(3, 9))):
        size = rng.uniform(0.5, 1.6, 3)
        at = np.array([rng.normal(0, 0.8), trunk_height + rng.uniform(0, 2), rng.normal(0, 0.8)])
        pieces.append(place(make_blob(rng, size, leaf, 0.3), at))
    return join(pieces)


def _make_bush(rng: Rng, bank: TextureBank) -> Mesh:
    leaf = Paint(colour=(0.9, 1.0, 0.85), layer=bank.pick(rng, "grass"), tile=rng.uniform(0.4, 1.0))
    sizes = rng.uniform(0.25, 0.8, (int(rng.integers(1, 5)), 3))
    return join(
        [
            place(make_blob(rng, size, leaf, 0.3), (*rng.normal(0, 0.4, 1), size[1] * 0.8, *rng.normal(0, 0.4, 1)))
            for size in sizes
        ]
    )


def _make_rock(rng: Rng, bank: TextureBank) -> Mesh:
    size = rng.uniform(0.15, 1.2) * rng.uniform(0.6, 1.3, 3)
    return place(
        make_blob(rng, size, draw_paint(rng, bank, "noise", "stones", "asphalt", "marble"), 0.3), (0, size[1] * 0.4, 0)
    )


def _make_pole(rng: Rng, bank: TextureBank) -> Mesh:
    tall = rng.uniform(2.2, 7)
    metal = Paint(colour=tuple(random_colour(rng, saturation=0.2)))
    pieces = [make_cylinder(rng.uniform(0.03, 0.1), tall, metal, 8)]
    if rng.random() < 0.6:
        sign = Paint(colour=(1.0, 1.0, 1.0), layer=bank.pick(rng, "poster", "text"), tile=0.8)
        pieces.append(make_box((rng.uniform(0.3, 1.2), rng.uniform(0.3, 0.9), 0.04), sign, (0, tall - 0.4, 0.08)))
    return join(pieces)


def _make_wall(rng: Rng, bank: TextureBank) -> Mesh:
    length, tall = rng.uniform(1.5, 10), rng.uniform(0.4, 2.5)
    return make_box(
        (length, tall, rng.uniform(0.1, 0.4)),
        draw_paint(rng, bank, "bricks", "stones", "planks", "tiles", "poster"),
        (0, tall / 2, 0),
    )


def _make_car(rng: Rng, bank: TextureBank) -> Mesh:
    paint = Paint(colour=tuple(random_colour(rng, saturation=0.9)))
    dark, glass = Paint(colour=(0.06, 0.06, 0.06)), Paint(colour=(0.2, 0.25, 0.3))
    length, width, tall = rng.uniform(3.6, 4.8), rng.uniform(1.65, 1.9), rng.uniform(1.35, 1.8)
    cabin = length * rng.uniform(0.45, 0.6)
    pieces = [
        make_box((width, tall * 0.42, length), paint, (0, tall * 0.4, 0)),
        make_box((width * 0.88, tall * 0.4, cabin), glass, (0, tall * 0.78, -length * 0.05)),
        make_box((width * 0.86, 0.05, cabin * 0.9), paint, (0, tall * 0.99, -length * 0.05)),
    ]
    wheel = place(make_turned([(0, -0.1), (0.31, -0.1), (0.31, 0.1), (0, 0.1)], dark, 14), (0, 0, 0))
    # Lay the wheel on its side: swap y and x.
    for array in (wheel.vertices, wheel.normals):
        array[:] = array[:, [1, 0, 2]]
    for sx in (-1, 1):
        for sz in (-1, 1):
            pieces.append(place(wheel, (sx * width * 0.46, 0.31, sz * length * 0.32)))
    return join(pieces)


_THINGS: tuple[Callable[[Rng, TextureBank], Mesh | Piece], ...] = (
    _make_tree, _make_bush, _make_rock, _make_pole, _make_wall, make_bench, _make_car, make_crates, make_bicycle,
    make_bin, make_railing, make_dining_set, make_big_plant,
)  # fmt: skip
_THING_WEIGHTS = np.array([4, 2, 2, 1.5, 1.5, 1, 1.5, 0.7, 0.7, 0.7, 0.7, 0.4, 0.3]) / 17.0


def _light_outdoors(rng: Rng, haze: ndarray) -> Lighting:
    """Sun (clear) or mostly sky (overcast), haze with distance at times."""
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(12, 80))
    direction = np.array([np.cos(elevation) * np.cos(azimuth), np.sin(elevation), np.cos(elevation) * np.sin(azimuth)])
    overcast = rng.random() < 0.35
    low_sun = np.clip(1 - elevation / np.radians(35), 0, 1)
    sun = np.array([1.0, 0.96 - 0.25 * low_sun, 0.88 - 0.5 * low_sun]) * (
        rng.uniform(0.0, 0.2) if overcast else rng.uniform(0.6, 1.1)
    )
    sky = haze * (rng.uniform(0.6, 0.95) if overcast else rng.uniform(0.25, 0.55))
    return Lighting(
        sun_direction=direction.astype(np.float32),
        sun_colour=sun.astype(np.float32),
        sky_colour=sky.astype(np.float32),
        ground_colour=(sky * rng.uniform(0.3, 0.7)).astype(np.float32),
        lamp_positions=np.zeros((2, 3), np.float32),
        lamp_colours=np.zeros((2, 3), np.float32),
        fog_colour=(haze**2).astype(np.float32),
        fog_density=float(rng.exponential(0.01)) if rng.random() < 0.5 else 0.0,
        shadow_centre=np.zeros(3, np.float32),
        shadow_radius=rng.uniform(10.0, 16.0),
        up=np.array([0, 1, 0], np.float32),
    )
