"""Open ground and streets under a sky."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.lab.synthetic.buildings import make_arcade, make_house, make_steps
from unish.lab.synthetic.forms import make_cushion, make_leaf_cards, make_rods, make_tube
from unish.lab.synthetic.paints import sample_paint
from unish.lab.synthetic.panoramas import Sky
from unish.lab.synthetic.shapes import (
    Paint,
    grid_faces,
    join,
    make_blob,
    make_box,
    make_cylinder,
    make_mesh,
    make_turned,
    place,
    yaw_matrix,
)
from unish.lab.synthetic.stage import Furnishing, KeepOut, Prop, Stage
from unish.lab.synthetic.textures import GROUND_KINDS, TextureBank, random_colour
from unish.lab.synthetic.things.rough import make_bicycle, make_big_plant, make_bin, make_crates, make_railing
from unish.lab.synthetic.things.seats import make_bench
from unish.lab.synthetic.things.stock import Piece, place_all
from unish.lab.synthetic.things.tables import make_dining_set
from unish.render.scene import SKY_ID, Lighting, Mesh

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
    """An outdoor stage around the places that people use; ``fixtures`` already stand.

    Kinds: ``open`` ground with relief, ``street`` between house fronts, ``courtyard`` closed on all sides, ``stairs``
    and terraces around an even place.
    """
    reach = float(np.abs(people).max()) if len(people) else 0.0
    hills = rng.uniform(0.5, 6.0) if kind == "open" and rng.random() < 0.7 else 0.0
    relief = Relief(rng, hills, reach * 1.5 + 6.0)
    bound = np.full(2, REACH)
    stock = Furnishing(fixtures, KeepOut(centres=people, radius=0.5), -bound, bound)
    limit = 25.0
    if kind == "street":
        _line_street(rng, bank, stock, reach)
    elif kind == "courtyard":
        limit = _close_courtyard(rng, bank, stock, reach)
    elif kind == "stairs":
        for _ in range(int(rng.integers(2, 6))):
            _put_around(rng, stock, make_steps(rng, bank), reach + 1.0 + rng.exponential(2.0))
    for _ in range(int(rng.integers(0, 4)) if kind in ("open", "stairs") else 0):
        house = make_house(rng, bank, rng.uniform(5, 18), rng.uniform(5, 12), int(rng.integers(1, 5)))
        _put_around(rng, stock, [house], reach + rng.uniform(5.0, 25.0))
    for _ in range(int(rng.integers(6, 36))):
        stock.add(_sample_outdoor_thing(rng, bank, relief, limit))
    haze = np.clip(np.array([0.72, 0.8, 0.9]) * rng.uniform(0.7, 1.1) + rng.normal(0, 0.04, 3), 0.05, 1)
    lighting = _light_outdoors(rng, haze)
    if bank.skies and rng.random() < 0.7:
        sky, turn = bank.skies[int(rng.integers(len(bank.skies)))], rng.uniform(0, 2 * np.pi)
        dome = _make_panorama(sky, turn)
        lighting = _light_by_panorama(lighting, sky, turn)
    else:
        dome = _make_sky(rng, bank, haze)
    shell = [_make_terrain(rng, bank, relief), *_make_strips(rng, bank, hills), dome]
    return Stage(
        kind=kind,
        shell=join(shell),
        props=tuple(stock.props),
        lighting=lighting,
        low=np.array([-limit, -10.0, -limit]),
        high=np.array([limit, 12.0, limit]),
        ground=relief,
        outdoors=True,
    )


def _put_around(rng: Rng, stock: Furnishing, piece: Piece, distance: float) -> None:
    """Place a piece on one of the four sides, its front towards the middle; square, so that its bounds fit it."""
    yaw, shift = rng.integers(4) * np.pi / 2, rng.normal(0, distance * 0.5)
    c, s = np.cos(yaw), np.sin(yaw)
    stock.add(place_all(piece, (c * shift - s * distance, 0, -s * shift - c * distance), yaw))


def _line_street(rng: Rng, bank: TextureBank, stock: Furnishing, reach: float) -> None:
    """Rows of houses on one or both sides of a street along x or z, kerbs, lamps, parked cars, trees."""
    turn = rng.integers(2) * np.pi / 2
    for side in (0, 1) if rng.random() < 0.75 else (rng.integers(2),):
        yaw = turn + side * np.pi
        distance, x = reach + rng.uniform(1.2, 9.0), -30.0
        c, s = np.cos(yaw), np.sin(yaw)
        floors = int(rng.integers(1, 5))
        while x < 30:
            width = rng.uniform(6, 16)
            storeys = max(floors + int(rng.integers(-1, 2)), 1)
            house = make_house(rng, bank, width, rng.uniform(6, 11), storeys)
            back = distance + rng.exponential(0.2)
            at = x + width / 2
            stock.add([place(house, (c * at - s * back, 0, -s * at - c * back), yaw)])
            x += width + (rng.uniform(1, 6) if rng.random() < 0.25 else 0.03)
        if distance > reach + 3.5:
            gap = rng.uniform(1.5, 3.0)
            kerb = make_box((90, 0.12, 0.16), sample_paint(rng, bank, "concrete", "stones"), (0, 0.06, gap - distance))
            stock.add([place(kerb, (0, 0, 0), yaw)])
            for at in rng.uniform(-30, 30, int(rng.integers(0, 9))):
                car = place(_make_car(rng, bank), (0, 0, 0), np.pi / 2)
                along = gap + 1.3 - distance
                stock.add([place(car, (c * at + s * along, 0, c * along - s * at), yaw)])


def _close_courtyard(rng: Rng, bank: TextureBank, stock: Furnishing, reach: float) -> float:
    """Houses or walls on all four sides, some with an arcade; returns how far from the middle a camera may be."""
    half = reach + rng.uniform(2.5, 9.0)
    for side in range(4):
        yaw = side * np.pi / 2
        c, s = np.cos(yaw), np.sin(yaw)
        if rng.random() < 0.75:
            piece = [make_house(rng, bank, 2 * half, 6.0, int(rng.integers(1, 5)))]
            if rng.random() < 0.3:
                piece.append(place(make_arcade(rng, bank, 2 * half - 0.1), (0, 0, 0.02)))
        else:
            tall = rng.uniform(1.8, 3.5)
            wall = sample_paint(rng, bank, "bricks", "stones", "plaster", "graffiti", "concrete", "planks", tile=(1, 3))
            piece = [make_box((2 * half, tall, 0.3), wall, (0, tall / 2, -0.15))]
        for part in place_all(piece, (-s * half, 0, -c * half), yaw):
            stock.add([part])
    return half - 0.35


def _make_terrain(rng: Rng, bank: TextureBank, relief: Relief) -> Mesh:
    """Height field, finer towards the middle."""
    side = 61
    line = np.linspace(-1, 1, side)
    line = np.sign(line) * np.abs(line) ** 2.2 * REACH
    x, z = np.meshgrid(line, line, indexing="ij")
    flat = np.stack([x, z], -1).reshape(-1, 2)
    vertices = np.stack([flat[:, 0], relief(flat), flat[:, 1]], axis=1)
    paint = sample_paint(rng, bank, *GROUND_KINDS, tile=(1.0, 5.0), saturation=0.2)
    return make_mesh(vertices, grid_faces(side, side), flat, paint)


def _make_strips(rng: Rng, bank: TextureBank, hills: float) -> list[Mesh]:
    """Roads and paths on even ground, a few millimetres above it."""
    if hills > 0 or rng.random() < 0.3:
        return []
    strips = []
    for number in range(int(rng.integers(1, 3))):
        width, offset, yaw = rng.uniform(1.5, 8), rng.uniform(-8, 8), rng.uniform(0, np.pi)
        paint = sample_paint(rng, bank, "asphalt", "tiles", "bricks", "stones", "noise", tile=(1, 4), saturation=0.2)
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


def _make_panorama(sky: Sky, turn: float) -> Mesh:
    """Dome with an equirectangular picture, turned about the vertical."""
    rows, columns = 25, 49
    elevation, azimuth = np.meshgrid(
        np.linspace(-np.pi / 2, np.pi / 2, rows), np.linspace(0, 2 * np.pi, columns), indexing="ij"
    )
    unit = np.stack(
        [np.cos(elevation) * np.cos(azimuth), np.sin(elevation), np.cos(elevation) * np.sin(azimuth)], axis=-1
    )
    uv = np.stack([azimuth / (2 * np.pi), 0.5 - elevation / np.pi], axis=-1).reshape(-1, 2)
    paint = Paint(colour=(1.0, 1.0, 1.0), layer=sky.layer, lit=False, identity=SKY_ID)
    return place(make_mesh(unit.reshape(-1, 3) * 500.0, grid_faces(rows, columns), uv, paint), (0, 0, 0), turn)


def _light_by_panorama(lighting: Lighting, sky: Sky, turn: float) -> Lighting:
    """The lighting with the sun and the sky's light of a panorama."""
    return replace(
        lighting,
        sun_direction=(yaw_matrix(turn) @ sky.sun_direction).astype(np.float32),
        sun_colour=sky.sun_colour.astype(np.float32),
        sky_colour=sky.sky_colour.astype(np.float32),
        ground_colour=(0.5 * sky.sky_colour).astype(np.float32),
    )


