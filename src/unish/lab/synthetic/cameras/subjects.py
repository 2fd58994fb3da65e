"""What a camera is aimed at, and where it could stand to see it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.lab.synthetic.cameras.views import HEAD, PELVIS
from unish.lab.synthetic.stage import Stage

Rng = np.random.Generator
LEFT_SHOULDER, RIGHT_SHOULDER = 16, 17
HEIGHTS = {"eye": (0.44, 1.35, 1.7), "chest": (0.2, 1.1, 1.4), "seated": (0.12, 1.0, 1.25), "hip": (0.12, 0.7, 1.0),
           "low": (0.06, 0.3, 0.6), "raised": (0.06, 1.8, 2.4)}  # fmt: skip
"""Share of clips; metres above the ground at which a camera is held or stands."""
SHARES = (0.2, 1.0)
"""Least and greatest share of the picture's height that a standing person is meant to fill."""


@dataclass(frozen=True, kw_only=True)
class Subjects:
    """What there is to film.

    Attributes:
        stage: the place.
        joints: (P, N, 24, 3) of the people in the stage, SMPL order.
        timestamps_s: (N,).
        intrinsics: of the camera; size: height and width of its picture.
        heights: names of ``HEIGHTS`` to draw from, ``None`` for all; fill: see ``SynthConfig``.
        pace: 0–1, slows every movement: where a place is too narrow for a quick one, a slow one fits.
    """

    stage: Stage
    joints: Float[ndarray, "P N 24 3"]
    timestamps_s: Float[ndarray, "N"]
    intrinsics: Float[ndarray, "3 3"]
    size: tuple[int, int]
    heights: tuple[str, ...] | None = None
    fill: tuple[float, float] | None = None
    pace: float = 1.0

    @property
    def has_people(self) -> bool:
        return self.joints.shape[0] > 0

    @cached_property
    def elapsed_s(self) -> Float[ndarray, "N"]:
        return self.timestamps_s - self.timestamps_s[0]

    @cached_property
    def half_view(self) -> Float[ndarray, "2"]:
        """Half the field of view to the side and up, radians."""
        return np.arctan(np.array([self.size[1], self.size[0]]) / 2 / self.intrinsics[0, 0])

    def ground(self, point: Float[ndarray, "3"]) -> float:
        return float(self.stage.ground(point[None, [0, 2]])[0])

    def heading(self, person: int) -> Float[ndarray, "N 3"]:
        """Level unit vectors where the chest of a person faces."""
        left = self.joints[person, :, LEFT_SHOULDER] - self.joints[person, :, RIGHT_SHOULDER]
        facing = np.cross(left, [0.0, 1.0, 0.0])
        return facing / np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-6)

    def smooth_path(self, person: int) -> Float[ndarray, "N 3"]:
        """Where a person is, without the sway of the steps: a parabola through the pelvis."""
        degree = min(2, len(self.elapsed_s) - 1)
        basis = (self.elapsed_s / max(self.elapsed_s[-1], 1e-6))[:, None] ** np.arange(degree + 1)
        pelvis = self.joints[person, :, PELVIS].astype(np.float64)
        return basis @ np.linalg.lstsq(basis, pelvis, rcond=None)[0]


@dataclass(frozen=True, kw_only=True)
class Stand:
    """A first position and what is looked at from there.

    Attributes:
        position: (3,); focus: (N, 3) stage metres.
        azimuth: from the focus to the position (radians from +x to +z).
        distance: level metres between them.
    """

    position: Float[ndarray, "3"]
    focus: Float[ndarray, "N 3"]
    azimuth: float
    distance: float


def sample_stand(rng: Rng, subjects: Subjects) -> Stand:
    """Somewhere around a person or a prop, at the height of a hand or a tripod."""
    focus = sample_focus(rng, subjects)
    azimuth, distance = sample_side(rng, subjects.stage, focus[0], sample_distance(rng, subjects))
    position = focus[0] + distance * np.array([np.cos(azimuth), 0, np.sin(azimuth)])
    height = sample_height(rng, subjects.heights)
    if not subjects.has_people and not subjects.stage.outdoors:
        # As somebody who stands there would hold it: mostly looking down a little, from near by more.
        height = np.clip(focus[0, 1] + rng.uniform(-0.1, 0.7) * min(distance, 2.0), 0.7, 1.9)
    position[1] = subjects.ground(position) + np.clip(height, 0.3, 2.5)
    return Stand(position=position, focus=focus, azimuth=azimuth, distance=distance)


