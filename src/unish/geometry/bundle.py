"""Bundle adjustment of a few frames as a layer: a fixed number of damped Gauss–Newton steps, differentiable.

Unknown are the pose of every frame but the first, one focal length, and for every anchor (a key point of one frame that
was found in others) its depth. A depth prior says what the anchors' depths are up to one scale a frame. The anchors are
eliminated by the Schur complement, frame by frame, so that time and memory grow with the number of observations, and
the system that is left has seven unknowns a frame and one for the focal length (Triggs et al., "Bundle Adjustment — A
Modern Synthesis", 2000, section 6).

Legend: B clips, N frames, A anchors of a frame, D other frames in which the anchors of a frame were looked for,
L = 8 + 6·D unknowns that the anchors of one frame touch. A twist is (translation, rotation vector), applied from the
left: T ← exp(twist)·T.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from unish.geometry.linear import solve_positive_definite
from unish.geometry.rigid import exp_twist, invert_rigid, rigid_adjoint

_POSE = slice(0, 6)
_EDGE = 13  # unknowns that one observation touches beside its depth: own pose, focal length, pose of the other frame
_MIN_DEPTH = 1e-3  # of the anchor's own depth; what lies behind a camera says nothing
_LONGEST_STEP = 0.5  # of log-depths, log focal length and twists
_STEPS_WITH_GRADIENT = 2
_TINY = 1e-9


@dataclass(frozen=True, kw_only=True)
class BundleConfig:
    """Standard deviations of all residuals, and the schedule.

    Attributes:
        num_steps: how many; no step is tried twice, and none is left out.
        thresholds: Geman–McClure threshold of the first and of the last step, in units of the noise; wide at first, so
            that a rough start keeps its observations.
        noise: of an observed pixel, as a share of the long side of the picture (one pixel of 640).
        depth_sigma: of an anchor's log-depth around the prior, beside the scale of its frame.
        depth_threshold: Cauchy threshold of it, in units of ``depth_sigma``.
        scale_sigma: of the log scale of each frame's prior.
        focal_sigma: of the log focal length around the given one.
        damping: relative to the diagonal.
    """

    num_steps: int = 12
    thresholds: tuple[float, float] = (16.0, 2.0)
    noise: float = 1 / 640
    depth_sigma: float = 0.5
    depth_threshold: float = 2.0
    scale_sigma: float = 0.3
    focal_sigma: float = 0.15
    damping: float = 1e-6


@dataclass(frozen=True, kw_only=True)
class Observations:
    """Anchors, and where they are seen again.

    Attributes:
        anchors_px: pixels.
        seen_by: (N, D) the frame in which ``targets_px`` lie; the frame itself fills what is not used (weight 0).
        targets_px: pixels of ``seen_by``.
        weights: ≥ 0; 0 where the anchor was not found.
        prior_log_depth: of the anchors, up to one scale a frame.
        prior_weights: ≥ 0; 0 for what is no anchor.
    """

    anchors_px: Float[Tensor, "B N A 2"]
    seen_by: Int64[Tensor, "N D"]
    targets_px: Float[Tensor, "B N D A 2"]
    weights: Float[Tensor, "B N D A"]
    prior_log_depth: Float[Tensor, "B N A"]
    prior_weights: Float[Tensor, "B N A"]


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Adjusted cameras and anchors.

    Attributes:
        w2c: world = first camera, in the unit of the prior.
        log_focal: log of the focal length over the given one.
        log_scale: log of the scale of each frame's prior.
        log_depth: of the anchors.
        information: 1 / variance of ``log_depth`` for fixed cameras, from the observations alone.
        residual: distance of the projected anchors from where they were seen, in units of the noise.
    """

    w2c: Float[Tensor, "B N 4 4"]
    log_focal: Float[Tensor, "B"]
    log_scale: Float[Tensor, "B N"]
    log_depth: Float[Tensor, "B N A"]
    information: Float[Tensor, "B N A"]
    residual: Float[Tensor, "B N D A"]


