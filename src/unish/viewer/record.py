"""What there is to see of a reconstruction, in plain arrays, whatever draws it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8
from numpy import ndarray
from PIL import Image

from unish.body import Body
from unish.export.axes import upright
from unish.export.fusion import FusedPoints, fuse_scene
from unish.export.points import ChosenPoints, choose_points
from unish.structs import Reconstruction
from unish.viewer.people import PersonRecord, read_people

_PICTURE_SIDE = 256
_SIGMAS_90 = 1.645
"""Half width of the middle 90 % of a normal distribution, in standard deviations."""
_GRID_M, _GRID_MARGIN_M = 4.0, 2.0
_MAX_VIEWS, _PEOPLE_MARGIN = 48, 0.012
"""The margin is a share of the long side of the picture."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The floor as a square grid: its middle (world, metres), the rotation that brings z to its normal, its side."""

    middle: Float64[ndarray, "3"]
    rotation: Float64[ndarray, "3 3"]
    side_m: float


@dataclass(frozen=True, kw_only=True)
class ShotRecord:
    """What stands still in one shot, in its world, metres.

    Attributes:
        steps: which steps of the record are this shot's.
        points: its scene without people; ``points.xyz`` counts from ``centre``, so that half precision is enough.
        distance: (N,) of each point from the middle of the cameras.
        up: unit vector; against gravity where that is known, else against the first camera's y.
        ground: ``None`` where no floor is known.
        scale_interval: factors on all lengths between which the true size lies with 90 %; NaN when unknown.
    """

    steps: slice
    points: FusedPoints
    centre: Float32[ndarray, "3"]
    distance: Float32[ndarray, "N"]
    up: Float64[ndarray, "3"]
    gravity_known: bool
    ground: Ground | None
    scale_interval: Float64[ndarray, "2"]


