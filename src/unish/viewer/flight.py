"""Ways of a camera through a scene: from the camera of the film to above, around people, or along with one of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation, Slerp

from unish.viewer.film_camera import fit_window
from unish.viewer.record import SceneRecord

RISE, ORBIT, FOLLOW = "rise", "orbit", "follow"
FLIGHTS = (RISE, ORBIT, FOLLOW)
_ABOVE_RAD = math.radians(65)
"""Where ``rise`` ends: seen from straight above, people are specks."""
_LOW_RAD, _HIGH_RAD = math.radians(12), math.radians(40)
"""Elevations between which ``orbit`` and ``follow`` stay: lower is the floor seen edge on, higher hides faces."""
_STILL_SHARE = 0.12
"""Share of ``rise`` in which the camera stays where it is, at either end."""
_BACK, _SOONER = 1.3, 3.0
"""How much farther from the target ``rise`` ends than it begins; how much sooner it has turned than moved."""
_SWING_RAD, _SWING_RAD_S = math.radians(60), math.radians(45)
"""``orbit`` goes so far to either side and no faster: what no frame has seen would be shown from farther around."""
_NEAREST_M, _SMOOTH_S = 1.5, 0.6


@dataclass(frozen=True, kw_only=True)
class View:
    """A pinhole camera that looks along the middle of its picture.

    Attributes:
        c2w: (4, 4) in OpenCV axes, metres, world of the shot.
        fov: vertical angle of view, radians.
        from_film: 1 where this is the camera of the film, 0 where it has left it.
    """

    c2w: Float64[ndarray, "4 4"]
    fov: float
    from_film: float

    def intrinsics(self, size: tuple[int, int]) -> Float64[ndarray, "3 3"]:
        """In pixels of a picture of (height, width)."""
        height, width = size
        focal = height / 2 / math.tan(self.fov / 2)
        return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])


class Flight:
    """The way through one shot.

    Args:
        record: what is shown.
        shot: index into ``record.shots``.
        kind: one of ``FLIGHTS``. ``rise`` begins in the camera of the film and ends above; ``orbit`` swings around
            people, to either side of it; ``follow`` moves along with a person and sees them as the film began.
        person: index into ``record.people``, whom ``follow`` means; ``None`` means everybody's middle.
        aspect: width over height of the pictures.
        seconds: how long the flight lasts.
    """

    def __init__(
        self, record: SceneRecord, shot: int, kind: str, *, person: int | None, aspect: float, seconds: float
    ) -> None:
        self._record, self._kind, self._aspect, self._seconds = record, kind, aspect, seconds
        self._steps = record.shots[shot].steps
        self._up = record.shots[shot].up
        self._targets = self._find_targets(person if kind == FOLLOW else None)
        if kind != FOLLOW:
            self._targets[:] = np.median(self._targets, axis=0)
        self._axes = _level_axes(self._up, record.c2w[self._steps.start, :3, 2])

    def view(self, share: float, step: float) -> View:
        """The camera when this ``share`` of the flight is over; the video is at ``step``, which need not be whole."""
        first = float(self._steps.start)
        target = _between(self._targets, step - first)
        film = self._film(step)
        at = film if self._kind == RISE else self._film(first)
        origin = target if self._kind == RISE else self._targets[0]
        radius, azimuth, elevation = self._polar(at[:3, 3] - origin)
        if self._kind == RISE:
            left = _ease((share - _STILL_SHARE) / (1 - 2 * _STILL_SHARE))
            radius += left * (max(_BACK * radius, _NEAREST_M) - radius)
            elevation += left * (max(elevation, _ABOVE_RAD) - elevation)
        else:
            left = 1.0
            radius = max(radius, _NEAREST_M)
            elevation = float(np.clip(elevation, _LOW_RAD, _HIGH_RAD))
        if self._kind == ORBIT:
            widest = min(_SWING_RAD, _SWING_RAD_S * self._seconds / (2 * math.pi))
            azimuth += widest * math.sin(2 * math.pi * share)
        position = target + self._from_polar(radius, azimuth, elevation)
        looking = Rotation.from_matrix(_look_at(position, target, self._up))
        # It turns to the target sooner than it leaves its place, lest the target slip out of the picture.
        way = Slerp([0.0, 1.0], Rotation.concatenate([Rotation.from_matrix(film[:3, :3]), looking]))
        turned = way([_ease(_SOONER * left)])[0]
        c2w = np.eye(4)
        c2w[:3, :3], c2w[:3, 3] = turned.as_matrix(), position
        # Whoever has left the film does not zoom with it.
        fov = left * self._fov(first) + (1 - left) * self._fov(step)
        return View(c2w=c2w, fov=fov, from_film=1.0 - left)

    def _find_targets(self, person: int | None) -> Float64[ndarray, "N 3"]:
        """Where the hips are at each step of the shot, smoothed; the middle of the scene where nobody is."""
        record, steps = self._record, self._steps
        chosen = record.people if person is None else (record.people[person],)
        places = [np.where(one.shown[steps, None], one.joint_positions[steps, 0], np.nan) for one in chosen]
        count = steps.stop - steps.start
        found = np.full((count, 3), np.nan)
        if places:
            stacked = np.stack(places).astype(np.float64)
            seen = np.isfinite(stacked[..., 0]).any(axis=0)
            found[seen] = np.nanmean(stacked[:, seen], axis=0)
        known = np.flatnonzero(np.isfinite(found[:, 0]))
        if not len(known):
            shot = record.shots[int(record.shot_of_step[steps.start])]
            return np.tile(shot.centre.astype(np.float64), (count, 1))
        filled = np.stack([np.interp(np.arange(count), known, found[known, axis]) for axis in range(3)], axis=1)
        return _smooth(filled, _SMOOTH_S * record.fps)

    def _fov(self, step: float) -> float:
        """Of the film between two steps, in a picture of another aspect; vertical, radians."""
        low, high = self._beside(step)
        first, second = (
            fit_window(self._record.intrinsics[at], self._record.image_size, self._aspect)[0] for at in (low, high)
        )
        return first + (step - low) * (second - first) if high > low else first

    def _beside(self, step: float) -> tuple[int, int]:
        """The steps of the shot before and after."""
        last = int(self._steps.stop) - 1
        low = min(int(step), last)
        return low, min(low + 1, last)

    def _film(self, step: float) -> Float64[ndarray, "4 4"]:
        """The camera of the film between two steps."""
        low, high = self._beside(step)
        first, second = self._record.c2w[low], self._record.c2w[high]
        share = step - low
        if share <= 0 or high == low:
            return first
        turns = Rotation.concatenate([Rotation.from_matrix(one[:3, :3]) for one in (first, second)])
        found = np.eye(4)
        found[:3, :3] = Slerp([0.0, 1.0], turns)([share])[0].as_matrix()
        found[:3, 3] = (1 - share) * first[:3, 3] + share * second[:3, 3]
        return found

    def _polar(self, offset: Float64[ndarray, "3"]) -> tuple[float, float, float]:
        """Distance, azimuth and elevation of an offset from the target, radians."""
        ahead, side, up = self._axes @ offset
        return float(np.linalg.norm(offset)), math.atan2(side, ahead), math.atan2(up, math.hypot(ahead, side))

    def _from_polar(self, radius: float, azimuth: float, elevation: float) -> Float64[ndarray, "3"]:
        flat = math.cos(elevation)
        place = np.array([flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(elevation)])
        return radius * place @ self._axes


def _smooth(places: Float64[ndarray, "N 3"], sigma: float) -> Float64[ndarray, "N 3"]:
    """Gaussian over N places; who walks straight ahead stays where they are, at the ends, too."""
    margin = min(len(places) - 1, round(4 * sigma))
    padded = np.pad(places, ((margin, margin), (0, 0)), mode="reflect", reflect_type="odd")
    return gaussian_filter1d(padded, sigma, axis=0, mode="nearest")[margin : margin + len(places)]


def _between(places: Float64[ndarray, "N 3"], at: float) -> Float64[ndarray, "3"]:
    low = min(max(int(at), 0), len(places) - 1)
    high = min(low + 1, len(places) - 1)
    return places[low] + (at - low) * (places[high] - places[low]) if high > low else places[low]


def _ease(share: float) -> float:
    """0 to 1 without a jerk at either end: 3s² − 2s³."""
    share = min(max(share, 0.0), 1.0)
    return share * share * (3 - 2 * share)


def _level_axes(up: Float[ndarray, "3"], ahead: Float[ndarray, "3"]) -> Float64[ndarray, "3 3"]:
    """Rows: level ahead, level to the side, up. Whatever is level serves where ``ahead`` points straight up or down."""
    level = ahead - up * (up @ ahead)
    if np.linalg.norm(level) < 1e-6:
        level = np.linalg.svd(up[None])[2][1]
    level = level / np.linalg.norm(level)
    return np.stack([level, np.cross(up, level), up])


def _look_at(
    position: Float64[ndarray, "3"], target: Float64[ndarray, "3"], up: Float64[ndarray, "3"]
) -> Float64[ndarray, "3 3"]:
    """Rotation of a camera (x right, y down, z ahead) that looks at the target with ``up`` upwards in its picture."""
    ahead = target - position
    ahead = ahead / max(float(np.linalg.norm(ahead)), 1e-9)
    right = np.cross(ahead, up)
    if np.linalg.norm(right) < 1e-6:
        right = np.linalg.svd(np.stack([ahead, ahead]))[2][1]
    right = right / np.linalg.norm(right)
    return np.stack([right, np.cross(ahead, right), ahead], axis=1)