def sample_side(rng: Rng, stage: Stage, focus: Float[ndarray, "3"], distance: float) -> tuple[float, float]:
    """From which side (azimuth as in ``Stand``) to look at a point and how far away: ``distance`` where some of the
    sides tried have that much room, else as far as there is room."""
    azimuths = rng.uniform(0, 2 * np.pi, 6)
    room = measure_room(stage, focus, azimuths)
    fits = np.flatnonzero(room >= distance)
    side = int(fits[0]) if len(fits) else int(room.argmax())
    return float(azimuths[side]), float(min(distance, max(room[side], 0.5)))


def measure_room(stage: Stage, focus: Float[ndarray, "3"], azimuths: Float[ndarray, "K"]) -> Float[ndarray, "K"]:
    """Level metres from a point to the bounds of the place towards some azimuths; 0 outside."""
    away = np.stack([np.cos(azimuths), np.sin(azimuths)], axis=1)
    away = np.where(np.abs(away) < 1e-6, 1e-6, away)
    low, high = stage.low[[0, 2]] - focus[[0, 2]], stage.high[[0, 2]] - focus[[0, 2]]
    return (np.where(away > 0, high, low) / away).min(1).clip(0)


def sample_height(rng: Rng, names: tuple[str, ...] | None = None) -> float:
    """Metres above the ground; ``names`` are the heights to choose from."""
    heights = [HEIGHTS[name] for name in names or HEIGHTS]
    shares = np.array([height[0] for height in heights])
    _, low, high = heights[rng.choice(len(shares), p=shares / shares.sum())]
    return float(rng.uniform(low, high))


def sample_focus(rng: Rng, subjects: Subjects) -> Float[ndarray, "N 3"]:
    """A person between knees and eyes, the middle of all, or a point of a prop."""
    num, stage = len(subjects.timestamps_s), subjects.stage
    if subjects.has_people:
        pelvises = subjects.joints[:, :, PELVIS]
        focus = pelvises[rng.integers(len(pelvises))] if rng.random() < 0.6 else pelvises.mean(0)
        return focus + np.array([0, rng.uniform(-0.15, 0.5), 0])
    if stage.props:
        prop = stage.props[rng.integers(len(stage.props))]
        point = rng.uniform(prop.low, np.minimum(prop.high, prop.low + 2.2))
    else:
        point = rng.uniform(np.maximum(stage.low, -5), np.minimum(stage.high, 5))
        point[1] = subjects.ground(point) + rng.uniform(0, 1.5)
    return np.broadcast_to(point, (num, 3))


def sample_selfie_arm(rng: Rng, subjects: Subjects, person: int) -> Float[ndarray, "N 3"]:
    """From the head of a person to the phone in an outstretched hand: 0.4–0.9 m in front, a little to a side."""
    turn, rise = rng.normal(0, 0.35), np.radians(rng.uniform(-15, 25))
    facing = subjects.heading(person).mean(0)
    yaw = np.arctan2(facing[0], facing[2]) + turn
    reach = rng.uniform(0.4, 0.9)
    arm = reach * np.array([np.sin(yaw) * np.cos(rise), np.sin(rise), np.cos(yaw) * np.cos(rise)])
    sway = subjects.joints[person, :, HEAD] - subjects.smooth_path(person)
    return arm - 0.5 * (sway - sway.mean(0))


def sample_distance(rng: Rng, subjects: Subjects) -> float:
    """Metres to the focus: by the share of the image height that a person fills, or from close to the props to across
    the room."""
    if subjects.has_people:
        least, most = subjects.fill or SHARES
        share = np.exp(rng.uniform(np.log(least), np.log(most)))
        return float(np.clip(1.7 * subjects.intrinsics[1, 1] / (share * subjects.size[0]), 1.2, 20.0))
    low, high = (2.0, 14.0) if subjects.stage.outdoors else (0.9, 5.0)
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
