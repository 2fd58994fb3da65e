"""People to cameras: where each posed body stands, and how far that can be trusted.

The posed body is metric. Its landmarks, where they are seen in the picture, and the focal length give its translation
in closed form; that is the ruler by which the scene is measured later.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.linalg import solveh_banded
from torch import Tensor

from unish.body import JOINT_LANDMARKS, LANDMARK_NAMES, Body, resize_shape
from unish.body.joint_evidence import find_seen
from unish.geometry.ruler import STATURE_SPREAD, solve_translation
from unish.structs import BodyParams

SHOULDERS, HIPS, KNEES, ANKLES = (11, 12), (23, 24), (25, 26), (27, 28)
"""BlazePose landmark indices."""

RULER_LANDMARKS = tuple(JOINT_LANDMARKS)
"""Landmarks at joint centres. Face, hand and foot points hang on joints that landmarks barely pin down."""

FACE, FACE_SHARE = tuple(range(LANDMARK_NAMES.index("mouth_right") + 1)), 0.3
"""Landmarks that count, too, where no hip is seen, and their share of the weight: a head is better than nothing."""

RULER_SIGMA_M = 0.03
"""Standard error of a landmark at the person with which it counts half."""

DISTANCE_SIGMA = {"full": 0.05, "knees": 0.08, "hips": 0.17, "shoulders": 0.2, "none": 0.5}
"""Relative 1σ error of the distance from the ruler by the lowest pair of landmarks that is seen: down to the ankles,
the knees, the hips, the shoulders below a face, or not even those. Orders of magnitude: from trials on calibrated video
of a walking man; for a face over shoulders from rendered people who are cut above the hips (half of them are off by
more than 13 %: docs/research/bodies.md)."""

MISFIT_TO_SIGMA = 2.0
"""Error of size and distance over the misfit of the landmarks (both relative): a fit hides half of what is wrong."""

POPULATION_SPREAD = 0.156
"""1σ of the logarithm of stature in a mixed population of adults and children."""

USUAL_ACCELERATION_M_S2 = 2.0
"""Of a walking person, where distances are smoothed."""

LONGEST_S = 4.0
"""Time over which no distance says anything about another, however badly it is measured."""

KNOWN_HEIGHT_SIGMA = 0.015
"""Relative 1σ error of size and distance of a person whose height is known and who is seen whole."""

RULER_SIGMA_LIMIT = 0.3
"""People seen less well than this are placed with the help of the scene; where nobody is seen better, they measure it
as far as its own scale is uncertain."""


@dataclass(frozen=True, kw_only=True)
class PlacedBodies:
    """Bodies in camera coordinates of their own frames, metres.

    Attributes:
        params: leading shape (P, T); meaningful only where valid.
        valid: (P, T) observed and finite.
        distance_sigma: (P, T) relative standard error of the distance, and of the stature: a body of twice the size at
            twice the distance looks the same.
        by_network: (P, T) valid, but placed by the network: too few landmarks were seen.
        known_height: people whose stature was given; ``None`` for nobody.
    """

    params: BodyParams
    valid: Bool[Tensor, "P T"]
    distance_sigma: Float[Tensor, "P T"]
    by_network: Bool[Tensor, "P T"]

    known_height: Bool[Tensor, "P"] | None = None

    @property
    def is_ruler(self) -> Bool[Tensor, "P T"]:
        return self.valid & (self.distance_sigma <= RULER_SIGMA_LIMIT)

    @property
    def measures_scene(self) -> Bool[Tensor, "P T"]:
        """The rulers by which the scene is measured, see ``choose_rulers``."""
        return choose_rulers(self.valid, self.distance_sigma, self.known_height)


def place_bodies(
    body: Body,
    rotations: Float[Tensor, "P T 24 3 3"],
    betas: Float[Tensor, "P 10"],
    landmarks_px: Float[Tensor, "P T 33 3"],
    intrinsics: Float[Tensor, "T 3 3"],
    image_size: tuple[int, int],
    valid: Bool[Tensor, "P T"],
    fallback_transl: Float[Tensor, "P T 3"],
    landmarks_sigma_px: Float[Tensor, "P T 33"] | None = None,
) -> PlacedBodies:
    """Translation of every body from its landmarks; the network's own translation where there are too few of them.

    Args:
        landmarks_sigma_px: standard error of each landmark, NaN where unknown; all are alike where ``None``.
    """
    num_people, num_frames = valid.shape
    unplaced = BodyParams(
        betas=betas[:, None].expand(num_people, num_frames, -1),
        global_orient=rotations[..., 0, :, :],
        body_pose=rotations[..., 1:, :, :],
        transl=torch.zeros_like(fallback_transl),
    )
    cameras = intrinsics.expand(num_people, -1, -1, -1)
    seen = landmark_weights(landmarks_px, image_size)
    weights = seen * _ruler_shares(seen)
    points, observed = body.landmarks(unplaced), landmarks_px[..., :2].nan_to_num()
    transl, residual_px = solve_translation(points, observed, weights, cameras)
    if landmarks_sigma_px is not None:
        metres_per_px = transl[..., 2:].clamp_min(0.0) / cameras[..., 0, 0, None]
        doubt = (landmarks_sigma_px.nan_to_num(0.0) * metres_per_px / RULER_SIGMA_M).square()
        transl, residual_px = solve_translation(points, observed, weights / (1 + doubt), cameras)
    enough = ((weights > 0).sum(-1) >= 4) & ((weights[..., list(RULER_LANDMARKS)] > 0).sum(-1) >= 2)
    usable = enough & torch.isfinite(transl).all(-1) & (transl[..., 2] > 0)
    transl = torch.where(usable[..., None], transl, fallback_transl)
    height_px = intrinsics[:, 1, 1] * body.standing_height(betas)[:, None] / transl[..., 2].clamp_min(1e-3)
    sigma = torch.hypot(_distance_sigma(seen), MISFIT_TO_SIGMA * residual_px / height_px)
    # Not finite without any landmark; the worst is then the right answer too.
    sigma = torch.where(usable, sigma, torch.inf).clamp_max(DISTANCE_SIGMA["none"])
    finite = torch.isfinite(transl).all(-1) & torch.isfinite(rotations).flatten(2).all(-1)
    params = BodyParams(
        betas=unplaced.betas, global_orient=unplaced.global_orient, body_pose=unplaced.body_pose, transl=transl
    )
    valid = valid & finite
    return PlacedBodies(params=params, valid=valid, distance_sigma=sigma, by_network=valid & ~usable)


def choose_rulers(
    valid: Bool[Tensor, "P T"], distance_sigma: Float[Tensor, "P T"], known_height: Bool[Tensor, "P"] | None
) -> Bool[Tensor, "P T"]:
    """Who measures the scene: people who are seen well; those of known stature alone, where there are any."""
    rulers = valid & (distance_sigma <= RULER_SIGMA_LIMIT)
    if known_height is None:
        return rulers
    known = rulers & known_height[:, None]
    return known if known.any() else rulers


def shrink_shapes(
    betas: Float[Tensor, "P 10"], sigma: Float[Tensor, "P T"], valid: Bool[Tensor, "P T"]
) -> Float[Tensor, "P 10"]:
    """Draw the shape of people who were seen badly towards the mean shape, as far as their size is a guess.

    The posterior mean under Gaussian errors, one error per person (the median of their frames, which err alike).
    The network has learnt to be that careful itself with the error that a well seen person has, so only what goes
    beyond it counts.
    """
    squared = torch.where(valid, sigma.square(), torch.nan).nanmedian(dim=1).values
    excess = (squared - DISTANCE_SIGMA["full"] ** 2).clamp_min(0.0).nan_to_num(0.0)
    return betas * (POPULATION_SPREAD**2 / (POPULATION_SPREAD**2 + excess))[:, None]


def trust_heights(placed: PlacedBodies, known: Bool[Tensor, "P"]) -> PlacedBodies:
    """People who have their true stature are as certain as what is seen of them, without the spread of statures."""
    without = (placed.distance_sigma.square() - STATURE_SPREAD**2).clamp_min(KNOWN_HEIGHT_SIGMA**2).sqrt()
    sigma = torch.where(known[:, None], without, placed.distance_sigma)
    return replace(placed, distance_sigma=sigma, known_height=known)


def move_along_ray(body: Body, placed: PlacedBodies, factor: Float[Tensor, "P T"]) -> PlacedBodies:
    """Multiply each pelvis's distance by ``factor``, keeping the pelvis on its viewing ray."""
    params = placed.params
    pelvis = params.transl + body.rest_joints(params.betas)[..., 0, :]
    transl = params.transl + pelvis * (factor[..., None] - 1.0)
    return replace(placed, params=replace(params, transl=transl))


