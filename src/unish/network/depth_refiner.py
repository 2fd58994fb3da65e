"""A small learnt network that judges what several views say of the depth of each pixel, after the plane sweep.

    evidence (prior, field, sweep, agreement, fused depth, picture) ──> U-Net ──> change of log-depth, of confidence

The rules of ``view_depth`` choose one depth per pixel by fixed thresholds. This network reads the same evidence with
its surroundings, so it can prefer another candidate, or move a border to where the picture has one. It was trained on
synthetic clips (docs/training.md). Nearly all that it reads are matching costs and geometry, which are alike on renders
and photographs where the look of things is not. Its last layer starts at zero: an untrained network changes nothing.

Legend: N frames, h×w the size at which views are compared (a quarter of the pictures).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from unish.geometry.sweep import LOG_RANGE, Sweep
from unish.network.dense_layers import Residual

WIDTHS = (16, 32, 48, 64)
"""Channels at the size of the evidence, and at each half of it."""

MAX_STEP = 0.3
"""Largest change of log-depth."""

NUM_CHANNELS = 33
_PROFILE = 16  # scores along the ray, each the better one of neighbouring depths
_PARALLAX_PX = 10.0  # small pixels per unit of log-depth at which the input is one half
_EPS = 1e-3  # of the confidence, which is often 0
_FARTHEST = 2.0  # of a candidate from the fused depth, in units of LOG_RANGE


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of the depth of each pixel when the sweep is done. All depths are log-depths.

    Attributes:
        prior: of each frame alone.
        guess: that with the smooth field of its anchors; the sweep's depths lie around it.
        sweep: what it found.
        filled: depth by the sweep where that is certain, and smoothly between.
        fused: the same, fused over frames.
        agreeing: of the frames that must agree, the share that does, 0…1.
        confidence: how certain the sweep is, 0…1.
        images: RGB in 0…1.
        scene: what stands still and can be compared.
        people: the pixel shows somebody.
    """

    prior: Float[Tensor, "N h w"]
    guess: Float[Tensor, "N h w"]
    sweep: Sweep
    filled: Float[Tensor, "N h w"]
    fused: Float[Tensor, "N h w"]
    agreeing: Float[Tensor, "N h w"]
    confidence: Float[Tensor, "N h w"]
    images: Float[Tensor, "N 3 h w"]
    scene: Bool[Tensor, "N h w"]
    people: Bool[Tensor, "N h w"]


def arrange_evidence(evidence: Evidence) -> Float[Tensor, "N C h w"]:
    """The evidence as ``NUM_CHANNELS`` maps of about unit size; candidates are relative to the fused depth."""
    sweep, fused = evidence.sweep, evidence.fused
    candidates = (evidence.guess, evidence.filled, sweep.log_depth, sweep.second_log_depth)
    away = torch.stack([*(depth - fused for depth in candidates), evidence.prior - evidence.guess], dim=1)
    level = fused.flatten(1).median(1).values[:, None, None]
    certainty = torch.stack(
        [
            (fused - level) / 2,
            sweep.score,
            sweep.second_score,
            sweep.score - sweep.second_score,
            sweep.parallax_px / (sweep.parallax_px + _PARALLAX_PX),
            evidence.agreeing,
            evidence.confidence,
            evidence.scene.to(fused.dtype),
            evidence.people.to(fused.dtype),
        ],
        dim=1,
    )
    colours = 2 * (evidence.images - evidence.images.mean((-2, -1), keepdim=True))
    profile = sweep.scores.unflatten(1, (_PROFILE, -1)).amax(2)
    return torch.cat([(away / LOG_RANGE).clamp(-_FARTHEST, _FARTHEST), certainty, colours, profile], dim=1)


class DepthRefiner(nn.Module):
    """A U-Net (Ronneberger et al., 2015) of residual layers without normalisation; about 0.2 million weights."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.enter = nn.Conv2d(NUM_CHANNELS, widths[0], 1)
        self.down = nn.ModuleList(Residual(width) for width in widths)
        self.up = nn.ModuleList(Residual(width) for width in widths[:-1])
        levels = list(pairwise(widths))
        self.widen = nn.ModuleList(nn.Conv2d(fine, coarse, 1) for fine, coarse in levels)
        self.narrow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in levels)
        self.leave = nn.Conv2d(widths[0], 2, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, evidence: Evidence) -> tuple[Float[Tensor, "N h w"], Float[Tensor, "N h w"]]:
        """What is to be added to the fused log-depth, and the new confidence.

        The step is at most ``MAX_STEP``. It means nothing at people, of whom several views say nothing.
        """
        step, logit = self.judge(arrange_evidence(evidence))
        return step, shift_logit(evidence.confidence, logit).sigmoid()

    def judge(self, maps: Float[Tensor, "N C h w"]) -> tuple[Float[Tensor, "N h w"], Float[Tensor, "N h w"]]:
        """The step, and what is to be added to the logit of the confidence, from maps of ``arrange_evidence``."""
        x, skips = self.enter(maps), []
        for layer, widen in zip(self.down[:-1], self.widen, strict=True):
            skips.append(layer(x))
            x = widen(functional.avg_pool2d(skips[-1], 2, ceil_mode=True))
        x = self.down[-1](x)
        for level in range(len(skips) - 1, -1, -1):
            size = skips[level].shape[-2:]
            enlarged = functional.interpolate(self.narrow[level](x), size, mode="bilinear", align_corners=False)
            x = self.up[level](enlarged + skips[level])
        step, logit = self.leave(functional.relu(x)).unbind(1)
        return MAX_STEP * torch.tanh(step / MAX_STEP), logit


def shift_logit(confidence: Float[Tensor, "N h w"], change: Float[Tensor, "N h w"]) -> Float[Tensor, "N h w"]:
    """The logit of a probability, plus a change; the sweep is never so sure that nothing could change it."""
    return torch.logit(confidence, eps=_EPS) + change