def adjust_bundle(
    observations: Observations,
    w2c: Float[Tensor, "B N 4 4"],
    intrinsics: Float[Tensor, "B N 3 3"],
    long_side: int,
    *,
    moves: Float[Tensor, "B"] | None = None,
    turns: Float[Tensor, "B"] | None = None,
    frees_focal: Float[Tensor, "B"] | None = None,
    config: BundleConfig | None = None,
) -> Bundle:
    """Poses, focal length and depths that explain the observations, and the prior where they do not tell.

    The gradient is that of the last two steps: at the optimum it is the gradient of the solution, and the steps before
    only find it.

    Args:
        w2c: where to start; the first pose stays.
        intrinsics: pixels; no skew.
        long_side: of the picture, pixels.
        moves: 1 where the camera may move, 0 where it keeps its place; everywhere 1 if ``None``.
        turns: likewise, of its direction: where both are 0, ``w2c`` is known.
        frees_focal: likewise, of the focal length.
    """
    config = config or BundleConfig()
    ones = w2c.new_ones(len(w2c))
    free = torch.stack([ones if moves is None else moves, ones if turns is None else turns], dim=-1)
    frees_focal = ones if frees_focal is None else frees_focal
    noise_px = config.noise * long_side
    depth = observations.prior_log_depth
    state = _State(w2c, ones * 0, depth.new_zeros(depth.shape[:2]), depth)
    layout = _Layout.of(observations.seen_by)
    for number, threshold in enumerate(_schedule(config)):
        with torch.set_grad_enabled(torch.is_grad_enabled() and number >= config.num_steps - _STEPS_WITH_GRADIENT):
            linear = _linearise(state, observations, intrinsics, noise_px, threshold, free, frees_focal)
            state = _step(state, linear, observations, layout, config)
    # What is returned beside the state belongs to it, not to the state before the last step.
    last = _linearise(state, observations, intrinsics, noise_px, config.thresholds[1], free, frees_focal)
    return Bundle(
        w2c=state.w2c,
        log_focal=state.log_focal,
        log_scale=state.log_scale,
        log_depth=state.log_depth,
        information=(last.weights[..., None] * last.by_depth.square()).sum((2, 4)),
        residual=last.residual.norm(dim=-1),
    )


class _State(NamedTuple):
    w2c: Float[Tensor, "B N 4 4"]
    log_focal: Float[Tensor, "B"]
    log_scale: Float[Tensor, "B N"]
    log_depth: Float[Tensor, "B N A"]


