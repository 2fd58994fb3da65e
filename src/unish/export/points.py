"""A manageable subset of the points of a reconstruction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int, UInt8
from numpy import ndarray

from unish.geometry.surfaces import depth_edges
from unish.structs import PeopleCloud, Reconstruction
from unish.structs.person_points import NO_CLOUD
from unish.structs.reconstruction import RELIABLE

_EDGE_STEP = 0.1
"""Relative change of depth between neighbours that counts as an edge; floors seen at a flat angle stay below it."""


@dataclass(frozen=True, kw_only=True)
class ChosenPoints:
    """N points in world metres.

    Attributes:
        xyz: (N, 3).
        colours: (N, 3) sRGB.
        confidence: (N,) 0..1.
        person: (N,) index into the people axis, −1 = scene.
        frame: (N,) index of the used frame.
    """

    xyz: Float32[ndarray, "N 3"]
    colours: UInt8[ndarray, "N 3"]
    confidence: Float32[ndarray, "N"]
    person: Int[ndarray, "N"]
    frame: Int[ndarray, "N"]


def choose_points(
    reconstruction: Reconstruction, *, max_points: int, frames: Int[ndarray, "F"] | None = None
) -> ChosenPoints:
    """At most ``max_points``, those of people among them, spread evenly over the frames; the same ones every time.

    Left out are pixels without depth, of low confidence, and on depth edges, where depth mixes two surfaces. People who
    have ``person_points`` show these instead of their pixels.

    Args:
        frames: indices of used frames; all by default.
    """
    wanted = range(reconstruction.num_frames) if frames is None else frames.tolist()
    share = max(1, max_points // len(wanted))
    generator = np.random.default_rng(0)
    chosen = []
    for frame in wanted:
        rows, columns = np.nonzero(select_pixels(reconstruction, frame))
        cloud = NO_CLOUD if reconstruction.person_points is None else reconstruction.person_points[frame]
        shown_by_pixels = ~np.isin(reconstruction.person_masks[frame][rows, columns], cloud.person)
        rows, columns = rows[shown_by_pixels], columns[shown_by_pixels]
        num = len(rows) + len(cloud.person)
        some = np.sort(generator.choice(num, share, replace=False)) if num > share else np.arange(num)
        of_pixels, of_cloud = some[some < len(rows)], some[some >= len(rows)] - len(rows)
        chosen.append(_take_pixels(reconstruction, frame, rows[of_pixels], columns[of_pixels]))
        chosen.append(_take_cloud(reconstruction, frame, cloud, of_cloud))
    return ChosenPoints(
        **{name: np.concatenate([getattr(part, name) for part in chosen]) for name in ChosenPoints.__annotations__}
    )


def _take_pixels(
    reconstruction: Reconstruction, frame: int, rows: Int[ndarray, "N"], columns: Int[ndarray, "N"]
) -> ChosenPoints:
    return ChosenPoints(
        xyz=lift_pixels(reconstruction, frame, rows, columns),
        colours=reconstruction.images[frame][rows, columns],
        confidence=reconstruction.point_conf[frame][rows, columns].astype(np.float32),
        person=reconstruction.person_masks[frame][rows, columns].astype(np.int64),
        frame=np.full(len(rows), frame),
    )


def _take_cloud(
    reconstruction: Reconstruction, frame: int, cloud: PeopleCloud, some: Int[ndarray, "N"]
) -> ChosenPoints:
    """Their confidence is that of the depth at their pixels."""
    xyz, c2w = cloud.points[some], reconstruction.c2w[frame]
    pixels = (xyz - c2w[:3, 3]) @ c2w[:3, :3] @ reconstruction.intrinsics[frame].T
    conf = reconstruction.point_conf[frame]
    limits = np.array(conf.shape[::-1]) - 1
    columns, rows = np.clip(pixels[:, :2] / pixels[:, 2:], 0, limits).astype(int).T
    return ChosenPoints(
        xyz=xyz,
        colours=cloud.colours[some],
        confidence=conf[rows, columns].astype(np.float32),
        person=cloud.person[some].astype(np.int64),
        frame=np.full(len(some), frame),
    )


def select_pixels(reconstruction: Reconstruction, frame: int, *, stride: int = 1) -> Bool[ndarray, "h w"]:
    """Pixels of a frame with a depth to rely on: defined, confident, and not on a depth edge.

    Args:
        stride: only every so many pixels along both sides are asked, from the first on.
    """
    depth = torch.from_numpy(np.ascontiguousarray(reconstruction.depth[frame]))
    edges = depth_edges(depth, depth > 0, relative_step=_EDGE_STEP, stride=stride)
    confident = reconstruction.point_conf[frame][::stride, ::stride] >= RELIABLE
    return ((depth > 0)[::stride, ::stride] & ~edges).numpy() & confident


def lift_pixels(
    reconstruction: Reconstruction, frame: int, rows: Int[ndarray, "N"], columns: Int[ndarray, "N"]
) -> Float32[ndarray, "N 3"]:
    """World points of pixels: ``c2w`` · unproject(``depth``, ``intrinsics``), pixel centres at +0.5; metres."""
    z = reconstruction.depth[frame][rows, columns].astype(np.float64)
    pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], axis=1)
    local = pixels @ np.linalg.inv(reconstruction.intrinsics[frame].astype(np.float64)).T * z[:, None]
    c2w = reconstruction.c2w[frame].astype(np.float64)
    return (local @ c2w[:3, :3].T + c2w[:3, 3]).astype(np.float32)
