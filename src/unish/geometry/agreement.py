"""Depth maps of several frames of one place, held against one another: where they agree, and made one.

Legend: N frames, h×w the size of their depth maps, K neighbours of a frame.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from unish.geometry.camera import project, unproject
from unish.geometry.rigid import invert_rigid, transform_points
from unish.geometry.statistics import weighted_median

_MIN_DEPTH = 1e-3  # what is nearer, or behind a camera, is not seen
_ROWS_AT_ONCE = 64


def count_agreeing(
    log_depth: Float[Tensor, "N h w"],
    w2c: Float[Tensor, "N 4 4"],
    intrinsics: Float[Tensor, "N 3 3"],
    neighbours: Int[Tensor, "N K"],
    usable: Bool[Tensor, "N h w"],
    *,
    sigma: float,
) -> Float[Tensor, "N h w"]:
    """How many neighbours have the same depth at the place where they see a pixel's point, 0…K.

    Each counts by exp(−½·(difference of log-depths / ``sigma``)²).

    Args:
        usable: pixels that show what stands still; the others of a neighbour agree with nothing.
    """
    count = torch.zeros_like(log_depth)
    maps = torch.stack([log_depth, usable.to(log_depth.dtype)], dim=1)
    for others in neighbours.unbind(1):
        ratio, sampled, visible = _see(log_depth, maps, w2c, intrinsics, others)
        count = count + (-0.5 * (ratio / sigma).square()).exp() * visible * sampled[:, 1]
    return count


def fuse_depths(
    log_depth: Float[Tensor, "N h w"],
    confidence: Float[Tensor, "N h w"],
    w2c: Float[Tensor, "N 4 4"],
    intrinsics: Float[Tensor, "N 3 3"],
    neighbours: Int[Tensor, "N K"],
    *,
    tolerance: float,
    num_rounds: int,
) -> Float[Tensor, "N h w"]:
    """Depth maps that agree with one another: each pixel gets the weighted mean of what frames say of its point.

    A neighbour says how much farther or nearer than the point its own surface is at that place. It counts by its
    confidence there and, so that what hides a point says nothing about it, by 1 / (1 + (difference of log-depths /
    ``tolerance``)²)² (Geman–McClure). For a frame and neighbours close to one another a change of the depth by a factor
    is the same in both pictures, so differences of log-depth can be averaged. A fixed number of rounds, all frames at
    once in each.

    Args:
        confidence: ≥ 0; 0 where a picture shows what moves, whose depth then stays.
    """
    for _ in range(num_rounds):
        total, weight = torch.zeros_like(log_depth), confidence
        maps = torch.stack([log_depth, confidence], dim=1)
        for others in neighbours.unbind(1):
            ratio, sampled, visible = _see(log_depth, maps, w2c, intrinsics, others)
            trust = sampled[:, 1] * visible / (1 + (ratio / tolerance).square()).square()
            total, weight = total + trust * ratio, weight + trust
        log_depth = log_depth + torch.where(confidence > 0, total / weight.clamp_min(1e-6), 0.0)
    return log_depth


def join_still_frames(
    log_depth: Float[Tensor, "N h w"], weights: Float[Tensor, "N h w"], scene: Bool[Tensor, "N h w"]
) -> Float[Tensor, "N h w"]:
    """One background for a camera that stands still: the weighted median of all frames at every pixel.

    Args:
        weights: ≥ 0, what each frame's depth is worth.
        scene: where a frame shows the background; the rest keeps its depth, and so does what no frame knows.
    """
    # Some rows at a time: sorting needs several numbers a value.
    medians = [
        weighted_median(values.movedim(0, -1), weight.movedim(0, -1))
        for values, weight in zip(log_depth.split(_ROWS_AT_ONCE, 1), weights.split(_ROWS_AT_ONCE, 1), strict=True)
    ]
    median = torch.cat(medians)
    return torch.where(scene & median.isfinite(), median, log_depth)


def _see(
    log_depth: Float[Tensor, "N h w"],
    maps: Float[Tensor, "N C h w"],
    w2c: Float[Tensor, "N 4 4"],
    intrinsics: Float[Tensor, "N 3 3"],
    others: Int[Tensor, "N"],
) -> tuple[Float[Tensor, "N h w"], Float[Tensor, "N C h w"], Bool[Tensor, "N h w"]]:
    """The points of each frame in one other frame.

    Args:
        maps: of every frame, log-depth first.

    Returns:
        log of the other's depth at that place over the depth of the point there (> 0: the other sees something
        farther away, < 0: something nearer hides the point); the other's maps there; where the point is in its picture.
    """
    height, width = log_depth.shape[-2:]
    between = w2c[others] @ invert_rigid(w2c)
    moved = transform_points(between, unproject(log_depth.exp(), intrinsics).flatten(1, 2))
    place = 2 * project(moved, intrinsics[others]) / moved.new_tensor([width, height]) - 1
    depth, place = moved[..., 2].reshape(log_depth.shape), place.unflatten(1, (height, width))
    sampled = functional.grid_sample(maps[others], place, padding_mode="border", align_corners=False)
    visible = (place.abs().amax(-1) < 1) & (depth > _MIN_DEPTH)
    return sampled[:, 0] - depth.clamp_min(_MIN_DEPTH).log(), sampled, visible