@dataclass(frozen=True, kw_only=True)
class SceneRecord:
    """N steps of a timeline, one for each shown frame; one shot after the other, each in a world of its own.

    Attributes:
        reconstruction: what it was made from, of which pictures and points are read when they are shown.
        frames: used frame of each step.
        fps: steps per second.
        height_intervals: by ``person_id``, metres between which the true height lies with 90 %, as far as it is known.
    """

    title: str
    reconstruction: Reconstruction
    frames: Int64[ndarray, "N"]
    fps: float
    times_s: Float64[ndarray, "N"]
    shot_of_step: Int64[ndarray, "N"]
    c2w: Float64[ndarray, "N 4 4"]
    intrinsics: Float64[ndarray, "N 3 3"]
    shots: tuple[ShotRecord, ...]
    people: tuple[PersonRecord, ...]
    height_intervals: Mapping[int, tuple[float, float]]

    @property
    def num_steps(self) -> int:
        return len(self.frames)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the frames in pixels, which ``intrinsics`` are of."""
        height, width = self.reconstruction.image_size.tolist()
        return height, width

    def dense_frame(self, step: int) -> int:
        """Index into the dense arrays of what is shown at a step: the newest that is not later, else the first."""
        found = np.searchsorted(self.reconstruction.dense_frames, self.frames[step], side="right") - 1
        return max(0, int(found))

    def step_of_picture(self, step: int) -> int:
        """The step whose frame ``picture`` shows at a step: an earlier one where not every frame has dense arrays.

        Where the frame itself is no step, the nearest step that is not earlier.
        """
        frame = self.reconstruction.dense_frames[self.dense_frame(step)]
        found = int(np.searchsorted(self.frames, frame))
        return min(found, self.num_steps - 1)

    def picture(self, step: int, *, side: int | None = None) -> UInt8[ndarray, "h w 3"]:
        """The frame of a step, made smaller where its long side is above ``side`` pixels."""
        image = Image.fromarray(np.ascontiguousarray(self.reconstruction.images[self.dense_frame(step)]))
        if side is not None:
            image.thumbnail((side, side))
        return np.asarray(image)

    def frame_points(self, step: int, *, max_points: int) -> ChosenPoints:
        """What the frame of a step alone saw, people included."""
        frame = self.dense_frame(step)
        record = self.reconstruction.at_dense_frames()
        return choose_points(record, max_points=max_points, frames=np.array([frame]))


def build_record(
    reconstruction: Reconstruction,
    body: Body,
    *,
    title: str,
    report: Mapping[str, Any] | None = None,
    max_points: int = 120_000,
    max_steps: int | None = None,
) -> SceneRecord:
    """Read what there is to see.

    Args:
        reconstruction: as it is to be shown, with blurred faces where these are wanted.
        report: what ``report.json`` says; the uncertainty of the scene's size is read from it where the reconstruction
            does not hold an interval.
        max_points: most scene points, over all shots; each has its share by the number of its frames.
        max_steps: most steps; of a longer video every second, third, … frame is shown.
    """
    stride = 1 if max_steps is None else -(-reconstruction.num_frames // max_steps)
    frames = np.arange(0, reconstruction.num_frames, stride)
    times = reconstruction.timestamps_s[frames]
    gaps = np.diff(times)
    shot_of_step = reconstruction.shot_of_frame()[frames]
    dense = reconstruction.at_dense_frames()
    shots = []
    for shot in np.unique(shot_of_step).tolist():
        steps = np.flatnonzero(shot_of_step == shot)
        share = max(1, max_points * len(steps) // len(frames))
        interval = _scale_interval(reconstruction, shot, report)
        shots.append(_read_shot(reconstruction, dense, shot, slice(steps[0], steps[-1] + 1), share, interval))
    return SceneRecord(
        title=title,
        reconstruction=reconstruction,
        frames=frames,
        fps=float(1 / np.median(gaps)) if len(gaps) else 1.0,
        times_s=times,
        shot_of_step=np.searchsorted(np.unique(shot_of_step), shot_of_step),
        c2w=reconstruction.c2w[frames].astype(np.float64),
        intrinsics=reconstruction.intrinsics[frames].astype(np.float64),
        shots=tuple(shots),
        people=read_people(reconstruction, body, frames),
        height_intervals=_height_intervals(report),
    )


def small_picture(record: SceneRecord, step: int) -> UInt8[ndarray, "h w 3"]:
    """The frame of a step as it is carried by a drawn camera."""
    return record.picture(step, side=_PICTURE_SIDE)


def describe_height(record: SceneRecord, person: PersonRecord) -> str:
    """Such as ``1.72 m (90 %: 1.66 to 1.79 m)``, without the interval where the report tells none."""
    between = record.height_intervals.get(person.person_id)
    return f"{person.height_m:.2f} m" + (f" (90 %: {between[0]:.2f} to {between[1]:.2f} m)" if between else "")


def _read_shot(
    record: Reconstruction,
    dense: Reconstruction,
    shot: int,
    steps: slice,
    max_points: int,
    interval: Float64[ndarray, "2"],
) -> ShotRecord:
    label = record.segment[record.shot_frames()[shot].start]
    dense_frames = np.flatnonzero(dense.segment == label)
    cameras = record.c2w[record.segment == label, :3, 3]
    if len(dense_frames):
        margin = round(_PEOPLE_MARGIN * max(record.image_size.tolist()))
        points = fuse_scene(dense, dense_frames, max_points=max_points, max_views=_MAX_VIEWS, margin_px=margin)
    else:
        none = np.zeros((0, 3))
        points = FusedPoints(
            xyz=none.astype(np.float32), colours=none.astype(np.uint8), confidence=none[:, 0].astype(np.float32)
        )
    centre = np.median(points.xyz, axis=0) if len(points.xyz) else cameras[0]
    rotation = upright(record.gravity[shot])
    return ShotRecord(
        steps=steps,
        points=FusedPoints(xyz=points.xyz - centre, colours=points.colours, confidence=points.confidence),
        centre=centre.astype(np.float32),
        distance=np.linalg.norm(points.xyz - cameras.mean(axis=0), axis=-1).astype(np.float32),
        up=rotation[1],
        gravity_known=bool(np.isfinite(record.gravity[shot]).all()),
        ground=_read_ground(record, shot, rotation),
        scale_interval=interval,
    )


def _read_ground(record: Reconstruction, shot: int, rotation: Float64[ndarray, "3 3"]) -> Ground | None:
    """A square below cameras and people, its sides along those of the upright world; of whole metres."""
    plane = record.floor[shot].astype(np.float64)
    if not np.isfinite(plane).all():
        return None
    frames = record.shot_frames()[shot]
    places = np.concatenate([record.c2w[frames, :3, 3], record.joints[:, frames, 0].reshape(-1, 3)]).astype(np.float64)
    places = places[np.isfinite(places).all(axis=-1)]
    low, high = places.min(axis=0), places.max(axis=0)
    normal = plane[:3] / np.linalg.norm(plane[:3])
    middle = (low + high) / 2
    middle = middle - normal * (normal @ middle + plane[3])
    across = rotation[0] - normal * (normal @ rotation[0])
    across /= np.linalg.norm(across)
    side = float(np.ceil(max(_GRID_M, float(np.linalg.norm(high - low)) + 2 * _GRID_MARGIN_M)))
    return Ground(middle=middle, rotation=np.stack([across, np.cross(normal, across), normal], axis=1), side_m=side)


def _height_intervals(report: Mapping[str, Any] | None) -> dict[int, tuple[float, float]]:
    """Of the people of ``report.json``; older ones do not tell them."""
    found = {}
    for person in (report or {}).get("people") or []:
        low, high = person.get("height_interval_m") or (np.nan, np.nan)
        if low is not None and high is not None and np.isfinite([low, high]).all():
            found[int(person["id"])] = (float(low), float(high))
    return found


def _scale_interval(record: Reconstruction, shot: int, report: Mapping[str, Any] | None) -> Float64[ndarray, "2"]:
    """90 % interval of the true size over the given: the file's own, else from the standard deviation in the report."""
    own = getattr(record, "scale_interval", None)
    own = record.extra.get("scale_interval") if own is None else own
    if own is not None and np.isfinite(own[shot]).all():
        return np.asarray(own[shot], np.float64)
    sigma = ((report or {}).get("quality") or {}).get("scale_uncertainty")
    if sigma is None or not np.isfinite(sigma):
        return np.full(2, np.nan)
    return np.exp(_SIGMAS_90 * sigma * np.array([-1.0, 1.0]))