class _Linear(NamedTuple):
    """Residuals in units of the noise, their robust weights and derivatives (``by_others``: see ``_EDGE``)."""

    residual: Float[Tensor, "B N D A 2"]
    weights: Float[Tensor, "B N D A"]
    by_others: Float[Tensor, "B N D A 2 13"]
    by_depth: Float[Tensor, "B N D A 2"]


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Which unknown is which.

    Of all: six a pose, then one scale a frame, then the focal length. Of a frame's own: its pose, its scale, the focal
    length, the poses of the frames that see its anchors.

    Attributes:
        of_frame: (N, L) where each unknown of a frame is among all V = 7·N + 1.
        of_edge: (D, 13, L) 1 where an unknown of an edge is among those of its frame.
    """

    of_frame: Int64[Tensor, "N L"]
    of_edge: Float[Tensor, "D 13 L"]

    @classmethod
    def of(cls, seen_by: Int64[Tensor, "N D"]) -> _Layout:
        num_frames, num_others = seen_by.shape
        six = torch.arange(6, device=seen_by.device)
        frames = torch.arange(num_frames, device=seen_by.device)
        own = frames[:, None] * 6 + six
        scale, focal = 6 * num_frames + frames[:, None], torch.full_like(frames[:, None], 7 * num_frames)
        others = (seen_by[..., None] * 6 + six).flatten(1)
        of_edge = torch.zeros(num_others, _EDGE, 8 + 6 * num_others, device=seen_by.device)
        for number in range(num_others):
            of_edge[number, six, six] = 1.0
            of_edge[number, 6, 7] = 1.0
            of_edge[number, 7 + six, 8 + 6 * number + six] = 1.0
        return cls(of_frame=torch.cat([own, scale, focal, others], dim=1), of_edge=of_edge)


def _schedule(config: BundleConfig) -> list[float]:
    """Robust thresholds, falling geometrically over the first two thirds of the steps."""
    first, last = config.thresholds
    falling = max(2, (2 * config.num_steps + 2) // 3)
    return [first * (last / first) ** min(1.0, number / (falling - 1)) for number in range(config.num_steps)]


def _linearise(
    state: _State,
    observations: Observations,
    intrinsics: Float[Tensor, "B N 3 3"],
    noise_px: float,
    threshold: float,
    free: Float[Tensor, "B 2"],
    frees_focal: Float[Tensor, "B"],
) -> _Linear:
    seen_by = observations.seen_by
    focal = intrinsics.diagonal(dim1=-2, dim2=-1)[..., :2] * state.log_focal.exp()[:, None, None]
    centre = intrinsics[..., :2, 2]
    rays = (observations.anchors_px - centre[:, :, None]) / focal[:, :, None]
    points = torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1) * state.log_depth.exp()[..., None]
    relative = state.w2c[:, seen_by] @ invert_rigid(state.w2c)[:, :, None]
    rotation, translation = relative[..., :3, :3], relative[..., None, :3, 3]
    turned = torch.einsum("bndij,bnaj->bndai", rotation, points)
    moved = turned + translation
    in_front = moved[..., 2] > _MIN_DEPTH * points[:, :, None, :, 2]
    inverse = torch.where(in_front, moved[..., 2], 1.0).reciprocal()
    x, y = moved[..., 0] * inverse, moved[..., 1] * inverse
    in_noise = focal[:, seen_by][:, :, :, None] / noise_px  # of the frame that sees: (B, N, D, 1, 2)
    offset = (observations.targets_px - centre[:, seen_by][:, :, :, None]) / noise_px
    residual = torch.stack([x, y], dim=-1) * in_noise - offset
    squared = residual.square().sum(-1) / threshold**2
    weights = observations.weights * in_front / (1.0 + squared.detach()).square()

    zero = torch.zeros_like(x)
    across_x = torch.stack([inverse, zero, -x * inverse, -x * y, 1.0 + x * x, -y], dim=-1)
    across_y = torch.stack([zero, inverse, -y * inverse, -1.0 - y * y, x * y, x], dim=-1)
    by_other = torch.stack([across_x, across_y], dim=-2) * in_noise[..., None]
    by_own = -by_other @ rigid_adjoint(relative)[:, :, :, None]
    # A longer focal length enlarges the picture and narrows the anchor's own ray.
    narrowed = torch.einsum("bndij,bnaj->bndai", rotation[..., :2], points[..., :2])
    by_narrowing = narrowed[..., :2] - torch.stack([x, y], dim=-1) * narrowed[..., 2:]
    by_focal = (torch.stack([x, y], dim=-1) - by_narrowing * inverse[..., None]) * in_noise
    by_depth = (turned[..., :2] - torch.stack([x, y], dim=-1) * turned[..., 2:]) * inverse[..., None] * in_noise
    of_twist = free.repeat_interleave(3, dim=-1)[:, None, None, None, None]
    by_focal = by_focal[..., None] * frees_focal[:, None, None, None, None, None]
    by_others = torch.cat([by_own * of_twist, by_focal, by_other * of_twist], dim=-1)
    return _Linear(residual, weights, by_others, by_depth)


def _step(state: _State, linear: _Linear, observations: Observations, layout: _Layout, config: BundleConfig) -> _State:
    """One damped Gauss–Newton step."""
    num_frames = state.w2c.shape[1]
    off_prior = state.log_depth - observations.prior_log_depth - state.log_scale[..., None]
    unlikely = (off_prior.detach() / (config.depth_sigma * config.depth_threshold)).square()
    prior = observations.prior_weights / (1.0 + unlikely) / config.depth_sigma**2

    weighted = linear.by_others * linear.weights[..., None, None]
    flat, flat_weighted = (part.flatten(3, 4) for part in (linear.by_others, weighted))
    normal = flat_weighted.mT @ flat
    gradient = (flat_weighted.mT @ linear.residual.flatten(3)[..., None])[..., 0]
    coupling = (weighted * linear.by_depth[..., None]).sum(-2)  # (B, N, D, A, 13)
    of_depth = linear.by_depth * linear.weights[..., None]
    curvature = (of_depth * linear.by_depth).sum((2, 4)) + prior
    slope = (of_depth * linear.residual).sum((2, 4)) + prior * off_prior
    held = curvature * (1.0 + config.damping) + _TINY

    to_frame = layout.of_edge
    own_normal = torch.einsum("bndij,dil,djm->bnlm", normal, to_frame, to_frame)
    own_gradient = torch.einsum("bndi,dil->bnl", gradient, to_frame)
    own_coupling = torch.einsum("bndai,dil->bnal", coupling, to_frame)
    is_scale = torch.zeros(to_frame.shape[-1], device=prior.device).index_fill(0, torch.tensor(6), 1.0)
    own_coupling = own_coupling - prior[..., None] * is_scale
    by_scale = prior.sum(-1)[..., None] * is_scale
    reduced = own_normal + torch.diag_embed(by_scale) - (own_coupling / held[..., None]).mT @ own_coupling
    rest = own_gradient - (prior * off_prior).sum(-1)[..., None] * is_scale
    rest = rest - (own_coupling * (slope / held)[..., None]).sum(-2)

    twists, scale, focal, local = _solve(reduced, rest, state, layout, config, num_frames)
    depth = -(slope + (own_coupling @ local[..., None])[..., 0]) / held
    return _State(
        w2c=exp_twist(twists) @ state.w2c,
        log_focal=state.log_focal + focal,
        log_scale=state.log_scale + scale,
        log_depth=state.log_depth + depth.clamp(-_LONGEST_STEP, _LONGEST_STEP),
    )


def _solve(
    reduced: Float[Tensor, "B N L L"],
    gradient: Float[Tensor, "B N L"],
    state: _State,
    layout: _Layout,
    config: BundleConfig,
    num_frames: int,
) -> tuple[Float[Tensor, "B N 6"], Float[Tensor, "B N"], Float[Tensor, "B"], Float[Tensor, "B N L"]]:
    """Steps of poses, scales and focal length, and of what each frame's anchors touch; the first pose stays."""
    size = 7 * num_frames + 1
    places = (layout.of_frame[:, :, None] * size + layout.of_frame[:, None, :]).flatten()
    hessian = reduced.new_zeros(len(reduced), size * size).index_add(1, places, reduced.flatten(1))
    hessian = hessian.unflatten(1, (size, size))
    right = gradient.new_zeros(len(gradient), size).index_add(1, layout.of_frame.flatten(), gradient.flatten(1))
    known = hessian.new_tensor([config.scale_sigma**-2] * num_frames + [config.focal_sigma**-2])
    hessian = hessian + torch.diag(torch.nn.functional.pad(known, (6 * num_frames, 0)))
    pull = torch.cat([state.log_scale, state.log_focal[:, None]], dim=1) * known
    right = right + torch.nn.functional.pad(pull, (6 * num_frames, 0))
    hessian, right = hessian[:, 6:, 6:], right[:, 6:]
    # Unknowns of very different curvature (turns and scales) would cost float32 its digits.
    diagonal = hessian.diagonal(dim1=-2, dim2=-1).detach().clamp_min(_TINY)
    unit = diagonal.rsqrt()
    scaled = hessian * unit[:, :, None] * unit[:, None, :]
    scaled = scaled + config.damping * torch.eye(size - 6, dtype=scaled.dtype, device=scaled.device)
    step = -solve_positive_definite(scaled, right * unit) * unit
    step = torch.nn.functional.pad(step, (6, 0)).clamp(-_LONGEST_STEP, _LONGEST_STEP)
    local = step[:, layout.of_frame.flatten()].unflatten(1, layout.of_frame.shape)
    twists, scale = step[:, : 6 * num_frames].unflatten(1, (num_frames, 6)), step[:, 6 * num_frames : -1]
    return twists, scale, step[:, -1], local
