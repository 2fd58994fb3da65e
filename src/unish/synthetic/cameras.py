"""Camera paths: what a person with a phone, a tripod or a dolly would film."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.synthetic.stage import Prop, Stage

Rng = np.random.Generator
WITH_PEOPLE = {"static": 3.0, "pan": 2.0, "dolly": 2.0, "orbit": 2.5, "follow": 2.0, "walk": 2.5}
WITHOUT_PEOPLE = {"static": 0.4, "pan": 2.0, "dolly": 2.5, "orbit": 2.5, "walk": 2.0, "scan": 6.0}
VIEWS_ACROSS = 0.35
"""Share of indoor clips without people that look across a table, a counter or a bed close to the camera."""

MAX_STEP_DEGREES = 15.0
MAX_TURN_DEGREES = 150.0
TRIES = 60


@dataclass(frozen=True, kw_only=True)
class CameraPath:
    """Poses over time.

    Attributes:
        kind: the movement.
        c2stage: (N, 4, 4) camera (OpenCV axes) to stage (y up).
        intrinsics: (3, 3) pixels, constant through the clip.
    """

    kind: str
    c2stage: Float[ndarray, "N 4 4"]
    intrinsics: Float[ndarray, "3 3"]


def draw_intrinsics(rng: Rng, size: tuple[int, int]) -> Float[ndarray, "3 3"]:
    """Field of view of the long side 30–110°, mostly 40–90°; the principal point at times a little off the centre."""
    height, width = size
    view = rng.triangular(40, 62, 90) if rng.random() < 0.85 else rng.uniform(30, 110)
    focal = max(size) / 2 / np.tan(np.radians(view) / 2)
    shift = rng.normal(0, 0.015, 2) * (rng.random() < 0.3)
    return np.array([[focal, 0, width * (0.5 + shift[0])], [0, focal, height * (0.5 + shift[1])], [0, 0, 1]])


def draw_camera_path(
    rng: Rng,
    stage: Stage,
    people: Float[ndarray, "P N 3"],
    timestamps_s: Float[ndarray, "N"],
    size: tuple[int, int],
) -> CameraPath:
    """A path that films the people (pelvis positions in the stage), or the props when nobody is there.

    Positions stay clear of walls, props and people; when no try does, the one with the most clear frames is taken and
    the caller removes what is in the way.
    """
    intrinsics = draw_intrinsics(rng, size)
    table = WITH_PEOPLE if people.shape[0] else WITHOUT_PEOPLE
    kind = str(rng.choice(list(table), p=np.array(list(table.values())) / sum(table.values())))
    best, best_score = None, -1.0
    for _ in range(TRIES):
        position, target = _draw_movement(rng, kind, stage, people, timestamps_s, intrinsics, size)
        free = stage.clear(position, 0.22)
        if people.shape[0]:
            apart = np.linalg.norm((people - position)[..., [0, 2]], axis=-1).min(0)
            free &= apart > 0.55
        score = float(free.mean())
        if score > best_score:
            best, best_score = (position, target), score
        if best_score == 1.0:
            break
    assert best is not None
    position, target = best
    # From behind a wall there is nothing to see: a path that never fitted is pushed back into the place.
    position = np.clip(position, stage.low, stage.high)
    c2stage = _aim(rng, kind, position, target, timestamps_s, intrinsics, size)
    return CameraPath(kind=kind, c2stage=c2stage, intrinsics=intrinsics)


def _draw_movement(
    rng: Rng,
    kind: str,
    stage: Stage,
    people: Float[ndarray, "P N 3"],
    timestamps_s: Float[ndarray, "N"],
    intrinsics: Float[ndarray, "3 3"],
    size: tuple[int, int],
) -> tuple[Float[ndarray, "N 3"], Float[ndarray, "N 3"]]:
    """Positions of the camera and points that it looks at, before hand shake."""
    num = len(timestamps_s)
    focus = _draw_focus(rng, stage, people, num)
    distance = _draw_distance(rng, stage, people, intrinsics, size)
    azimuth = rng.uniform(0, 2 * np.pi)
    start = focus[0] + distance * np.array([np.cos(azimuth), 0, np.sin(azimuth)])
    ground = float(stage.ground(start[None, [0, 2]])[0])
    tall = rng.uniform(0.3, 2.5) if rng.random() < 0.35 else rng.normal(1.45, 0.25)
    if not people.shape[0] and not stage.outdoors:
        tall = max(tall, focus[0, 1] + rng.uniform(-0.3, 0.9) * distance)
    start[1] = ground + np.clip(tall, 0.3, 2.5)
    low_props = [prop for prop in stage.props if _is_low_and_wide(prop)]
    if not people.shape[0] and not stage.outdoors and low_props and rng.random() < VIEWS_ACROSS:
        start, focus = _draw_view_across(rng, low_props[rng.integers(len(low_props))], num)
    if not people.shape[0] or kind in ("static", "pan", "dolly", "orbit"):
        target = np.broadcast_to(focus.mean(0), (num, 3)) if kind != "pan" or rng.random() < 0.5 else focus
    else:
        target = focus
    progress = _progress(rng, timestamps_s)
    steps = max(num - 1, 1)
    if kind in ("static", "pan"):
        return np.broadcast_to(start, (num, 3)).copy(), target.copy()
    if kind == "orbit":
        turn = np.radians(min(_draw_step(rng) * steps, MAX_TURN_DEGREES)) * rng.choice([-1, 1])
        angle = azimuth + turn * progress
        radius = distance * (1 + rng.normal(0, 0.15) * progress)
        position = target + np.stack([radius * np.cos(angle), np.zeros(num), radius * np.sin(angle)], axis=1)
        position[:, 1] = start[1] + rng.normal(0, 0.2) * progress
        return position, target.copy()
    if kind == "follow":
        drift = focus - focus[0]
        lag = rng.uniform(0.7, 1.0)
        return start + drift * lag * [1, 0.2, 1], target.copy()
    reach = min(distance * 0.12 * rng.random() ** 1.3 * steps, 0.7 * distance if kind == "dolly" else 4.0)
    heading = rng.uniform(0, 2 * np.pi)
    direction = np.array([np.cos(heading), 0.35 * rng.normal() * (kind != "walk"), np.sin(heading)])
    if kind == "scan":
        return _draw_scan(rng, start, target, reach * direction, progress)
    return start + np.outer(progress, reach * direction), target.copy()


def _is_low_and_wide(prop: Prop) -> bool:
    size = prop.high - prop.low
    return bool(prop.low[1] < 0.1 and 0.3 < prop.high[1] < 1.4 and min(size[0], size[2]) > 0.4)


def _draw_view_across(rng: Rng, prop: Prop, num: int) -> tuple[Float[ndarray, "3"], Float[ndarray, "N 3"]]:
    """From just behind a prop and above it, over it, at what is beyond: a raised surface fills the foreground."""
    centre, half = (prop.low + prop.high) / 2, (prop.high - prop.low) / 2
    angle = rng.uniform(0, 2 * np.pi)
    behind = np.array([np.cos(angle), 0.0, np.sin(angle)])
    to_edge = float(min(half[0] / max(abs(behind[0]), 1e-6), half[2] / max(abs(behind[2]), 1e-6)))
    start = centre + behind * (to_edge + rng.uniform(-0.3, 0.5))
    start[1] = min(prop.high[1], 1.0) + rng.uniform(0.3, 0.9)
    focus = centre - behind * rng.uniform(0.2, 3.0)
    focus[1] = rng.uniform(0.4, 1.5)
    return start, np.broadcast_to(focus, (num, 3))


def _draw_scan(rng: Rng, start: ndarray, target: ndarray, move: ndarray, progress: ndarray) -> tuple[ndarray, ndarray]:
    """A hand-held scan: position and the looked-at point wander independently along smooth curves."""
    bend = np.sin(np.pi * progress)[:, None]
    position = start + progress[:, None] * move + bend * rng.normal(0, 0.15, 3) * np.linalg.norm(move)
    wander = rng.normal(0, [0.5, 0.25, 0.5]) * np.linalg.norm(target[0] - start) * 0.8
    return position, target + progress[:, None] * wander + bend * rng.normal(0, 0.1, 3)


def _draw_focus(rng: Rng, stage: Stage, people: Float[ndarray, "P N 3"], num: int) -> Float[ndarray, "N 3"]:
    """A person, the middle of all, or a prop."""
    if people.shape[0]:
        focus = people[rng.integers(len(people))] if rng.random() < 0.6 else people.mean(0)
        return focus + np.array([0, rng.uniform(-0.25, 0.35), 0])
    if stage.props:
        prop = stage.props[rng.integers(len(stage.props))]
        point = rng.uniform(prop.low, np.minimum(prop.high, prop.low + 3))
    else:
        point = rng.uniform(np.maximum(stage.low, -5), np.minimum(stage.high, 5))
        point[1] = float(stage.ground(point[None, [0, 2]])[0]) + rng.uniform(0, 1.5)
    return np.broadcast_to(point, (num, 3))


def _draw_distance(rng: Rng, stage: Stage, people: ndarray, intrinsics: ndarray, size: tuple[int, int]) -> float:
    """Metres to the focus: by the share of the image height that a person fills, or close-up to the props."""
    if people.shape[0]:
        share = np.exp(rng.uniform(np.log(0.22), np.log(1.3)))
        return float(np.clip(1.7 * intrinsics[1, 1] / (share * size[0]), 0.9, 14.0))
    return float(rng.uniform(1.5, 12.0) if stage.outdoors else np.exp(rng.uniform(np.log(0.6), np.log(3.5))))


def _draw_step(rng: Rng) -> float:
    """Degrees between neighbouring frames: small ones are common."""
    return MAX_STEP_DEGREES * rng.random() ** 2


def _progress(rng: Rng, timestamps_s: ndarray) -> ndarray:
    """0 → 1 over the clip, at an even or a changing speed."""
    span = max(float(timestamps_s[-1] - timestamps_s[0]), 1e-6)
    share = (timestamps_s - timestamps_s[0]) / span
    return share + rng.uniform(-0.12, 0.12) * np.sin(2 * np.pi * share)


def _smooth_noise(rng: Rng, timestamps_s: ndarray, rates_hz: tuple[float, ...], channels: int) -> ndarray:
    """Sum of sines with random phases, standard deviation about 1: (N, channels)."""
    total = np.zeros((len(timestamps_s), channels))
    for rate in rates_hz:
        phase = rng.uniform(0, 2 * np.pi, channels)
        total += np.sin(2 * np.pi * rate * rng.uniform(0.7, 1.4) * timestamps_s[:, None] + phase)
    return total * np.sqrt(2 / len(rates_hz))


def _aim(
    rng: Rng,
    kind: str,
    position: Float[ndarray, "N 3"],
    target: Float[ndarray, "N 3"],
    timestamps_s: ndarray,
    intrinsics: ndarray,
    size: tuple[int, int],
) -> Float[ndarray, "N 4 4"]:
    """Look at the targets, off-centre, with the pan and the hand shake of the kind of movement."""
    num = len(timestamps_s)
    half_view = np.arctan(np.array([size[1], size[0]]) / 2 / intrinsics[0, 0])
    away = target - position
    yaw = np.unwrap(np.arctan2(away[:, 0], away[:, 2])) + rng.normal(0, 0.25) * half_view[0]
    down = np.arctan2(-away[:, 1], np.linalg.norm(away[:, [0, 2]], axis=1)) + rng.normal(0, 0.2) * half_view[1]
    if kind == "pan":
        total = np.radians(min(_draw_step(rng) * (num - 1), 1.6 * np.degrees(half_view[0]) + 10)) * rng.choice([-1, 1])
        yaw = yaw + total * (_progress(rng, timestamps_s) - 0.5)
    roll = np.full(num, np.radians(rng.normal(0, 1.5 if rng.random() < 0.85 else 7.0)))
    held = kind in ("walk", "scan", "follow") or rng.random() < 0.5
    if held:
        shake = _smooth_noise(rng, timestamps_s, (0.5, 1.3, 2.9), 6)
        strength = rng.uniform(0.3, 1.5) if kind in ("walk", "scan", "follow") else rng.uniform(0.05, 0.4)
        yaw = yaw + np.radians(0.8) * strength * shake[:, 0]
        down = down + np.radians(0.8) * strength * shake[:, 1]
        roll = roll + np.radians(0.6) * strength * shake[:, 2]
        position = position + 0.012 * strength * shake[:, 3:]
    if kind in ("walk", "follow"):
        step = 2 * np.pi * rng.uniform(1.6, 2.1) * timestamps_s + rng.uniform(0, 6)
        position = position + np.stack([0 * step, 0.02 * np.sin(step), 0 * step], axis=1)
    low, high = np.radians(-20), np.radians(45)
    return look_matrices(position, yaw, np.clip(down, low, high), roll)


def look_matrices(
    position: Float[ndarray, "N 3"], yaw: Float[ndarray, "N"], down: Float[ndarray, "N"], roll: Float[ndarray, "N"]
) -> Float[ndarray, "N 4 4"]:
    """Camera-to-stage matrices. ``yaw`` from +z towards +x, ``down`` below the horizon, ``roll`` about the axis."""
    forward = np.stack([np.sin(yaw) * np.cos(down), -np.sin(down), np.cos(yaw) * np.cos(down)], axis=1)
    right = np.cross(np.array([0.0, -1.0, 0.0]), forward)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    below = np.cross(forward, right)
    c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
    matrices = np.tile(np.eye(4), (len(yaw), 1, 1))
    matrices[:, :3, 0] = c * right + s * below
    matrices[:, :3, 1] = -s * right + c * below
    matrices[:, :3, 2] = forward
    matrices[:, :3, 3] = position
    return matrices
