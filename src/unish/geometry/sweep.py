"""Plane sweep (Collins, 1996): the depth at which the pictures of neighbouring cameras agree.

For every pixel a number of depths around a first guess are tried; at each, the pictures of a few neighbouring frames
are sampled where that point would be seen, and compared by zero-mean normalised cross-correlation (ZNCC), which does
not mind another exposure. Depths follow the guess pixel by pixel, so that a square of pixels that is compared lies on
the surface of the guess and not on a plane that faces the camera.

Legend: N frames of one place that moves as one, h×w the size of the pictures, K neighbours of a frame, D depths tried.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from unish.geometry.camera import pixel_grid, project, unproject
from unish.geometry.picture_filters import box_mean, guided_filter
from unish.geometry.rigid import invert_rigid, transform_points

NUM_NEIGHBOURS = 3
NUM_DEPTHS = 32
LOG_RANGE = 0.4
"""Depths are tried from exp(−LOG_RANGE) to exp(LOG_RANGE) times the guess, evenly in log-depth."""

_WINDOW = 2  # pixels on each side of the one that is compared: 5×5
_NOISE = 2e-5  # variance of grey values in 0…1 that says nothing
_SUPPORT = 3  # radius of the guided filter of the costs
_SUPPORT_EDGE = 1e-3  # its epsilon
_COARSE = (12, 16)  # points of a frame that are followed to choose its neighbours
_BEST_ANGLE_DEG = 5.0  # angle between two rays to one point that is best, and how fast it gets worse on either side
_ANGLE_SPREAD_DEG = (2.0, 10.0)
_WHOLLY = 0.999  # of a bilinear sample of a mask: all four pixels
_FRAMES_AT_ONCE = 2


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What a sweep found at each pixel of each frame.

    Attributes:
        log_depth: of the best depth, between the ones that were tried (parabola through three scores).
        score: its ZNCC, mean over neighbours and support, −1…1; 0 where no neighbour sees the pixel.
        second_log_depth, second_score: of the best depth at least three steps away from it.
        parallax_px: by how many pixels the pixel moves in its neighbours' pictures per unit of log-depth; 0 = none.
        scores: of all depths that were tried, the nearest first.
    """

    log_depth: Float[Tensor, "N h w"]
    score: Float[Tensor, "N h w"]
    second_log_depth: Float[Tensor, "N h w"]
    second_score: Float[Tensor, "N h w"]
    parallax_px: Float[Tensor, "N h w"]
    scores: Float[Tensor, "N D h w"]


@torch.no_grad()
def choose_neighbours(
    log_depth: Float[Tensor, "N h w"],
    w2c: Float[Tensor, "N 4 4"],
    intrinsics: Float[Tensor, "N 3 3"],
    usable: Bool[Tensor, "N h w"],
    count: int = NUM_NEIGHBOURS,
) -> Int[Tensor, "N K"]:
    """The frames that each frame is best compared with, the best first. K ≤ ``count``.

    The rule of MVSNet (Yao et al., 2018): each point votes with a Gaussian of the angle between its two rays, narrow
    below the best angle and wide above; here the vote counts only where the other frame has the point in its picture.

    Args:
        usable: pixels that have a vote.
    """
    height, width = log_depth.shape[-2:]
    rows = torch.linspace(0, height - 1, _COARSE[0], device=log_depth.device).round().long()
    columns = torch.linspace(0, width - 1, _COARSE[1], device=log_depth.device).round().long()
    points = unproject(log_depth.exp(), intrinsics)[:, rows][:, :, columns].flatten(1, 2)  # (N, G, 3)
    c2w = invert_rigid(w2c)
    world = transform_points(c2w, points)
    num_frames = len(w2c)
    camera = w2c.expand(num_frames, -1, -1, -1)
    seen = transform_points(camera, world[:, None].expand(-1, num_frames, -1, -1))  # points of frame i in camera j
    pixel = project(seen, intrinsics.expand(num_frames, -1, -1, -1))
    inside = (seen[..., 2] > 0) & (pixel >= 0).all(-1) & (pixel < pixel.new_tensor([width, height])).all(-1)
    to_own = functional.normalize(world - c2w[:, None, :3, 3], dim=-1)[:, None]
    to_other = functional.normalize(world[:, None] - c2w[None, :, None, :3, 3], dim=-1)
    angle = torch.atan2(torch.linalg.cross(to_own, to_other).norm(dim=-1), (to_own * to_other).sum(-1)).rad2deg()
    off = angle - _BEST_ANGLE_DEG
    vote = torch.exp(-0.5 * (off / torch.where(off < 0, *_ANGLE_SPREAD_DEG)).square())
    votes = usable[:, rows][:, :, columns].flatten(1, 2)[:, None]
    worth = (vote * inside * votes).mean(-1)
    worth.fill_diagonal_(-1.0)
    return worth.topk(min(count, num_frames - 1), dim=1).indices


