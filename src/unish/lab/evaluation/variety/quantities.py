"""What is measured of a clip: pictures, depth, camera, people. The same for exact truth and for reconstructions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from scipy.ndimage import gaussian_filter

from unish.body import JOINT_NAMES, Body
from unish.structs import Reconstruction
from unish.video.resize import fit_long_side, resize_images

Row = dict[str, list[float]]
"""Name of a quantity → its values in one clip; an empty list where the clip has none."""

PICTURE_SIDE = 160
"""Long side in pixels at which pictures are judged: about what the small network sees."""
FARTHEST_M = 80.0
"""Depths beyond count as sky."""
DEPTH_VALUES = 24
EDGE_STEP = 0.05
"""Change of luma per pixel (white = 1) from which on a pixel lies on an edge."""

JOINT_GROUPS = {
    "hips": ("left_hip", "right_hip"),
    "knees": ("left_knee", "right_knee"),
    "spine": ("spine1", "spine2", "spine3"),
    "neck": ("neck", "head"),
    "shoulders": ("left_shoulder", "right_shoulder"),
    "elbows": ("left_elbow", "right_elbow"),
}


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One number that a clip has many values of.

    Attributes:
        name: also the key of a ``Row``.
        unit: after the name; may be empty.
        low, high: the axis; what lies outside counts as its end.
        log: compare and draw logarithms.
        estimated: in a reconstruction this is the network's estimate; pictures are measured directly.
    """

    name: str
    unit: str
    low: float
    high: float
    log: bool = False
    estimated: bool = True


QUANTITIES = (
    Quantity(name="brightness", unit="", low=0, high=1, estimated=False),
    Quantity(name="contrast", unit="", low=0, high=0.4, estimated=False),
    Quantity(name="saturation", unit="", low=0, high=1, estimated=False),
    Quantity(name="warmth", unit="red minus blue", low=-0.3, high=0.3, estimated=False),
    Quantity(name="edges", unit="share", low=0, high=0.6, estimated=False),
    Quantity(name="fine detail", unit="share", low=0, high=0.8, estimated=False),
    Quantity(name="depth", unit="m", low=0.3, high=FARTHEST_M, log=True),
    Quantity(name="far over near", unit="ratio", low=1, high=100, log=True),
    Quantity(name="field of view", unit="°", low=20, high=120),
    Quantity(name="camera turn", unit="°/s", low=0.2, high=200, log=True),
    Quantity(name="camera travel", unit="m/s", low=0.005, high=10, log=True),
    Quantity(name="camera pitch", unit="° down", low=-45, high=75),
    Quantity(name="camera roll", unit="°", low=-25, high=25),
    Quantity(name="camera height", unit="m", low=0, high=5),
    Quantity(name="people", unit="per frame", low=-0.5, high=9.5),
    Quantity(name="person size", unit="of height", low=0, high=1.05),
    Quantity(name="person distance", unit="m", low=0.5, high=40, log=True),
    Quantity(name="person height", unit="m", low=0.8, high=2.2),
    Quantity(name="person speed", unit="m/s", low=0.01, high=10, log=True),
    Quantity(name="trunk lean", unit="°", low=0, high=180),
    *(Quantity(name=group, unit="° from rest", low=0, high=150) for group in JOINT_GROUPS),
)


def measure_clip(record: Reconstruction, body: Body) -> Row:
    """All values of a clip, keyed by the names of ``QUANTITIES``.

    Depths are evenly spaced quantiles over all pixels of all frames; pictures and cameras give a value per frame or
    pair of frames, people one per frame in which they are seen. What needs gravity or the floor is left out where
    these are unknown, and in later shots, whose worlds they do not describe.
    """
    return (
        _measure_pictures(record.images)
        | _measure_scene(record)
        | _measure_camera(record)
        | _measure_people(record, body)
    )


def _measure_pictures(images: UInt8[ndarray, "T H W 3"]) -> Row:
    size = fit_long_side((images.shape[1], images.shape[2]), PICTURE_SIDE)
    colour = resize_images(torch.from_numpy(images), size).numpy().astype(np.float32) / 255
    luma = colour @ np.array([0.299, 0.587, 0.114], np.float32)
    contrast = luma.std((1, 2))
    down, right = np.gradient(luma, axis=(1, 2))
    detail = (luma - gaussian_filter(luma, (0, 1.0, 1.0))).std((1, 2))
    brightest = colour.max(-1)
    return {
        "brightness": _round(luma.mean((1, 2))),
        "contrast": _round(contrast),
        "saturation": _round(((brightest - colour.min(-1)) / np.maximum(brightest, 0.02)).mean((1, 2))),
        "warmth": _round((colour[..., 0] - colour[..., 2]).mean((1, 2))),
        "edges": _round((np.hypot(down, right) > EDGE_STEP).mean((1, 2))),
        "fine detail": _round(detail / np.maximum(contrast, 1e-3)),
    }


