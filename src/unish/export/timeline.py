"""One timeline for a shot: times at an even rate, and how the frames of the reconstruction are blended at each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from numpy import ndarray
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation

from unish.export.options import SMOOTH, SOURCE, WHOLE
from unish.structs import Reconstruction

LEAST_FPS = 30.0
"""Readers of motion (AMASS add-ons, robot retargeting) refuse slower files."""

_DEFAULT_FPS = 30.0
"""Of a shot whose frames do not tell the rate of its video."""

_STANDARD_FPS = (24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0, 50.0, 60000 / 1001, 60.0, 120.0)
_SAME_RATE = 2e-4
"""Relative difference within which a measured rate is a standard one: 1/5 of what is between 30 and 29.97."""

_ON_A_FRAME = 0.02
"""Share of an output frame within which a time is taken for that of a frame of the reconstruction."""


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """N output frames between K frames of the reconstruction; frame n lies between ``before[n]`` and the next.

    Attributes:
        fps: output frames per second; NaN where they are the frames of the reconstruction, with times of their own.
        times_s: seconds since the first frame of the shot.
        key_times_s: the same of the frames of the reconstruction.
        before: index of the frame at or before each time.
        share: 0 at that frame, towards 1 at the next.
    """

    fps: float
    times_s: Float64[ndarray, "N"]
    key_times_s: Float64[ndarray, "K"]
    before: Int64[ndarray, "N"]
    share: Float64[ndarray, "N"]

    @property
    def after(self) -> Int64[ndarray, "N"]:
        """The frame at the other side; the same one where a time is that of a frame."""
        return np.where(self.share > 0, self.before + 1, self.before)

    def between(self, shown: Bool[ndarray, "*rest K"]) -> Bool[ndarray, "*rest N"]:
        """Where both frames around a time are shown: a stretch without frames stays one."""
        return shown[..., self.before] & shown[..., self.after]

    def blend(self, values: Float[ndarray, "K *rest"]) -> Float64[ndarray, "N *rest"]:
        """On the straight line between the two frames."""
        share = self.share.reshape(-1, *[1] * (values.ndim - 1))
        first, second = values[self.before].astype(np.float64), values[self.after].astype(np.float64)
        return first + share * (second - first)

    def turn(self, rotations: Float[ndarray, "K *rest 3 3"]) -> Float64[ndarray, "N *rest 3 3"]:
        """Spherical linear interpolation, the shorter way: R₀ · exp(share · log(R₀ᵀ·R₁)) (Shoemake, 1985)."""
        first, second = rotations[self.before].astype(np.float64), rotations[self.after].astype(np.float64)
        step = Rotation.from_matrix((first.mT @ second).reshape(-1, 3, 3)).as_rotvec().reshape(*first.shape[:-1])
        part = step * self.share.reshape(-1, *[1] * (step.ndim - 1))
        return first @ Rotation.from_rotvec(part.reshape(-1, 3)).as_matrix().reshape(first.shape)

    def follow(self, places: Float[ndarray, "K 3"], shown: Bool[ndarray, "K"]) -> Float64[ndarray, "N 3"]:
        """A smooth curve through the places of each unbroken stretch, NaN elsewhere.

        Piecewise cubic with continuous velocity that never overshoots (Fritsch and Butland, 1984): what stands still
        in two frames stands still between them.
        """
        out = np.full((len(self.times_s), 3), np.nan)
        inside = self.between(shown)
        for first, last in find_runs(shown):
            here = inside & (self.before >= first) & (self.after <= last)
            if first == last:
                out[here] = places[first]
            else:
                keys = slice(first, last + 1)
                curve = PchipInterpolator(self.key_times_s[keys], places[keys].astype(np.float64), axis=0)
                exact = self.key_times_s[self.before] + self.share * (
                    self.key_times_s[self.after] - self.key_times_s[self.before]
                )
                out[here] = curve(exact[here])
        return out


def make_timeline(reconstruction: Reconstruction, frames: slice, fps: float | str | None) -> Timeline:
    """The timeline of the shot that consists of ``frames``; ``fps`` as in ``ExportOptions``."""
    keys = reconstruction.timestamps_s[frames] - reconstruction.timestamps_s[frames.start]
    if fps is None:
        count = np.arange(len(keys))
        return Timeline(fps=math.nan, times_s=keys, key_times_s=keys, before=count, share=np.zeros(len(keys)))
    source = measure_source_fps(reconstruction, frames)
    smooth = choose_smooth_fps(source)
    named = {SOURCE: source, SMOOTH: smooth, WHOLE: float(round(smooth))}
    rate = named[fps] if isinstance(fps, str) else float(fps)
    times = np.arange(int(keys[-1] * rate + _ON_A_FRAME) + 1) / rate
    nearest = _nearest(times, keys)
    on_frame = np.abs(times - keys[nearest]) * rate < _ON_A_FRAME
    before = np.where(on_frame, nearest, np.clip(np.searchsorted(keys, times, side="right") - 1, 0, len(keys) - 1))
    length = np.diff(keys, append=keys[-1] + 1.0)[before]
    share = np.where(on_frame, 0.0, (times - keys[before]) / length)
    return Timeline(fps=rate, times_s=times, key_times_s=keys, before=before, share=share)


def _nearest(times: Float64[ndarray, "N"], keys: Float64[ndarray, "K"]) -> Int64[ndarray, "N"]:
    right = np.searchsorted(keys, times).clip(max=len(keys) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(np.abs(times - keys[left]) <= np.abs(times - keys[right]), left, right)


def measure_source_fps(reconstruction: Reconstruction, frames: slice) -> float:
    """Frames per second of the video, from the indices and times of the frames that were used; 30 of a single one."""
    steps, seconds = (np.diff(values[frames]) for values in (reconstruction.frame_indices, reconstruction.timestamps_s))
    known = (steps > 0) & (seconds > 0)
    if not known.any():
        return _DEFAULT_FPS
    rate = float(np.median(steps[known] / seconds[known]))
    return next((standard for standard in _STANDARD_FPS if abs(rate / standard - 1) < _SAME_RATE), round(rate, 6))


def measure_used_fps(times_s: Float64[ndarray, "K"]) -> float:
    """Frames per second that people were read in; NaN of a single one."""
    return float(1 / np.median(np.diff(times_s))) if len(times_s) > 1 else math.nan


def choose_smooth_fps(source_fps: float) -> float:
    """The smallest multiple of the video's rate that is 30 or more, so that its frames stay frames; 29.97 is enough."""
    return source_fps * math.ceil(round(LEAST_FPS * 0.998 / source_fps, 6))


def find_runs(shown: Bool[ndarray, "N"]) -> list[tuple[int, int]]:
    """First and last index of each unbroken run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], shown, [False]]).astype(np.int8)))
    return [(int(first), int(stop) - 1) for first, stop in edges.reshape(-1, 2)]
