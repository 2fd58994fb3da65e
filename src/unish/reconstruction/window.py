"""What one pass of the network says of a window of neighbouring frames, and what of it the frames of a shot share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int16
from torch import Tensor

from unish.geometry.focal import sample_points
from unish.structs import CONFIDENT, FrameTensor, Prediction

NUM_LEVELS, MIN_LEVEL_PIXELS = 8, 200
"""Levels of depth at which two windows are compared, and how many pixels each needs."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """How a window's unit follows from that of the window before it, by the frames that they share.

    Attributes:
        log_scale: median log ratio of the earlier window's depth over this one's; 0 without a pixel to compare.
        depth: median depth of these pixels in the earlier window's unit; NaN without one.
        levels: median log depth in this window, and median log ratio, of pixels of about the same depth, from near to
            far; no row where there are too few pixels.
    """

    log_scale: float
    depth: float
    levels: Float[Tensor, "L 2"]

    @property
    def joined(self) -> bool:
        """There was a pixel that both windows are confident of."""
        return self.depth == self.depth


@dataclass(frozen=True, kw_only=True)
class Window:
    """N frames of a shot in a unit of their own, the first camera as world. Dense maps may lie on the disk.

    Attributes:
        frames: of the shot.
        depth: z in camera coordinates.
        conf_logits: confidence before the sigmoid.
        samples, sampled: points of each frame, and which of them are confident (``geometry.focal.sample_points``).
        c2w: camera to world.
        zoom: focal length of each frame over that of the first of the shot.
        unplaced: frames that nothing joins to the others; they stand where a neighbour stands.
        doubtful: frames that few matches join to the others.
        in_given_unit: the unit is that of cameras that were given.
        given_error_px: see ``Prediction``; NaN where none were given.
        rotations, betas, transl: of P people, as in ``Prediction``; ``None`` without people.
        scale: metres that the network takes ``mean_distance`` for; ``None`` if it does not say.
        mean_distance: of the confident points; 0 without any.
        link: to the window before it, ``None`` for the first one.
    """

    frames: range
    depth: Float[FrameTensor, "N H W"]
    conf_logits: Float[FrameTensor, "N H W"]
    samples: Float[FrameTensor, "N K 3"]
    sampled: Bool[FrameTensor, "N K"]
    c2w: Float[Tensor, "N 4 4"]
    zoom: Float[Tensor, "N"]
    unplaced: Bool[Tensor, "N"]
    doubtful: Bool[Tensor, "N"]
    rotations: Float[Tensor, "P N 24 3 3"] | None
    betas: Float[Tensor, "P 10"] | None
    transl: Float[Tensor, "P N 3"] | None
    scale: float | None
    mean_distance: float
    link: Link | None
    in_given_unit: bool = False
    given_error_px: float = math.nan

    @property
    def moves(self) -> bool:
        """Not all cameras stand in one place; where they do, nothing but the network's experience tells the depth."""
        return bool((self.c2w[:, :3, 3] != self.c2w[0, :3, 3]).any())


def plan_windows(num_frames: int, window: int, overlap: int) -> list[range]:
    """Overlapping windows that cover every frame; the last one is moved back so that none is short.

    Raises:
        ValueError: unless 0 ≤ overlap < window, and overlap ≥ 1 when more than one window is needed.
    """
    if not 0 <= overlap < window:
        raise ValueError(f"need 0 <= overlap < window, got overlap {overlap}, window {window}")
    if num_frames <= window:
        return [range(num_frames)]
    if overlap == 0:
        raise ValueError("windows that share no frame cannot be brought into one world; use an overlap of at least 1")
    starts = [*range(0, num_frames - window, window - overlap), num_frames - window]
    return [range(start, start + window) for start in starts]


