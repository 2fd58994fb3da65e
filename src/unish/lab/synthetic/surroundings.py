"""What lights a room and what is seen from its windows."""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from unish.lab.synthetic.forms import make_cushion
from unish.lab.synthetic.shapes import Paint, make_box, make_quad, place
from unish.lab.synthetic.textures import TextureBank
from unish.lab.synthetic.walls import Wall
from unish.render.scene import SKY_ID, Lighting, Mesh

Rng = np.random.Generator


def make_view(rng: Rng, bank: TextureBank) -> list[Mesh]:
    """Bright surroundings far outside: ground below, house fronts or hedges, sky."""
    light = rng.uniform(0.7, 1.1)
    floor = -rng.choice([0.1, 0.3, 3.0, 9.0])
    sky = Paint(
        colour=tuple(np.clip(light * np.array([0.85, 0.93, 1.0]), 0, 1)),
        layer=bank.pick(rng, "clouds") if rng.random() < 0.5 else -1,
        tile=200.0,
        lit=False,
        identity=SKY_ID,
    )
    dome = make_cushion((300.0, 300.0, 300.0), sky, 1, 1)
    ground = Paint(
        colour=(min(light, 1.0),) * 3, layer=bank.pick(rng, "grass", "asphalt", "paving", "gravel"), tile=3.0, lit=False
    )
    pieces = [dome, make_quad((-60, floor, -60), (120, 0, 0), (0, 0, 120), ground)]
    count = int(rng.integers(2, 9))
    azimuth, distance = rng.uniform(0, 2 * np.pi, count), rng.uniform(14, 45, count)
    for turn, far in zip(azimuth, distance, strict=True):
        green = rng.random() < 0.4
        paint = Paint(
            colour=(min(light, 1.0),) * 3,
            layer=bank.pick(rng, "leaves") if green else bank.pick(rng, "facade", "bricks", "concrete"),
            tile=rng.uniform(3, 9),
            lit=False,
        )
        size = rng.uniform((4, 2, 4), (16, 12, 10))
        house = (
            place(make_cushion(size / 2, paint, 1, 1), (0, size[1] / 2, 0))
            if green
            else make_box(size, paint, (0, size[1] / 2, 0))
        )
        pieces.append(place(house, (far * np.cos(turn), floor, far * np.sin(turn)), -turn))
    return pieces


def light_room(rng: Rng, low: ndarray, high: ndarray, height: float, sunny: list[Wall]) -> Lighting:
    """Soft light from all sides, two lamps of their own warmth, directional light that comes in by a window if any."""
    middle, size = np.array([(low[0] + high[0]) / 2, 0.8, (low[1] + high[1]) / 2]), high - low
    daylight = np.array([1.0, rng.uniform(0.9, 1.02), rng.uniform(0.8, 1.1)])
    strength = rng.uniform(0.15, 1.0) if rng.random() < 0.8 else rng.uniform(0.06, 0.2)
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(35, 85))
    if sunny and rng.random() < 0.75:
        # A wall's local +z looks into the room; its light comes from behind it.
        wall = sunny[int(rng.integers(len(sunny)))]
        azimuth = np.arctan2(-np.cos(wall.yaw), -np.sin(wall.yaw)) + rng.normal(0, 0.4)
        elevation = np.radians(rng.uniform(15, 55))
    direction = np.array([np.cos(elevation) * np.cos(azimuth), np.sin(elevation), np.cos(elevation) * np.sin(azimuth)])
    share = rng.random((2, 3))
    lamps = middle + (0.8 * share - 0.4) * np.array([size[0], 0, size[1]])
    lamps[:, 1] = np.where(rng.random(2) < 0.75, height - 0.15 - 0.45 * share[:, 1], rng.uniform(0.9, 1.6, 2))
    warm = np.stack([np.ones(2), rng.uniform(0.72, 1.0, 2), rng.uniform(0.4, 1.0, 2)], axis=1)
    power = rng.uniform(0.0, 0.9, (2, 1)) * (rng.random((2, 1)) < 0.8) * min(float(size.max()), 8.0) * 0.7
    return Lighting(
        sun_direction=direction.astype(np.float32),
        sun_colour=(daylight * rng.uniform(0.0, 0.8)).astype(np.float32),
        sky_colour=(strength * rng.uniform(0.5, 0.9) * daylight).astype(np.float32),
        ground_colour=(strength * rng.uniform(0.25, 0.6) * warm[0]).astype(np.float32),
        lamp_positions=lamps.astype(np.float32),
        lamp_colours=(power * warm).astype(np.float32),
        fog_colour=np.full(3, 0.5, np.float32),
        fog_density=0.0,
        shadow_centre=middle.astype(np.float32),
        shadow_radius=float(min(np.hypot(*size) / 2 + 1.0, 9.0)),
        up=np.array([0, 1, 0], np.float32),
    )