def _sample_outdoor_thing(rng: Rng, bank: TextureBank, relief: Relief, limit: float) -> Piece:
    """Tree, bush, rock, pole, wall, bench, car, crates, bicycle, bin, railing, somewhere around."""
    maker = _THINGS[int(rng.choice(len(_THINGS), p=_THING_WEIGHTS))]
    distance, azimuth = 1.0 + rng.exponential(min(9.0, limit / 2)), rng.uniform(0, 2 * np.pi)
    at = np.array([distance * np.cos(azimuth), distance * np.sin(azimuth)])
    made = maker(rng, bank)
    piece = made if isinstance(made, list) else [made]
    return place_all(piece, (at[0], float(relief(at[None])[0]) - 0.03, at[1]), rng.uniform(0, 2 * np.pi))


def _make_tree(rng: Rng, bank: TextureBank) -> Mesh:
    """Trunk, bent branches, and leaf cards around the branches' ends; or a conifer; or bare."""
    tall, radius = rng.uniform(3.0, 8.0), rng.uniform(0.07, 0.28)
    brown = np.array([0.5, 0.4, 0.3]) * rng.uniform(0.6, 1.3)
    bark = Paint(colour=tuple(np.clip(brown, 0, 1)), layer=bank.pick(rng, "noise", "wood", "gravel"), tile=0.8)
    t = np.linspace(0, 1, 6)
    lean = rng.normal(0, 0.08, 2) * tall
    trunk = np.stack([lean[0] * t**2, tall * t * 0.9, lean[1] * t**2], axis=1)
    pieces = [make_tube(trunk, radius * (1 - 0.75 * t), bark, 8)]
    count = int(rng.integers(5, 11))
    conifer = rng.random() < 0.25
    start = rng.uniform(0.15 if conifer else 0.3, 0.85, count)
    azimuth = rng.uniform(0, 2 * np.pi, count)
    reach = tall * rng.uniform(0.15, 0.35, count) * (1.1 - start if conifer else np.ones(count))
    rise = tall * (rng.uniform(-0.08, 0.05, count) if conifer else rng.uniform(0.05, 0.3, count))
    roots = np.stack([np.interp(start, t, trunk[:, axis]) for axis in range(3)], axis=1)
    tips = roots + np.stack([reach * np.cos(azimuth), rise, reach * np.sin(azimuth)], axis=1)
    pieces.append(make_rods(roots, tips, radius * 0.3, bark, 5))
    if rng.random() < 0.9:
        leaves = int(rng.integers(500, 1300))
        which, share = rng.integers(count, size=leaves), rng.uniform(0.3, 1.1, (leaves, 1))
        spread = tall * rng.uniform(0.05, 0.11)
        centres = roots[which] * (1 - share) + tips[which] * share + rng.normal(0, spread, (leaves, 3))
        crown = centres.mean(0)
        pieces.append(
            make_leaf_cards(rng, centres, centres - crown, tall * rng.uniform(0.02, 0.045), _sample_leaf(rng, bank))
        )
    return join(pieces)