def describe_window(
    prediction: Prediction, frames: range, before: Window | None, people: Int16[Tensor, "N H W"] | None = None
) -> Window:
    """A prediction as a window of a shot.

    Args:
        prediction: batch of one, on the CPU.
        before: the window before it, which shares frames with it; ``None`` for the first one.
        people: index of the person in each pixel, −1 = scene. Windows are joined by the scene, wherever there is any.
    """
    points, logits = prediction.local_points[0], prediction.point_conf_logits[0]
    samples, sampled = sample_points(points, logits.sigmoid() > CONFIDENT)
    return Window(
        frames=frames,
        depth=points[..., 2],
        conf_logits=logits,
        samples=samples.float(),
        sampled=sampled,
        c2w=prediction.c2w[0],
        zoom=first_zoom(before, frames) * _zoom(prediction),
        unplaced=~_says(prediction, prediction.joined),
        doubtful=_says(prediction, prediction.joined) & ~_says(prediction, prediction.certain),
        rotations=None if prediction.rotations is None else prediction.rotations[0],
        betas=None if prediction.betas is None else prediction.betas[0],
        transl=None if prediction.transl is None else prediction.transl[0],
        scale=None if prediction.scale is None else float(prediction.scale[0]),
        mean_distance=mean_distance(prediction),
        link=None if before is None else _link(before, frames, points[..., 2], people),
        in_given_unit=prediction.in_given_unit is not None and bool(prediction.in_given_unit[0]),
        given_error_px=math.nan if prediction.given_error_px is None else float(prediction.given_error_px[0]),
    )


def first_zoom(before: Window | None, frames: range) -> float:
    """Focal length in the first of these frames over that in the first of the shot; ``before`` shares it."""
    return 1.0 if before is None else float(before.zoom[shared_frames(before.frames, frames)[0].start])


def _zoom(prediction: Prediction) -> Float[Tensor, "N"]:
    """Focal lengths over that of the first frame; 1 where the network does not say."""
    num_frames = prediction.c2w.shape[1]
    return torch.ones(num_frames) if prediction.log_zoom is None else prediction.log_zoom[0].exp()


def _says(prediction: Prediction, found: Bool[Tensor, "1 N"] | None) -> Bool[Tensor, "N"]:
    """True where the network does not say."""
    return torch.ones(prediction.c2w.shape[1], dtype=torch.bool) if found is None else found[0]


def mean_distance(prediction: Prediction) -> float:
    """Mean ‖local point‖ over the confident pixels of all frames: what the network's scale refers to; 0 without any."""
    keep = prediction.point_conf_logits[0].sigmoid() > CONFIDENT
    return float(prediction.local_points[0][keep].norm(dim=-1).mean()) if keep.any() else 0.0


def shared_frames(before: range, frames: range) -> tuple[slice, slice]:
    """Where the frames that two windows share stand in the one and in the other."""
    first, stop = max(before.start, frames.start), min(before.stop, frames.stop)
    return slice(first - before.start, stop - before.start), slice(first - frames.start, stop - frames.start)


def _link(before: Window, frames: range, depth: Float[Tensor, "N H W"], people: Int16[Tensor, "N H W"] | None) -> Link:
    then, now = shared_frames(before.frames, frames)
    old, new = before.depth[then], depth[now]
    # The earlier window says which pixels count; both need a depth that has a logarithm.
    keep = (before.conf_logits[then].sigmoid() > CONFIDENT) & (old > 0) & (new > 0)
    if people is not None and (scene := keep & (people[now] < 0)).any():
        keep = scene
    if not keep.any():
        return Link(log_scale=0.0, depth=float("nan"), levels=torch.zeros(0, 2))
    log_depth = new.log()[keep]
    log_ratio = old.log()[keep] - log_depth
    # The median log ratio is the scale that is right for most pixels, whatever a moving or uncertain minority says.
    return Link(
        log_scale=float(log_ratio.median()),
        depth=float(old[keep].median()),
        levels=_compare_levels(log_depth, log_ratio),
    )


def _compare_levels(log_depth: Float[Tensor, "M"], log_ratio: Float[Tensor, "M"]) -> Float[Tensor, "L 2"]:
    """See ``Link.levels``: as many pixels on every level."""
    if len(log_depth) < NUM_LEVELS * MIN_LEVEL_PIXELS:
        return torch.zeros(0, 2)
    order = log_depth.argsort().tensor_split(NUM_LEVELS)
    return torch.stack([torch.stack([log_depth[part].median(), log_ratio[part].median()]) for part in order])
