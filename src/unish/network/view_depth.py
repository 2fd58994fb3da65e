"""From a depth prior of each frame to the depth of one place, by what several views of it say.

    prior ──> smooth field from anchors ──> plane sweep ──> agreement ──> filled in ──> fused over frames ──> refined by
    a learnt network ──> fused once more ──> enlarged

People move, so nothing here is measured at them, and they move with the ground on which they stand
(``hold_people``). Where views say nothing (no texture, no parallax) the prior with its field is what is left.

Legend: N frames, A anchors of a frame, H×W the pictures, h4×w4 a quarter of that.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from unish.geometry.agreement import count_agreeing, fuse_depths, join_still_frames
from unish.geometry.camera import resize_intrinsics
from unish.geometry.depth_field import fit_depth_field, ground_shift, sample_depth_field
from unish.geometry.picture_filters import box_mean, fill_in, guided_filter
from unish.geometry.statistics import weighted_median
from unish.geometry.surfaces import dilate
from unish.geometry.sweep import Sweep, choose_neighbours, sweep_depths
from unish.network.dense_layers import resize_guided
from unish.network.depth_refiner import DepthRefiner, Evidence

STRIDE = 4
"""Views are compared at a quarter of the size of the pictures."""

LEAST_INFORMATION = 400.0
"""Of an anchor (1 / variance of its log-depth): those that are not known to 5 % say nothing about the field."""

_ANCHOR_SIGMA = 0.03  # of log-depth, beside what an anchor's information says: cameras are not exact either
_LUMA = (0.299, 0.587, 0.114)
_MARGIN_PX = 2  # small pixels around people and what is not usable: squares that are compared reach as far
_BESIDE_PEOPLE = 1e-3  # weight of those pixels where nothing better is known

_SCORE, _SCORE_WIDTH = 0.5, 0.08  # ZNCC at which a match is as likely right as wrong, and how fast that changes
_LEAD, _LEAD_WIDTH = 0.05, 0.03  # the same for its lead over the second best depth
_PARALLAX_PX = 10.0  # small pixels per unit of log-depth at which the fifth of a pixel that matches err by is 2 %
_AGREEMENT_SIGMA = 0.03  # of log-depth between frames
_AGREEING = 2  # other frames that must have the same depth, where there are as many

_SMOOTH, _SMOOTH_EDGE = 3, 1e-3  # radius and epsilon of the guided filter of the prior

_SWEEP_SIGMA = 0.02  # of a log-depth of full confidence
_GUESS_SIGMA = 0.3  # of the prior with its field
_STEP_SIGMA = 0.01  # of the correction between small pixels of one colour
_COLOUR_SIGMA = 0.06
_FILL_STEPS, _FILL_LEVELS = 20, 5

_CORRECTION_RADIUS = 2  # small pixels around one, over which a correction is averaged

_FUSED_NEIGHBOURS = 6
_FUSED_TOLERANCE = 0.2
_LEAST_CONFIDENCE = 0.05  # of what views say nothing about, in the mean over frames


@dataclass(frozen=True, kw_only=True)
class Views:
    """A window of frames of one place and their cameras.

    Attributes:
        images: RGB in 0…1.
        w2c: world to camera, in the unit of the depth.
        intrinsics: pixels of H×W.
        people: index of the person at each pixel, −1 = scene.
        usable: where a picture shows the scene or people; not sky, whose clouds move, nor padding or captions.
    """

    images: Float[Tensor, "N 3 H W"]
    w2c: Float[Tensor, "N 4 4"]
    intrinsics: Float[Tensor, "N 3 3"]
    people: Int[Tensor, "N H W"]
    usable: Bool[Tensor, "N H W"]


@dataclass(frozen=True, kw_only=True)
class Anchors:
    """Points of known depth.

    Attributes:
        pixels: (x, y) in H×W.
        log_depth: in the unit of ``Views.w2c``.
        information: 1 / variance of ``log_depth``; 0 = not usable.
    """

    pixels: Float[Tensor, "N A 2"]
    log_depth: Float[Tensor, "N A"]
    information: Float[Tensor, "N A"]


@dataclass(frozen=True, kw_only=True)
class _SmallViews:
    """Views at a quarter of their size.

    Attributes:
        people: a person who has any part of a small pixel.
        people_share: of a small pixel.
        scene: what can be compared, with a margin.
    """

    images: Float[Tensor, "N 3 h4 w4"]
    grey: Float[Tensor, "N h4 w4"]
    intrinsics: Float[Tensor, "N 3 3"]
    people: Int[Tensor, "N h4 w4"]
    people_share: Float[Tensor, "N h4 w4"]
    scene: Bool[Tensor, "N h4 w4"]

    def shrink(self, maps: Float[Tensor, "N H W"]) -> Float[Tensor, "N h4 w4"]:
        return _resize(maps[:, None], (self.grey.shape[-2], self.grey.shape[-1]))[:, 0]

    def smooth(self, maps: Float[Tensor, "N H W"]) -> Float[Tensor, "N h4 w4"]:
        """Shrunk, and smooth where the picture is."""
        scene = self.scene.to(maps.dtype)
        return guided_filter(self.shrink(maps)[:, None], self.grey, scene, radius=_SMOOTH, epsilon=_SMOOTH_EDGE)[:, 0]

    def enlarge(self, maps: Float[Tensor, "N h4 w4"], views: Views) -> Float[Tensor, "N H W"]:
        """To full size, with the borders of the pictures."""
        return resize_guided(maps, self.images, views.images)

    def enlarge_correction(
        self, maps: Float[Tensor, "N h4 w4"], confidence: Float[Tensor, "N h4 w4"], size: tuple[int, int]
    ) -> Float[Tensor, "N H W"]:
        """To full size, as a mean over small squares by confidence: a correction that is smooth everywhere."""
        weights = (confidence + _LEAST_CONFIDENCE) * self.scene
        mean = box_mean(maps * weights, _CORRECTION_RADIUS) / box_mean(weights, _CORRECTION_RADIUS).clamp_min(1e-3)
        return functional.interpolate(mean[:, None], size, mode="bilinear", align_corners=False)[:, 0]


def refine_depth(
    prior_log_depth: Float[Tensor, "N H W"],
    conf_logits: Float[Tensor, "N H W"],
    views: Views,
    anchors: Anchors,
    *,
    moving: bool,
    sweeps: bool = True,
    refiner: DepthRefiner | None = None,
    sharp_prior: bool = False,
) -> tuple[Float[Tensor, "N H W"], Float[Tensor, "N H W"]]:
    """Log-depth and confidence (before the sigmoid) of every frame, by what the views say together.

    A fixed number of operations, differentiable with respect to the prior, the anchors and (but for the choice of
    neighbours) cameras and pictures; the order of the frames does not matter. A single frame keeps its prior but for
    the field of its anchors.

    Args:
        prior_log_depth: finite.
        conf_logits: of the prior.
        moving: whether the camera changes its place. Where it does not, anchors have no depth of their own and pictures
            show none, so the prior stays, and is only made the same in all frames: pixel by pixel where all cameras are
            equal, by the turn (and the zoom) between them otherwise.
        sweeps: look for the depth of a moving camera along the rays; else the prior with the field of its anchors is
            only fused over the frames.
        refiner: what judges the sweep of a moving camera; its rules alone where ``None``.
        sharp_prior: the prior has borders and relief of its own at full size, which are kept: what views say becomes a
            smooth correction of it. Else depth is enlarged along the borders of the pictures.
    """
    size = prior_log_depth.shape[-2], prior_log_depth.shape[-1]
    small = _shrink(views)
    guess = prior_log_depth + _fit_field(prior_log_depth, views.people, anchors) if moving else prior_log_depth
    if len(guess) == 1:
        return _hold_people(prior_log_depth, guess, views, small), conf_logits
    alike = all(bool((part == part[:1]).all()) for part in (views.w2c, views.intrinsics))
    if not moving and alike:
        scene = views.usable & (views.people < 0)
        weights = conf_logits.sigmoid() * scene * (_enlarge_mask(small.scene, size) + _BESIDE_PEOPLE)
        return join_still_frames(prior_log_depth, weights, scene), conf_logits
    # A prior that was computed at a smaller size has the creases of its enlargement.
    shrink = small.shrink if sharp_prior else small.smooth
    small_prior, small_guess = shrink(prior_log_depth), shrink(guess)
    found, confidence = small_guess, torch.zeros_like(small_guess)
    if moving and sweeps:
        sweep, agreeing = _sweep(small_guess, views.w2c, small)
        confidence = _trust_sweep(sweep) * agreeing.square() * small.scene
        found = _fill_in(small_guess, sweep.log_depth, confidence, small)
    neighbours = choose_neighbours(found, views.w2c, small.intrinsics, small.scene, _FUSED_NEIGHBOURS)
    fused = _fuse(found, confidence, views.w2c, small, neighbours)
    if moving and sweeps and refiner is not None:
        evidence = Evidence(
            prior=small_prior, guess=small_guess, sweep=sweep, filled=found, fused=fused, agreeing=agreeing,
            confidence=confidence, images=small.images, scene=small.scene, people=small.people_share > 0.5,
        )  # fmt: skip
        step, refined_confidence = refiner(evidence)
        # How large the place is follows from the cameras: the step of what views are sure of has no level.
        sure = (confidence + _LEAST_CONFIDENCE) * small.scene
        level = weighted_median(step.reshape(1, -1), sure.reshape(1, -1)).nan_to_num(0.0)
        fused = fused + torch.where(evidence.people, 0.0, step - level)
        confidence = refined_confidence * small.scene
    fused = _fuse(fused, confidence, views.w2c, small, neighbours)
    if sharp_prior:
        refined = prior_log_depth + small.enlarge_correction(fused - small_prior, confidence, size)
    else:
        refined = small.enlarge(fused, views)
    return _hold_people(prior_log_depth, refined, views, small), _raise_confidence(conf_logits, confidence)


def _shrink(views: Views) -> _SmallViews:
    height, width = views.images.shape[-2:]
    size = (max(1, round(height / STRIDE)), max(1, round(width / STRIDE)))
    # The highest index in a cell, so that nobody is too small to be there.
    people = functional.adaptive_max_pool2d(views.people[:, None].float(), size)[:, 0].long()
    unusable = functional.adaptive_max_pool2d((~views.usable)[:, None].float(), size)[:, 0] > 0
    images = _resize(views.images, size)
    return _SmallViews(
        images=images,
        grey=(images * images.new_tensor(_LUMA)[:, None, None]).sum(1),
        intrinsics=resize_intrinsics(views.intrinsics, (height, width), size),
        people=people,
        people_share=_resize((views.people >= 0)[:, None].to(images.dtype), size)[:, 0],
        scene=~dilate((people >= 0) | unusable, _MARGIN_PX),
    )


def _resize(maps: Float[Tensor, "N C H W"], size: tuple[int, int]) -> Float[Tensor, "N C h w"]:
    return functional.interpolate(maps, size, mode="bilinear", align_corners=False, antialias=True)


def _enlarge_mask(mask: Bool[Tensor, "N h4 w4"], size: tuple[int, int]) -> Float[Tensor, "N H W"]:
    return functional.interpolate(mask[:, None].float(), size, mode="nearest-exact")[:, 0]


def _fit_field(
    prior_log_depth: Float[Tensor, "N H W"], people: Int[Tensor, "N H W"], anchors: Anchors
) -> Float[Tensor, "N H W"]:
    """The smooth correction that the anchors ask for; an anchor on a person is none."""
    height, width = people.shape[-2:]
    sound = anchors.information > LEAST_INFORMATION
    place = torch.where(sound[..., None], anchors.pixels, 0.0).floor().long()
    index = place[..., 1].clamp(0, height - 1) * width + place[..., 0].clamp(0, width - 1)
    on_scene = people.flatten(1).gather(1, index) < 0
    variance = 1 / torch.where(sound, anchors.information, 1.0) + _ANCHOR_SIGMA**2
    field = fit_depth_field(
        anchors.pixels,
        anchors.log_depth - prior_log_depth.flatten(1).gather(1, index),
        (sound & on_scene) / variance,
        (height, width),
    )
    return sample_depth_field(field, (height, width))


def _sweep(
    guess: Float[Tensor, "N h4 w4"], w2c: Float[Tensor, "N 4 4"], small: _SmallViews
) -> tuple[Sweep, Float[Tensor, "N h4 w4"]]:
    """What the sweep finds around the guess, and the share, 0…1, of the frames that must agree with it which do."""
    neighbours = choose_neighbours(guess, w2c, small.intrinsics, small.scene)
    sweep = sweep_depths(small.grey, guess, w2c, small.intrinsics, neighbours, small.scene)
    agreeing = count_agreeing(sweep.log_depth, w2c, small.intrinsics, neighbours, small.scene, sigma=_AGREEMENT_SIGMA)
    return sweep, (agreeing / min(_AGREEING, neighbours.shape[1])).clamp_max(1)


def _fill_in(
    guess: Float[Tensor, "N h4 w4"],
    found: Float[Tensor, "N h4 w4"],
    confidence: Float[Tensor, "N h4 w4"],
    small: _SmallViews,
) -> Float[Tensor, "N h4 w4"]:
    """What the sweep found where that is certain, and the guess with a smooth correction between."""
    # People have no say: precision is zero there, and the correction runs on behind them from one side to the other.
    precision, held = confidence / _SWEEP_SIGMA**2, small.scene / _GUESS_SIGMA**2
    correction = fill_in(
        precision * (found - guess) / (precision + held).clamp_min(1e-6),
        precision + held,
        small.images,
        small.scene,
        step_sigma=_STEP_SIGMA,
        colour_sigma=_COLOUR_SIGMA,
        num_steps=_FILL_STEPS,
        num_levels=_FILL_LEVELS,
    )
    return guess + correction


def _fuse(
    log_depth: Float[Tensor, "N h4 w4"],
    confidence: Float[Tensor, "N h4 w4"],
    w2c: Float[Tensor, "N 4 4"],
    small: _SmallViews,
    neighbours: Int[Tensor, "N K"],
) -> Float[Tensor, "N h4 w4"]:
    """One round in which frames learn from one another."""
    weights = (confidence + _LEAST_CONFIDENCE) * small.scene
    return fuse_depths(log_depth, weights, w2c, small.intrinsics, neighbours, tolerance=_FUSED_TOLERANCE, num_rounds=1)


def _trust_sweep(sweep: Sweep) -> Float[Tensor, "N h4 w4"]:
    """0…1: the pictures match well, no other depth matches as well, and depth moves the picture at all."""
    parallax = (sweep.parallax_px / _PARALLAX_PX).square()
    matched = ((sweep.score - _SCORE) / _SCORE_WIDTH).sigmoid()
    alone = ((sweep.score - sweep.second_score - _LEAD) / _LEAD_WIDTH).sigmoid()
    return matched * alone * parallax / (1 + parallax)


def _hold_people(
    prior: Float[Tensor, "N H W"], refined: Float[Tensor, "N H W"], views: Views, small: _SmallViews
) -> Float[Tensor, "N H W"]:
    """The refined scene, and people who keep their shape and stay where they stood on it (``ground_shift``)."""
    if not (views.people >= 0).any():
        return refined
    shift = ground_shift(small.shrink(refined - prior), small.people)
    index = views.people.clamp_min(0).flatten(1).long()
    of_pixel = shift.gather(1, index).reshape(views.people.shape)
    return torch.where(views.people >= 0, prior + of_pixel, refined)


def _raise_confidence(
    conf_logits: Float[Tensor, "N H W"], confidence: Float[Tensor, "N h4 w4"]
) -> Float[Tensor, "N H W"]:
    """Logits of "the prior or the views are right", 1 − (1 − p)·(1 − c)."""
    enlarged = _resize(confidence[:, None], (conf_logits.shape[-2], conf_logits.shape[-1]))[:, 0]
    views = torch.logit(enlarged, eps=1e-4)
    return torch.logaddexp(torch.logaddexp(conf_logits, views), conf_logits + views)