def _sample_leaf(rng: Rng, bank: TextureBank) -> Paint:
    """Green, now and then autumnal."""
    colour = np.array([0.55, 0.7, 0.4]) if rng.random() < 0.85 else np.array([0.9, 0.6, 0.25])
    tint = np.clip(colour * rng.uniform(0.6, 1.3) + rng.normal(0, 0.04, 3), 0.02, 1)
    return Paint(colour=tuple(tint), layer=bank.pick(rng, "grass", "leaves", "noise"), tile=rng.uniform(0.4, 1.0))


def _make_bush(rng: Rng, bank: TextureBank) -> Mesh:
    """Low crown of leaf cards; a hedge when stretched."""
    size = rng.uniform((0.3, 0.3, 0.3), (2.5 if rng.random() < 0.3 else 0.9, 1.0, 0.8))
    count = int(rng.integers(200, 600))
    unit = rng.normal(size=(count, 3))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    centres = unit * size * rng.uniform(0.6, 1.0, (count, 1)) ** 0.5
    leaf = _sample_leaf(rng, bank)
    core = make_cushion(size * 0.75, replace(leaf, colour=tuple(0.5 * np.array(leaf.colour))), 0.8, 0.8)
    cards = make_leaf_cards(rng, centres, unit, rng.uniform(0.08, 0.16), leaf)
    return place(join([core, cards]), (0, size[1] * 0.9, 0))


def _make_rock(rng: Rng, bank: TextureBank) -> Mesh:
    size = rng.uniform(0.15, 1.2) * rng.uniform(0.6, 1.3, 3)
    return place(
        make_blob(rng, size, sample_paint(rng, bank, "noise", "stones", "asphalt", "marble"), 0.3),
        (0, size[1] * 0.4, 0),
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
        sample_paint(rng, bank, "bricks", "stones", "planks", "tiles", "poster"),
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