def _measure_scene(record: Reconstruction) -> Row:
    solid = (record.depth > 0) & (record.depth < FARTHEST_M)
    values = record.depth[solid]
    shares = (np.arange(DEPTH_VALUES) + 0.5) / DEPTH_VALUES
    ends = [
        np.quantile(frame[keep], (0.05, 0.95)) for frame, keep in zip(record.depth, solid, strict=True) if keep.any()
    ]
    return {
        "depth": _round(np.quantile(values, shares)) if len(values) else [],
        "far over near": _round(np.array([far / near for near, far in ends])),
    }


def _measure_camera(record: Reconstruction) -> Row:
    """Motion between neighbouring frames of a shot per second; the pose against gravity and floor."""
    height, width = record.images.shape[1:3]
    focal = record.intrinsics[:, 0, 0] if width >= height else record.intrinsics[:, 1, 1]
    c2w = record.c2w.astype(np.float64)
    together, seconds = _neighbours(record)
    turn = c2w[:-1, :3, :3].swapaxes(1, 2) @ c2w[1:, :3, :3]
    # |R − 1| = 2√2 sin(angle / 2): unlike the trace, exact for small angles.
    chord = np.linalg.norm(turn - np.eye(3), axis=(1, 2)) / np.sqrt(8)
    angle = np.degrees(2 * np.arcsin(np.clip(chord, 0, 1)))
    travel = np.linalg.norm(np.diff(c2w[:, :3, 3], axis=0), axis=1)
    row = {
        "field of view": _round(np.degrees(2 * np.arctan(max(height, width) / 2 / focal))),
        "camera turn": _round(angle[together] / seconds[together]),
        "camera travel": _round(travel[together] / seconds[together]),
        "camera pitch": [],
        "camera roll": [],
        "camera height": [],
    }
    first = record.segment == record.segment[0]
    gravity, floor = record.gravity[0], record.floor[0]
    if np.isfinite(gravity).all():
        sideways, below, ahead = np.moveaxis(c2w[first, :3, :3].swapaxes(1, 2) @ gravity, 1, 0)
        row["camera pitch"] = _round(np.degrees(np.arcsin(np.clip(ahead, -1, 1))))
        row["camera roll"] = _round(np.degrees(np.arctan2(sideways, below)))
    if np.isfinite(floor).all():
        row["camera height"] = _round(c2w[first, :3, 3] @ floor[:3] + floor[3])
    return row


def _measure_people(record: Reconstruction, body: Body) -> Row:
    seen = record.person_valid
    num_people, num_frames = seen.shape
    height = record.images.shape[1]
    boxes = record.boxes_xyxy[seen]
    pelvis = record.joints[:, :, 0].astype(np.float64)
    w2c = np.linalg.inv(record.c2w.astype(np.float64))
    ahead = np.einsum("tk,ptk->pt", w2c[:, 2, :3], pelvis) + w2c[:, 2, 3]
    together, seconds = _neighbours(record)
    both = seen[:, :-1] & seen[:, 1:] & together
    steps = np.linalg.norm(np.diff(pelvis, axis=1), axis=-1) / np.where(together, seconds, 1.0)
    tall = body.standing_height(torch.from_numpy(record.betas)).numpy() if num_people else np.zeros(0)
    angles = np.degrees(np.linalg.norm(record.body_pose_aa.reshape(num_people, num_frames, 23, 3), axis=-1))
    row = {
        "people": _round(seen.sum(0).astype(float)),
        "person size": _round((boxes[:, 3].clip(max=height) - boxes[:, 1].clip(min=0)) / height),
        "person distance": _round(ahead[seen]),
        "person height": _round(tall[seen.any(1)]),
        "person speed": _round(steps[both]),
        "trunk lean": _round(_trunk_lean(record, seen)),
    }
    for group, names in JOINT_GROUPS.items():
        joints = [JOINT_NAMES.index(name) - 1 for name in names]
        row[group] = _round(angles[seen][:, joints].ravel())
    return row


def _trunk_lean(record: Reconstruction, seen: Bool[ndarray, "P T"]) -> Float[ndarray, "N"]:
    """Degrees between pelvis → neck and up: 0 upright, 90 lying, 180 head down."""
    gravity = record.gravity[0]
    if not np.isfinite(gravity).all():
        return np.zeros(0)
    seen = seen & (record.segment == record.segment[0])
    trunk = (record.joints[:, :, JOINT_NAMES.index("neck")] - record.joints[:, :, 0])[seen].astype(np.float64)
    upright = -(trunk @ gravity) / np.maximum(np.linalg.norm(trunk, axis=-1), 1e-9)
    return np.degrees(np.arccos(np.clip(upright, -1, 1)))


def _neighbours(record: Reconstruction) -> tuple[Bool[ndarray, "S"], Float[ndarray, "S"]]:
    """Which pairs of neighbouring frames belong to one shot, and the seconds between them."""
    seconds = np.diff(record.timestamps_s)
    return (np.diff(record.segment) == 0) & (seconds > 0), seconds


def _round(values: ndarray) -> list[float]:
    """Five digits are plenty, and keep a cache of rows small."""
    return [float(f"{value:.5g}") for value in np.asarray(values, np.float64) if np.isfinite(value)]
