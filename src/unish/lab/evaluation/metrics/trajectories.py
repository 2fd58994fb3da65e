"""Bodies along a sequence, in the world: W-MPJPE, WA-MPJPE and the error of the root's path.

A frame counts when it is ``valid`` (by default all are) and nothing in it is NaN, in the prediction or in the truth.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from unish.errors import InputError
from unish.geometry.alignment import align_rigid, align_similarity

CHUNK_FRAMES = 100

Leftover = Literal["alone", "merged", "dropped"]
"""What happens to the frames after the last whole chunk: scored alone (WHAM, GVHMR, JOSH; the default), merged into the
last chunk (TRAM), or left out."""

RootReference = Literal["pelvis", "transl", "hips"]
"""Whose path RTE scores: the pelvis joint (GVHMR, TRAM; the default), SMPL's ``transl`` (WHAM, JOSH), or the middle of
both hips. ``transl`` is where the body's own origin went, up to half a metre from the pelvis."""

TRAM_SIGMA = 3.0
"""Frames; TRAM smooths its predicted root with this before it scores."""


def root_path(
    joints: Float[Tensor, "*batch T J 3"],
    transl: Float[Tensor, "*batch T 3"] | None = None,
    *,
    reference: RootReference = "pelvis",
) -> Float[Tensor, "*batch T 3"]:
    """The path that RTE scores, from SMPL's 24 joints or its ``transl``; metres.

    Raises:
        InputError: ``transl`` is asked for and not given, or an unknown reference.
    """
    if reference == "pelvis":
        return joints[..., 0, :]
    if reference == "hips":
        return joints[..., 1:3, :].mean(-2)
    if reference != "transl":
        raise InputError(f"unknown root reference {reference!r}; choose pelvis, transl or hips")
    if transl is None:
        raise InputError("the root reference transl needs the bodies' transl; give it, or use pelvis")
    return transl


def smooth_root(
    points: Float[Tensor, "*batch T N 3"],
    root: Float[Tensor, "*batch T 3"],
    *,
    sigma: float = TRAM_SIGMA,
) -> Float[Tensor, "*batch T N 3"]:
    """Points moved along with their root when its path is smoothed by a Gaussian of ``sigma`` frames (TRAM, 2024).

    The kernel reaches four sigmas; the path is mirrored at its ends. The frames must be whole: a NaN spreads.
    """
    if sigma <= 0:
        raise InputError(f"a smoothing of {sigma} frames was asked for; use a sigma above 0, or none at all")
    smooth = gaussian_filter1d(root.double().numpy(), sigma, axis=-2, mode="reflect", truncate=4.0)
    return points + (torch.from_numpy(smooth) - root.double()).to(points.dtype)[..., None, :]


def world_joint_error(
    predicted: Float[Tensor, "*batch T N 3"],
    true: Float[Tensor, "*batch T N 3"],
    *,
    first_frames: int | None,
    chunk_frames: int = CHUNK_FRAMES,
    leftover: Leftover = "alone",
    valid: Bool[Tensor, "*batch T"] | None = None,
) -> Float[Tensor, "*batch T"]:
    """W-MPJPE (``first_frames=2``) or WA-MPJPE (``None``: all), mm per frame.

    Each person's frames that count are cut into chunks; in each, one similarity with scale is fitted on the joints of
    its first frames (or of all) and applied to the whole chunk (WHAM, Shin et al. 2024). Frames that do not count are
    NaN, and so are those that ``leftover`` drops. A sequence of less than a chunk is one chunk whatever the rule.

    Raises:
        InputError: an unknown ``leftover``, or a chunk or first frames of less than one frame.
    """
    if leftover not in ("alone", "merged", "dropped"):
        raise InputError(f"unknown rule {leftover!r} for leftover frames; choose alone, merged or dropped")
    if chunk_frames < 1 or (first_frames is not None and first_frames < 1):
        raise InputError(f"chunks of {chunk_frames} frames fitted on {first_frames}; use at least one frame")
    counted = _counted(predicted, true, valid)
    errors = torch.full(counted.shape, torch.nan, dtype=torch.float64, device=counted.device)
    lead = counted.shape[:-1].numel()
    sequences = zip(
        *(points.double().reshape(lead, *points.shape[-3:]) for points in (predicted, true)),
        counted.reshape(lead, counted.shape[-1]),
        errors.view(lead, errors.shape[-1]),
        strict=True,
    )
    for ours, theirs, used, out in sequences:
        if used.any():
            out[used] = _score_chunks(ours[used], theirs[used], first_frames, chunk_frames, leftover)
    return errors


def root_trajectory_error(
    predicted: Float[Tensor, "*batch T 3"],
    true: Float[Tensor, "*batch T 3"],
    *,
    valid: Bool[Tensor, "*batch T"] | None = None,
    min_path_m: float = 0.01,
) -> Float[Tensor, "*batch"]:
    """RTE, %: mean distance of roots after one rigid alignment without scale, ÷ length of the true path.

    WHAM (Shin et al. 2024). The path runs over the frames that count. Which root: see ``root_path``. NaN for a path
    shorter than ``min_path_m`` metres: the quotient explodes for people who stand.
    """
    predicted, true = predicted.double(), true.double()
    counted = _counted(predicted[..., None, :], true[..., None, :], valid)
    fit = align_rigid(predicted, true, counted.double())
    error = (fit.apply(predicted) - true).norm(dim=-1)
    mean = torch.where(counted, error, 0.0).sum(-1) / counted.sum(-1).clamp_min(1)
    lead = counted.shape[:-1].numel()
    paths = zip(true.reshape(lead, *true.shape[-2:]), counted.reshape(lead, counted.shape[-1]), strict=True)
    lengths = [path[used].diff(dim=0).norm(dim=-1).sum() for path, used in paths]
    length = torch.stack(lengths).reshape(mean.shape) if lengths else mean
    return 100 * torch.where(length > min_path_m, mean / length.clamp_min(min_path_m), torch.nan)


def _counted(
    predicted: Float[Tensor, "*batch T N 3"],
    true: Float[Tensor, "*batch T N 3"],
    valid: Bool[Tensor, "*batch T"] | None,
) -> Bool[Tensor, "*batch T"]:
    finite = (predicted.isfinite() & true.isfinite()).all(-1).all(-1)
    return finite if valid is None else finite & valid


def _score_chunks(
    predicted: Float[Tensor, "T N 3"],
    true: Float[Tensor, "T N 3"],
    first_frames: int | None,
    chunk_frames: int,
    leftover: Leftover,
) -> Float[Tensor, "T"]:
    errors = torch.full(true.shape[:1], torch.nan, dtype=torch.float64)
    starts, end = list(range(0, len(true), chunk_frames)), len(true)
    if len(starts) > 1 and end - starts[-1] < chunk_frames and leftover != "alone":
        last = starts.pop()
        end = last if leftover == "dropped" else end
    for start, stop in zip(starts, [*starts[1:], end], strict=True):
        fitted = stop if first_frames is None else min(start + first_frames, stop)
        source, target = predicted[start:fitted].flatten(0, 1), true[start:fitted].flatten(0, 1)
        fit = align_similarity(source, target, torch.ones_like(target[:, 0]))
        moved = fit.apply(predicted[start:stop].flatten(0, 1)).unflatten(0, (stop - start, -1))
        errors[start:stop] = 1000 * (moved - true[start:stop]).norm(dim=-1).mean(-1)
    return errors