def resize_bodies(body: Body, placed: PlacedBodies, log_factor: Float[Tensor, "P"]) -> PlacedBodies:
    """Everybody exp(``log_factor``) times as large and as far, so that they look the same.

    The shape is the nearest one that the body model has; its joints come as near as they can to those of the body that
    is enlarged about the camera's centre.
    """
    betas = resize_shape(body, placed.params.betas, log_factor[:, None].expand(placed.valid.shape))
    wanted = body.joints(placed.params) * log_factor[:, None, None, None].exp()
    resized = replace(placed.params, betas=betas)
    return replace(placed, params=replace(resized, transl=resized.transl + (wanted - body.joints(resized)).mean(-2)))


def smooth_distances(
    body: Body, placed: PlacedBodies, timestamps_s: Float[Tensor, "T"], *, seconds: float = 0.35
) -> PlacedBodies:
    """Smooth the logarithm of each pelvis's depth over time, frames weighted by how well they measure it.

    The distance from one frame jitters by a few percent, which is decimetres, and metres far away; its direction does
    not. Nothing is known of absent people: pieces on both sides of a gap of over a second are smoothed apart.
    """
    pelvis_depth = (placed.params.transl + body.rest_joints(placed.params.betas)[..., 0, :])[..., 2]
    depth = pelvis_depth.clamp_min(1e-3).log()
    smooth = smooth_in_time(
        depth, placed.valid, placed.distance_sigma, timestamps_s, seconds=seconds, metres=depth.exp()
    )
    return move_along_ray(body, placed, (smooth - depth).exp())


