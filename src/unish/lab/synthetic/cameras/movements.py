"""How cameras move. Speeds are per second: at a high frame rate neighbouring frames lie close together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.lab.synthetic.cameras.subjects import (
    Subjects,
    sample_distance,
    sample_focus,
    sample_height,
    sample_selfie_arm,
    sample_stand,
)
from unish.lab.synthetic.cameras.views import HEAD

Rng = np.random.Generator
UP = np.array([0.0, 1.0, 0.0])
FASTEST_TURN = 0.4
"""Share of the field of view by which a camera may be swept between neighbouring frames: the pictures must overlap."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """A movement before it is aimed and shaken.

    Attributes:
        position: (N, 3) stage metres; target: (N, 3) what is looked at.
        sweep: (N, 2) radians added to yaw and to the angle below the horizon.
        hand: strength of the hand's shake; 0 on a tripod.
        walking: (speed in m/s, yaw) of the person who carries the camera; speed 0 stands.
        off_centre: how far from the middle the target lies, in half fields of view (standard deviation).
        rolled: standard deviation of the roll in degrees.
    """

    position: Float[ndarray, "N 3"]
    target: Float[ndarray, "N 3"]
    sweep: Float[ndarray, "N 2"] | float = 0.0
    hand: float = 0.0
    walking: tuple[float, float] = (0.0, 0.0)
    off_centre: float = 0.25
    rolled: float = field(default=1.5)


def move_static(rng: Rng, subjects: Subjects) -> Move:
    """A tripod, or somebody who stands still; at times people walk in or out because it is aimed beside them."""
    stand = sample_stand(rng, subjects)
    position, target = _hold(stand.position, subjects), _hold(stand.focus.mean(0), subjects)
    hand = rng.uniform(0.1, 0.8) if rng.random() < 0.4 else 0.0
    return Move(position=position, target=target, hand=hand, off_centre=rng.choice([0.2, 0.5]))


def move_pan(rng: Rng, subjects: Subjects) -> Move:
    """A turn to the side at 2 to 35 degrees per second, past the subject or along with it."""
    stand = sample_stand(rng, subjects)
    along = subjects.has_people and rng.random() < 0.4
    target = stand.focus if along else _hold(stand.focus.mean(0), subjects)
    sweep = _sample_sweep(rng, subjects, (2.0, 35.0), 120.0) * (0.2 if along else 1.0)
    hand = rng.uniform(0.1, 1.0) if rng.random() < 0.6 else 0.0
    return Move(position=_hold(stand.position, subjects), target=target, sweep=np.outer(sweep, [1.0, 0.05]), hand=hand)


def move_tilt(rng: Rng, subjects: Subjects) -> Move:
    """A turn up or down at 2 to 20 degrees per second."""
    stand = sample_stand(rng, subjects)
    sweep = _sample_sweep(rng, subjects, (2.0, 20.0), 40.0)
    position, target = _hold(stand.position, subjects), _hold(stand.focus.mean(0), subjects)
    return Move(position=position, target=target, sweep=np.outer(sweep, [0.1, 1.0]), hand=rng.uniform(0, 0.8))


def move_turn(rng: Rng, subjects: Subjects) -> Move:
    """A sudden turn of 30 to 150 degrees, still before and after."""
    stand = sample_stand(rng, subjects)
    total = np.radians(rng.uniform(30, 150)) * rng.choice([-1, 1])
    rate = subjects.pace * np.radians(rng.uniform(60, 240)) / abs(total) * 4
    middle = rng.uniform(0.2, 0.8) * subjects.elapsed_s[-1]
    sweep = total * (1 / (1 + np.exp(-np.clip(rate * (subjects.elapsed_s - middle), -30, 30))))
    sweep = _limit_steps(sweep, FASTEST_TURN * 2 * subjects.half_view[0])
    sweep -= sweep[rng.integers(len(sweep))]
    position, target = _hold(stand.position, subjects), _hold(stand.focus.mean(0), subjects)
    return Move(position=position, target=target, sweep=np.outer(sweep, [1.0, 0.1]), hand=rng.uniform(0.4, 1.2))


def move_dolly(rng: Rng, subjects: Subjects) -> Move:
    """Along a line in any direction at 0.1 to 1.2 m/s, eyes on the subject or straight ahead."""
    stand = sample_stand(rng, subjects)
    heading = rng.uniform(0, 2 * np.pi)
    way = np.array([np.sin(heading), 0.35 * rng.normal(), np.cos(heading)])
    reach = min(_sample_log(rng, 0.1, 1.2) * subjects.elapsed_s[-1], 0.7 * stand.distance) * subjects.pace
    shift = np.outer(_ease(rng, subjects), reach * way)
    target = stand.focus.mean(0) + (shift if rng.random() < 0.4 else 0 * shift)
    return Move(position=stand.position + shift, target=target, hand=rng.choice([0.0, 0.3]))


def move_orbit(rng: Rng, subjects: Subjects) -> Move:
    """Around the subject, as quick as somebody walks, at most 30 degrees per second and 120 in all."""
    stand = sample_stand(rng, subjects)
    rate = min(_sample_log(rng, 0.15, 1.6) / stand.distance, np.radians(30)) * subjects.pace
    turn = min(rate * subjects.elapsed_s[-1], np.radians(120)) * rng.choice([-1, 1])
    ease = _ease(rng, subjects)
    # Nearer or farther, higher or lower, at a speed too.
    drift = ease * min(subjects.elapsed_s[-1], 1.5) / 1.5 * subjects.pace
    angle, radius = stand.azimuth + turn * ease, stand.distance * (1 + rng.normal(0, 0.1) * drift)
    position = stand.focus.mean(0) + np.stack([radius * np.cos(angle), 0 * ease, radius * np.sin(angle)], axis=1)
    position[:, 1] = stand.position[1] + rng.normal(0, 0.2) * drift
    target = _hold(stand.focus.mean(0), subjects)
    return Move(position=position, target=target, hand=rng.uniform(0, 1.2))


def move_follow(rng: Rng, subjects: Subjects) -> Move:
    """With a person: behind, in front and walking backwards, or beside."""
    person = int(rng.integers(len(subjects.joints)))
    path, facing = subjects.smooth_path(person), subjects.heading(person).mean(0)
    travel = (path[-1] - path[0]) * [1, 0, 1]
    speed = float(np.linalg.norm(travel)) / max(subjects.elapsed_s[-1], 1e-6)
    ahead = np.arctan2(*(travel if speed > 0.3 else facing)[[0, 2]])
    side = rng.choice([0.0, np.pi, np.pi / 2, -np.pi / 2], p=[0.3, 0.3, 0.2, 0.2]) + rng.normal(0, 0.3)
    distance = min(max(sample_distance(rng, subjects), 1.5), 8.0)
    lag = rng.uniform(0.8, 1.0) if speed > 0.3 else 1.0
    middle = path.mean(0)
    position = middle + lag * (path - middle) + distance * np.array([np.sin(ahead + side), 0, np.cos(ahead + side)])
    position[:, 1] = subjects.ground(position[0]) + sample_height(rng, subjects.heights)
    target = path + UP * rng.uniform(-0.1, 0.45)
    walking = (min(speed * lag, 3.0) if speed > 0.3 else 0.0, float(ahead))
    return Move(position=position, target=target, hand=rng.uniform(0.4, 1.3), walking=walking)


def move_walk(rng: Rng, subjects: Subjects) -> Move:
    """Somebody walks at 0.4 to 1.6 m/s: towards the subject, past it, or somewhere and looks where they go."""
    stand = sample_stand(rng, subjects)
    speed = rng.uniform(0.4, 1.6) * subjects.pace
    towards = stand.focus[0] - stand.position
    heading = np.arctan2(towards[0], towards[2]) + rng.choice([0.0, 0.5, 1.5, np.pi]) * rng.choice([-1, 1])
    heading += rng.normal(0, 0.2)
    bend = rng.normal(0, 0.25) * subjects.elapsed_s
    way = np.stack([np.sin(heading + bend), 0 * bend, np.cos(heading + bend)], axis=1)
    steps = np.diff(subjects.elapsed_s, prepend=0.0)[:, None] * speed * way
    position = stand.position + np.cumsum(steps, axis=0)
    if subjects.has_people or rng.random() < 0.5:
        target = stand.focus
    else:
        target = position + 4 * way - UP * rng.uniform(-0.2, 1.6)
    walking = (speed, float(heading))
    return Move(position=position, target=target, hand=rng.uniform(0.4, 1.4), walking=walking, rolled=3.0)


def move_selfie(rng: Rng, subjects: Subjects) -> Move:
    """In the hand of the person whom it films."""
    person = int(rng.integers(len(subjects.joints)))
    head = subjects.joints[person, :, HEAD].astype(np.float64)
    position = head + sample_selfie_arm(rng, subjects, person)
    target = head - UP * rng.uniform(-0.1, 0.12)
    return Move(position=position, target=target, hand=rng.uniform(0.4, 1.3), rolled=6.0)


def move_mast(rng: Rng, subjects: Subjects) -> Move:
    """Surveillance: fixed high up, 8 to 25 m away where there is room, looking down 10 to 32 degrees; some sweep."""
    focus = sample_focus(rng, subjects).mean(0)
    down, distance = np.radians(rng.uniform(10, 32)), rng.uniform(8, 25)
    azimuth = rng.uniform(0, 2 * np.pi, 8)
    away = np.stack(
        [np.cos(azimuth) * np.cos(down), 0 * azimuth + np.sin(down), np.sin(azimuth) * np.cos(down)], axis=1
    )
    low, high = subjects.stage.low + 0.02, subjects.stage.high - 0.02
    # As far along the rays as the place allows; of some rays the one with the most room.
    room = (np.where(away > 0, high - focus, low - focus) / np.where(np.abs(away) < 1e-6, 1e-6, away)).min(1)
    best = int(room.argmax())
    position = _hold(focus + min(distance, float(room[best])) * away[best], subjects)
    sweep = _sample_sweep(rng, subjects, (3.0, 15.0), 60.0) if rng.random() < 0.25 else np.zeros(len(position))
    return Move(
        position=position, target=_hold(focus, subjects), sweep=np.outer(sweep, [1.0, 0.0]), off_centre=0.35, rolled=2.0
    )


def move_drone(rng: Rng, subjects: Subjects) -> Move:
    """Through the air at 0.5 to 5 m/s, 2.5 to 11 m above the ground."""
    focus = sample_focus(rng, subjects)
    azimuth, distance = rng.uniform(0, 2 * np.pi), rng.uniform(2, 14)
    start = focus[0] + distance * np.array([np.cos(azimuth), 0, np.sin(azimuth)])
    start[1] = subjects.ground(start) + rng.uniform(2.5, 11.0)
    heading = rng.uniform(0, 2 * np.pi)
    way = np.array([np.sin(heading), rng.normal(0, 0.25), np.cos(heading)])
    reach = _sample_log(rng, 0.5, 5.0) * subjects.elapsed_s[-1] * subjects.pace
    shift = np.outer(_ease(rng, subjects), reach * way)
    target = focus.mean(0) + (shift if rng.random() < 0.4 else focus - focus.mean(0))
    return Move(position=start + shift, target=target, hand=0.05, rolled=1.0)


MOVEMENTS: dict[str, Callable[[Rng, Subjects], Move]] = {
    "static": move_static, "pan": move_pan, "tilt": move_tilt, "turn": move_turn, "dolly": move_dolly,
    "orbit": move_orbit, "follow": move_follow, "walk": move_walk, "selfie": move_selfie, "mast": move_mast,
    "drone": move_drone,
}  # fmt: skip


def _hold(point: Float[ndarray, "3"], subjects: Subjects) -> Float[ndarray, "N 3"]:
    return np.tile(np.asarray(point, np.float64), (len(subjects.timestamps_s), 1))


def _sample_log(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _ease(rng: Rng, subjects: Subjects) -> Float[ndarray, "N"]:
    """0 → 1 over the clip, at an even or a changing speed."""
    share = subjects.elapsed_s / max(float(subjects.elapsed_s[-1]), 1e-6)
    return share + rng.uniform(-0.12, 0.12) * np.sin(2 * np.pi * share)


def _sample_sweep(rng: Rng, subjects: Subjects, rates: tuple[float, float], most: float) -> Float[ndarray, "N"]:
    """A turn in radians, 0 at some frame: a speed between ``rates`` and at most ``most`` in all (degrees)."""
    total = np.radians(min(_sample_log(rng, *rates) * subjects.elapsed_s[-1], most)) * rng.choice([-1, 1])
    sweep = _limit_steps(subjects.pace * total * _ease(rng, subjects), FASTEST_TURN * 2 * subjects.half_view.min())
    return sweep - sweep[rng.integers(len(sweep))]


def _limit_steps(angles: Float[ndarray, "N"], most: float) -> Float[ndarray, "N"]:
    return np.cumsum(np.clip(np.diff(angles, prepend=angles[0]), -most, most))
