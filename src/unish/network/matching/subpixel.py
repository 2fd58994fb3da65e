"""Matches to a fraction of a pixel: the small shift that makes the two windows around a match alike.

One level of Lucas & Kanade's method (1981) in the inverse compositional form (Baker & Matthews, IJCV 2004): the
derivatives are those of the first window, so the matrix of the normal equations is made once. Windows are compared
after their mean and contrast were removed, so a change of brightness moves nothing.

Without this step a key point's place is a whole pixel, and a bundle adjustment makes movement and depth of the
rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from unish.network.matching.local_affine import estimate_local_affine

_PAIRS_AT_ONCE = 4
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, kw_only=True)
class SubpixelConfig:
    """How windows are compared.

    Attributes:
        radius: half side of a window without its middle, pixels: 6 is a window of 13×13.
        num_steps: of Gauss–Newton.
        max_shift_px: a match that moves further than this is refused.
        min_texture: a match is refused where grey values (0..1) change less than this a pixel, in the direction in
            which they change least (root mean square over the window).
        min_correlation: of the two windows in the end; a match with less is refused.
    """

    radius: int = 6
    num_steps: int = 5
    max_shift_px: float = 3.0
    min_texture: float = 0.002
    min_correlation: float = 0.5


@dataclass(frozen=True, kw_only=True)
class RefinedMatches:
    """Matches after refinement.

    Attributes:
        targets_px: (E, A, 2); where a match was refused, as it was given.
        correlation: (E, A) of the two windows, in [−1, 1]; differentiable.
        accepted: (E, A).
    """

    targets_px: Float[Tensor, "E A 2"]
    correlation: Float[Tensor, "E A"]
    accepted: Bool[Tensor, "E A"]


def make_grey(images: Float[Tensor, "F 3 H W"]) -> Float[Tensor, "F H W"]:
    """Brightness (ITU-R BT.601) of RGB in [0, 1], blurred a little.

    Interpolating between two pixels blurs their noise, most of all half way. Without a blur of all pixels this
    difference would draw shifts towards whole pixels.
    """
    red, green, blue = (images[:, channel] * weight for channel, weight in enumerate(_LUMA))
    grey = red + green + blue
    for dim in (1, 1, 2, 2):  # twice each way: the weights of one way are (1, 4, 6, 4, 1) / 16
        last = int(grey.shape[dim]) - 1
        before = torch.cat([grey.narrow(dim, 0, 1), grey.narrow(dim, 0, last)], dim)
        after = torch.cat([grey.narrow(dim, 1, last), grey.narrow(dim, last, 1)], dim)
        grey = (before + 2 * grey + after) / 4
    return grey


def refine_matches(
    grey: Float[Tensor, "F H W"],
    first: Int64[Tensor, "E"],
    second: Int64[Tensor, "E"],
    anchors_px: Float[Tensor, "E A 2"],
    targets_px: Float[Tensor, "E A 2"],
    found: Bool[Tensor, "E A"],
    *,
    deformed: Bool[Tensor, "E"] | None = None,
    config: SubpixelConfig | None = None,
) -> RefinedMatches:
    """Move each target so that its window looks like the anchor's. Differentiable with respect to the images.

    Args:
        grey: from ``make_grey``.
        first: the frame of each pair that has the anchors; they stay where they are.
        second: the frame of each pair that has the targets.
        anchors_px: pixels.
        targets_px: pixels, right to about 2 px.
        found: which matches there are; nothing is computed for the others.
        deformed: pairs of which windows are stretched and turned as the matches around them say; none if not given.
    """
    config = config or SubpixelConfig()
    refined = targets_px.clone()
    correlation, accepted = torch.zeros_like(targets_px[..., 0]), torch.zeros_like(found)
    for start in range(0, len(first), _PAIRS_AT_ONCE):
        block = slice(start, start + _PAIRS_AT_ONCE)
        # The slots with a match first, cut to those of the pair that has most of them.
        slots = found[block].to(torch.uint8).argsort(dim=1, descending=True, stable=True)
        slots = slots[:, : max(int(found[block].sum(1).max()), 1)]
        places = slots[..., None].expand(-1, -1, 2)
        anchors, starts = anchors_px[block].gather(1, places), targets_px[block].gather(1, places)
        deformations = None
        if deformed is not None and bool(deformed[block].any()):
            of_all = estimate_local_affine(anchors, starts, found[block].gather(1, slots))
            same = torch.eye(2, dtype=of_all.dtype, device=of_all.device)
            deformations = torch.where(deformed[block][:, None, None, None], of_all, same)
        parts = _refine(grey[first[block]], grey[second[block]], anchors, starts, deformations, config)
        refined[block] = refined[block].scatter(1, places, parts[0])
        correlation[block] = correlation[block].scatter(1, slots, parts[1])
        accepted[block] = accepted[block].scatter(1, slots, parts[2])
    accepted = accepted & found
    return RefinedMatches(
        targets_px=torch.where(accepted[..., None], refined, targets_px), correlation=correlation, accepted=accepted
    )


def _refine(
    first: Tensor,
    second: Tensor,
    anchors_px: Tensor,
    start_px: Tensor,
    deformations: Tensor | None,
    config: SubpixelConfig,
) -> tuple[Tensor, Tensor, Tensor]:
    wide = _sample_windows(first, anchors_px, config.radius + 1)
    window = wide[..., 1:-1, 1:-1]
    right = (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / 2
    down = (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / 2
    slopes = torch.stack([right.flatten(2), down.flatten(2)], dim=-1)  # (E, A, pixels, 2)
    texture = _smallest_eigenvalue(slopes.transpose(-1, -2) @ slopes / slopes.shape[-2]).clamp_min(0.0).sqrt()

    template, contrast = _normalise(window)
    # What a change of brightness or contrast explains is no evidence of a shift: the derivatives are made orthogonal to
    # it.
    slopes = (slopes - slopes.mean(-2, keepdim=True)) / contrast[..., None]
    slopes = slopes - template[..., None] * (template[..., None, :] @ slopes)
    normal = slopes.transpose(-1, -2) @ slopes
    inverse = torch.linalg.inv(normal + 1e-6 * torch.eye(2, dtype=normal.dtype, device=normal.device))

    targets_px = start_px
    for _ in range(config.num_steps):
        difference = _normalise(_sample_windows(second, targets_px, config.radius, deformations))[0] - template
        step = inverse @ (slopes.transpose(-1, -2) @ difference[..., None])
        step = (step if deformations is None else deformations @ step)[..., 0]
        # A window that looks like nothing here must not run away: it is refused by its distance afterwards.
        targets_px = targets_px - step.clamp(-config.max_shift_px, config.max_shift_px)
    window = _sample_windows(second, targets_px, config.radius, deformations)
    correlation = (_normalise(window)[0] * template).sum(-1)
    shift = (targets_px - start_px).norm(dim=-1)
    size = targets_px.new_tensor([first.shape[-1], first.shape[-2]])
    inside = torch.stack([(px > config.radius) & (px < size - config.radius) for px in (anchors_px, targets_px)])
    accepted = inside.all(0).all(-1) & (shift <= config.max_shift_px) & (texture >= config.min_texture)
    accepted = accepted & (correlation >= config.min_correlation)
    return targets_px, correlation, accepted


def _sample_windows(
    images: Float[Tensor, "E H W"],
    px: Float[Tensor, "E A 2"],
    radius: int,
    deformations: Float[Tensor, "E A 2 2"] | None = None,
) -> Float[Tensor, "E A s s"]:
    """Bilinear values at the pixels around each place, or at their deformed offsets; beyond the border those at it."""
    if deformations is None:
        return _cut_windows(images, px, radius)
    steps = torch.arange(-radius, radius + 1, device=px.device, dtype=px.dtype)
    offsets = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1).flatten(0, 1)
    offsets = offsets @ deformations.transpose(-1, -2)
    places = (px[:, :, None] + offsets) / px.new_tensor([images.shape[-1], images.shape[-2]]) * 2 - 1
    values = functional.grid_sample(images[:, None], places, padding_mode="border", align_corners=False)
    return values[:, 0].unflatten(-1, (len(steps), len(steps)))


def _cut_windows(images: Float[Tensor, "E H W"], px: Float[Tensor, "E A 2"], radius: int) -> Float[Tensor, "E A s s"]:
    """Windows of whole pixels, moved by the one fraction that all pixels of a window have: a fifth of the time of
    ``grid_sample``, which asks for each of them where it lies."""
    side = 2 * radius + 1
    margin = side + 1  # windows that lie outside show the border alone
    first = px - 0.5 - radius + margin
    corner = first.floor()
    right, down = (first - corner)[..., None, None].unbind(-3)
    padded = functional.pad(images[:, None], (margin,) * 4, mode="replicate")[:, 0]
    windows = padded.unfold(1, side + 1, 1).unfold(2, side + 1, 1)  # (E, rows, columns, s + 1, s + 1), not copied
    column, row = corner.long().unbind(-1)
    own = torch.arange(len(images), device=px.device)[:, None]
    cut = windows[own, row.clamp(0, windows.shape[1] - 1), column.clamp(0, windows.shape[2] - 1)]
    rows = torch.lerp(cut[..., :-1], cut[..., 1:], right)
    return torch.lerp(rows[..., :-1, :], rows[..., 1:, :], down)


def _normalise(windows: Float[Tensor, "E A s s"]) -> tuple[Float[Tensor, "E A P"], Float[Tensor, "E A 1"]]:
    """Windows with mean 0 and length 1, and what they were divided by."""
    values = windows.flatten(2)
    values = values - values.mean(-1, keepdim=True)
    contrast = values.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    return values / contrast, contrast


def _smallest_eigenvalue(matrices: Float[Tensor, "*batch 2 2"]) -> Float[Tensor, "*batch"]:
    """Of symmetric matrices, in closed form."""
    mean = (matrices[..., 0, 0] + matrices[..., 1, 1]) / 2
    difference = (matrices[..., 0, 0] - matrices[..., 1, 1]) / 2
    return mean - (difference.square() + matrices[..., 0, 1].square()).sqrt()