def smooth_in_time(
    values: Float[Tensor, "P T"],
    known: Bool[Tensor, "P T"],
    sigma: Float[Tensor, "P T"],
    timestamps_s: Float[Tensor, "T"],
    *,
    seconds: float = 0.35,
    metres: Float[Tensor, "P T"] | None = None,
) -> Float[Tensor, "P T"]:
    """Values of each person on a smooth curve that gives way to single wrong ones; elsewhere as they are.

    Pieces on both sides of a gap of over a second are smoothed apart; those of fewer than three frames are not.

    Args:
        sigma: standard error of each value, in any unit.
        seconds: time scale of the curve.
        metres: what a value of 1 stands for. Then the time scale of a piece is at least √(e/a), up to ``LONGEST_S``:
            for so long a usual acceleration a moves nobody farther than the usual error e of their frames, and what is
            seen is noise.
    """
    smoothed, times = values.clone(), timestamps_s.double().numpy()
    for person in range(len(values)):
        seen = np.flatnonzero(known[person].numpy())
        for piece in np.split(seen, np.flatnonzero(np.diff(times[seen]) > 1.0) + 1):
            if len(piece) >= 3:
                weights = sigma[person, piece].double().numpy() ** -2
                own, scale = values[person, piece].double().numpy(), seconds
                if metres is not None:
                    error_m = float((sigma[person, piece] * metres[person, piece]).median())
                    scale = max(seconds, min(LONGEST_S, math.sqrt(error_m / USUAL_ACCELERATION_M_S2)))
                curve = _smooth_series(times[piece], own, weights / weights.mean(), scale)
                smoothed[person, piece] = torch.from_numpy(curve).to(values)
    return smoothed


def landmark_weights(landmarks_px: Float[Tensor, "P T 33 3"], image_size: tuple[int, int]) -> Float[Tensor, "P T 33"]:
    """Visibility, zero where a landmark was not seen (``body.joint_evidence``)."""
    return torch.where(find_seen(landmarks_px, image_size), landmarks_px[..., 2], 0.0)


def _ruler_shares(seen: Float[Tensor, "P T 33"]) -> Float[Tensor, "P T 33"]:
    """Which of the landmarks that were seen measure distance: joints; the face, too, where no hip is seen."""
    shares = torch.zeros_like(seen)
    shares[..., list(RULER_LANDMARKS)] = 1.0
    shares[..., list(FACE)] = FACE_SHARE * (seen[..., list(HIPS)].amax(-1, keepdim=True) == 0)
    return shares


def _distance_sigma(weights: Float[Tensor, "P T 33"]) -> Float[Tensor, "P T"]:
    def either(pair: tuple[int, ...]) -> Bool[Tensor, "P T"]:
        return (weights[..., list(pair)] > 0).any(-1)

    sigma = torch.full_like(weights[..., 0], DISTANCE_SIGMA["none"])
    bust = (weights[..., list(SHOULDERS)] > 0).all(-1) & either(FACE)
    sigma = torch.where(bust, sigma.new_tensor(DISTANCE_SIGMA["shoulders"]), sigma)
    sigma = torch.where(either(HIPS), sigma.new_tensor(DISTANCE_SIGMA["hips"]), sigma)
    sigma = torch.where(either(HIPS) & either(KNEES), sigma.new_tensor(DISTANCE_SIGMA["knees"]), sigma)
    return torch.where(either(HIPS) & either(KNEES) & either(ANKLES), sigma.new_tensor(DISTANCE_SIGMA["full"]), sigma)


def _smooth_series(times: np.ndarray, values: np.ndarray, weights: np.ndarray, seconds: float) -> np.ndarray:
    """Robust Whittaker smoother on uneven samples: Σ w(x − y)² + λ ∫ ẍ², λ such that ``seconds`` is the time scale.

    Three rounds of re-weighting with a Cauchy kernel keep a few wrong frames from pulling the curve.
    """
    num = len(times)
    steps = np.diff(times)
    left, right = steps[:-1], steps[1:]
    span = (left + right) / 2
    # Second divided difference on an uneven grid, weighted by the time that it stands for.
    stencil = np.stack([1 / left, -(1 / left + 1 / right), 1 / right]) / np.sqrt(span)
    mean_step = float(np.mean(steps))
    penalty = seconds**4 / mean_step
    smooth, robust = values, np.ones(num)
    for _ in range(3):
        diagonal = weights * robust
        bands = np.zeros((3, num))
        bands[2] = diagonal
        for a in range(3):
            for b in range(a, 3):
                product = penalty * stencil[a] * stencil[b]
                bands[2 - (b - a), b : b + num - 2] += product
        smooth = solveh_banded(bands, diagonal * values)
        residual = np.abs(values - smooth)
        scale = max(1.4826 * float(np.median(residual)), 1e-4)
        robust = 1.0 / (1.0 + (residual / (2.5 * scale)) ** 2)
    return smooth