def sweep_depths(
    grey: Float[Tensor, "N h w"],
    log_depth: Float[Tensor, "N h w"],
    w2c: Float[Tensor, "N 4 4"],
    intrinsics: Float[Tensor, "N 3 3"],
    neighbours: Int[Tensor, "N K"],
    usable: Bool[Tensor, "N h w"],
) -> Sweep:
    """Try ``NUM_DEPTHS`` depths around ``log_depth`` at every pixel.

    Args:
        grey: 0…1.
        log_depth: the guess.
        intrinsics: pixels of h×w.
        neighbours: frames that each frame is compared with.
        usable: where a picture shows what stands still; nothing is compared with the rest.
    """
    # ZNCC does not mind another brightness, and running sums of values near zero are exact enough.
    grey = grey - grey.mean(dim=(-2, -1), keepdim=True)
    pictures = torch.stack([grey, usable.to(grey.dtype)], dim=1)
    found = [
        _sweep_some(frames, pictures, log_depth, w2c, intrinsics, neighbours)
        for frames in torch.arange(len(grey), device=grey.device).split(_FRAMES_AT_ONCE)
    ]
    return Sweep(**{name: torch.cat([getattr(part, name) for part in found]) for name in Sweep.__annotations__})


def _sweep_some(
    frames: Int[Tensor, "F"],
    pictures: Float[Tensor, "N 2 h w"],
    log_depth: Float[Tensor, "N h w"],
    w2c: Float[Tensor, "N 4 4"],
    intrinsics: Float[Tensor, "N 3 3"],
    neighbours: Int[Tensor, "N K"],
) -> Sweep:
    """``sweep_depths`` of some of the frames, in one piece."""
    height, width = log_depth.shape[-2:]
    offsets = torch.linspace(-LOG_RANGE, LOG_RANGE, NUM_DEPTHS, dtype=log_depth.dtype, device=log_depth.device)
    grey = pictures[frames, 0]
    mean = box_mean(grey, _WINDOW)
    variance = (box_mean(grey * grey, _WINDOW) - mean.square()).clamp_min(0)
    depths = (log_depth[frames, None] + offsets[:, None, None]).exp()  # (F, D, h, w)
    total, count = torch.zeros_like(depths), torch.zeros_like(depths)
    parallax = torch.zeros_like(grey)
    for others in neighbours[frames].unbind(1):
        place, in_front = _follow_rays(depths, w2c[frames], w2c[others], intrinsics[frames], intrinsics[others])
        sampled = functional.grid_sample(
            pictures[others], place.flatten(1, 2), mode="bilinear", padding_mode="border", align_corners=False
        ).unflatten(2, (NUM_DEPTHS, height))
        seen, known = sampled[:, 0], sampled[:, 1]
        inside = (place.abs().amax(-1) < 1) & in_front & (known > _WHOLLY)
        score = _correlate(seen, grey[:, None], mean[:, None], variance[:, None]) * inside
        total, count = total + score, count + inside
        move = (place[:, -1] - place[:, 0]) * place.new_tensor([width, height]) / 2
        parallax = torch.maximum(parallax, move.norm(dim=-1) / (2 * LOG_RANGE))
    scores = guided_filter(
        total / count.clamp_min(1), grey, pictures[frames, 1], radius=_SUPPORT, epsilon=_SUPPORT_EDGE
    )
    return _pick(scores, offsets, log_depth[frames], parallax)


