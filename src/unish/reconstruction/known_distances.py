"""Known distances: what is so many metres long in the scene says how large the whole world of its shot is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unish.body import Body, resize_shape
from unish.reconstruction.ground import Ground
from unish.reconstruction.metric import SceneScale
from unish.reconstruction.shot import MetricShot
from unish.reconstruction.stitch import scale_cameras
from unish.structs import CONFIDENT, FrameArray

KNOWN_DISTANCE_SIGMA = 0.03
"""Relative 1σ error of a scale from a distance between two points: the depth of single pixels is never exact."""

REACH_PX = 1
"""The depth of a point is the median over the pixels around it, up to so far away."""


def measure_span(shot: MetricShot, row: int, pixels: Float[Tensor, "2 2"]) -> float | None:
    """Metres between what two pixels show; ``None`` where no depth is known at one of them.

    Args:
        row: which of the shot's frames with depth.
        pixels: (x, y) of each, of the processed image.
    """
    first, second = locate_pixels(shot, row, pixels)
    distance = float((first - second).norm())
    return distance if math.isfinite(distance) and distance > 0 else None


def locate_pixels(shot: MetricShot, row: int, pixels: Float[Tensor, "K 2"]) -> Float[Tensor, "K 3"]:
    """What pixels show, in the camera, metres; NaN where no depth is known. For the arguments, see ``measure_span``."""
    depth, conf = shot.depth[row], shot.conf[row]
    known = torch.where((conf >= CONFIDENT) & (depth > 0) & torch.isfinite(depth), depth, torch.nan)
    z = torch.stack([_read_around(known, *pixel) for pixel in pixels.tolist()])
    rays = torch.nn.functional.pad(pixels, (0, 1), value=1.0) @ torch.linalg.inv(shot.intrinsics[shot.dense[row]]).mT
    return rays * z[:, None]


def spread_factors(told: Sequence[Sequence[float]], seen: Bool[Tensor, "S P"]) -> list[float | None]:
    """The factor of every shot: the geometric mean of those that are told in it, and in all shots that share people
    with it, directly or by others, for a person has one size. ``None`` where none of them is told any.

    Args:
        told: factors for each shot.
        seen: who is in which shot.
    """
    linked = (seen.double() @ seen.double().mT > 0) | torch.eye(len(told), dtype=torch.bool)
    for _ in range(len(told).bit_length()):
        linked = linked.double() @ linked.double() > 0
    factors: list[float | None] = []
    for row in linked:
        logs = [math.log(factor) for shot in row.nonzero()[:, 0].tolist() for factor in told[shot]]
        factors.append(math.exp(sum(logs) / len(logs)) if logs else None)
    return factors


def resize_world(shot: MetricShot, ground: Ground, factor: float, body: Body) -> tuple[MetricShot, Ground]:
    """Everything ``factor`` times as large: scene, cameras, people and ground. It looks the same in the picture."""
    log_factor = torch.tensor(math.log(factor), dtype=torch.float32)
    betas = resize_shape(body, shot.params.betas, log_factor.expand(shot.valid.shape))
    params = replace(shot.params, betas=betas)
    # The shape is the nearest one that the body model has: its joints come as near as they can.
    params = replace(params, transl=params.transl + (shot.joints * factor - body.joints(params)).mean(-2))
    curve = shot.curve and replace(shot.curve, knots=shot.curve.knots + log_factor)
    resized = replace(
        shot,
        c2w=scale_cameras(shot.c2w, factor),
        depth_before=_resize_depth(shot.depth_before, factor),
        depth=_resize_depth(shot.depth, factor),
        params=params,
        joints=body.joints(params),
        correction=replace(shot.correction, scene_level=shot.correction.scene_level + log_factor),
        scale=SceneScale(factor=shot.scale.factor * factor, uncertainty=KNOWN_DISTANCE_SIGMA, source="distance"),
        curve=curve,
    )
    return resized, replace(ground, floor=ground.floor * torch.tensor([1.0, 1.0, 1.0, factor]))


def _resize_depth(depth: FrameArray | Tensor, factor: float) -> FrameArray:
    return FrameArray.map(lambda values: values * factor, depth)


def _read_around(depth: Float[Tensor, "H W"], x: float, y: float) -> Float[Tensor, ""]:
    rows, columns = (slice(max(int(at) - REACH_PX, 0), int(at) + REACH_PX + 1) for at in (y, x))
    return depth[rows, columns].nanmedian()