def _follow_rays(
    depths: Float[Tensor, "F D h w"],
    w2c: Float[Tensor, "F 4 4"],
    other_w2c: Float[Tensor, "F 4 4"],
    intrinsics: Float[Tensor, "F 3 3"],
    other_intrinsics: Float[Tensor, "F 3 3"],
) -> tuple[Float[Tensor, "F D h w 2"], Bool[Tensor, "F D h w"]]:
    """Where another camera sees the pixels at these depths (−1…1 over its picture), and whether in front of it."""
    height, width = depths.shape[-2:]
    # Pixels to −1…1, so that the large arrays are touched as seldom as possible.
    to_unit = depths.new_tensor([[2 / width, 0, -1], [0, 2 / height, -1], [0, 0, 1]])
    between = other_w2c @ invert_rigid(w2c)
    camera = to_unit @ other_intrinsics
    grid = pixel_grid(height, width, like=depths)
    rays = torch.cat([grid, torch.ones_like(grid[..., :1])], dim=-1).flatten(0, 1)
    turned = (camera @ between[:, :3, :3] @ torch.linalg.inv(intrinsics)) @ rays.mT  # (F, 3, hw)
    x, y, z = turned.unflatten(-1, (1, height, width)).unbind(1)
    shift = (camera @ between[:, :3, 3:])[..., None, None]  # (F, 3, 1, 1, 1)
    ahead = z * depths + shift[:, 2]
    inverse = 1 / ahead.clamp_min(1e-6)
    place = torch.stack([(x * depths + shift[:, 0]) * inverse, (y * depths + shift[:, 1]) * inverse], dim=-1)
    return place, ahead > 1e-6


def _correlate(
    seen: Float[Tensor, "F D h w"],
    grey: Float[Tensor, "F 1 h w"],
    mean: Float[Tensor, "F 1 h w"],
    variance: Float[Tensor, "F 1 h w"],
) -> Float[Tensor, "F D h w"]:
    """ZNCC of squares around each pixel; ``mean`` and ``variance`` are those of ``grey``."""
    mean_seen = box_mean(seen, _WINDOW)
    variance_seen = (box_mean(seen * seen, _WINDOW) - mean_seen.square()).clamp_min(0)
    covariance = box_mean(seen * grey, _WINDOW) - mean_seen * mean
    return covariance * ((variance_seen + _NOISE) * (variance + _NOISE)).rsqrt()


def _pick(
    scores: Float[Tensor, "F D h w"],
    offsets: Float[Tensor, "D"],
    log_depth: Float[Tensor, "F h w"],
    parallax: Float[Tensor, "F h w"],
) -> Sweep:
    best, index = scores[:, 1:-1].max(dim=1)
    index = index + 1
    below, above = (scores.gather(1, (index + step)[:, None])[:, 0] for step in (-1, 1))
    # The top of the parabola through three scores; the best is the highest, so the curvature is not negative.
    curvature = (2 * best - below - above).clamp_min(1e-4)
    step = offsets[1] - offsets[0]
    between = ((above - below) / (2 * curvature)).clamp(-0.5, 0.5)
    number = torch.arange(len(offsets), device=scores.device)[:, None, None]
    away = (number - index[:, None]).abs() >= 3
    second, second_index = torch.where(away, scores, -1.0).max(dim=1)
    return Sweep(
        log_depth=log_depth + offsets[index] + between * step,
        score=best,
        second_log_depth=log_depth + offsets[second_index],
        second_score=second,
        parallax_px=parallax,
        scores=scores,
    )
