"""Camera paths: their shape, their turns, and their true size; ATE and RPE as evo defines them.

A pose counts when it is ``valid`` (by default all are) and neither path holds a NaN there; a pair of poses when both
do. With fewer than two poses that count there is no path: NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unish.errors import InputError
from unish.geometry.alignment import Similarity, align_rigid, align_similarity
from unish.geometry.rigid import invert_rigid
from unish.geometry.rotation import rotation_angle
from unish.geometry.statistics import weighted_mean

PathAlignment = Literal["similarity", "rigid", "none"]
"""similarity: Umeyama's with scale (evo's ``--align --correct_scale``; the default). rigid: without scale (evo's
``--align``), the one that tests metric size. none: as the two paths are."""

SizeMeasure = Literal["spread", "length", "alignment"]
"""Size of a path: root mean square distance of its centres from their mean (the default), its length from pose to pose
(noise makes it longer), or the scale of the similarity that takes the truth to the prediction (noise leaves it)."""

MIN_SIZE_M = 1e-3
"""A true path smaller than this has no size to compare with."""


@dataclass(frozen=True, kw_only=True)
class CameraPathScores:
    """Scores of a path of N cameras.

    Attributes:
        ate_m: ``absolute_trajectory_error`` after the alignment that was asked for, metres.
        rigid_error_m: the same after a rigid alignment, without scale: the one that tests metric size.
        world_size_ratio: ``world_size_ratio`` by spread.
        world_size_error: |ratio − 1|.
        rpe_rotation_deg: root mean square of ``relative_rotation_errors``.
        rpe_translation_m: root mean square of ``relative_translation_errors``.
    """

    ate_m: Float[Tensor, "*batch"]
    rigid_error_m: Float[Tensor, "*batch"]
    world_size_ratio: Float[Tensor, "*batch"]
    world_size_error: Float[Tensor, "*batch"]
    rpe_rotation_deg: Float[Tensor, "*batch"]
    rpe_translation_m: Float[Tensor, "*batch"]


def align_camera_path(
    predicted_c2w: Float[Tensor, "*batch N 4 4"],
    true_c2w: Float[Tensor, "*batch N 4 4"],
    *,
    alignment: PathAlignment = "similarity",
    valid: Bool[Tensor, "*batch N"] | None = None,
) -> Float[Tensor, "*batch N 4 4"]:
    """Predicted poses in the true world, by the best fit of the centres that count (Umeyama 1991).

    On a straight path the turn about it is one of many best ones; with two centres a similarity fits exactly.

    Raises:
        InputError: unknown alignment, or paths of fewer than two poses.
    """
    predicted, true, counted = _prepare(predicted_c2w, true_c2w, valid)
    if alignment not in ("similarity", "rigid", "none"):
        raise InputError(f"unknown alignment of paths {alignment!r}; choose similarity, rigid or none")
    if alignment == "none":
        return predicted
    return _fit(predicted, true, counted, with_scale=alignment == "similarity").apply_to_poses(predicted)


def absolute_trajectory_error(
    predicted_c2w: Float[Tensor, "*batch N 4 4"],
    true_c2w: Float[Tensor, "*batch N 4 4"],
    *,
    alignment: PathAlignment = "similarity",
    valid: Bool[Tensor, "*batch N"] | None = None,
) -> Float[Tensor, "*batch"]:
    """ATE, metres: root mean square distance of camera centres after the alignment; as ``evo_ape``.

    With ``rigid`` it is the rigid camera error, which sees a path of the wrong size.
    """
    aligned = align_camera_path(predicted_c2w, true_c2w, alignment=alignment, valid=valid)
    _, true, counted = _prepare(predicted_c2w, true_c2w, valid)
    return _root_mean_square((aligned - true)[..., :3, 3].norm(dim=-1), _if_two(counted))


def relative_rotation_errors(
    predicted_c2w: Float[Tensor, "*batch N 4 4"], true_c2w: Float[Tensor, "*batch N 4 4"], *, step: int = 1
) -> Float[Tensor, "*batch M"]:
    """Angle in degrees between the predicted and the true relative rotation of frames i and i + ``step``; all pairs.

    Their root mean square is RPE-r (``evo_rpe --pose_relation angle_deg --delta 1 --all_pairs``). Independent of the
    choice of world and of scale. Predicting identity scores the true turn itself. A NaN pose makes its pairs NaN.
    """
    _check_step(step, predicted_c2w.shape[-3])
    predicted, true = predicted_c2w[..., :3, :3].double(), true_c2w[..., :3, :3].double()
    predicted_turn = predicted[..., :-step, :, :].mT @ predicted[..., step:, :, :]
    true_turn = true[..., :-step, :, :].mT @ true[..., step:, :, :]
    return rotation_angle(true_turn.mT @ predicted_turn) * (180 / math.pi)


def relative_translation_errors(
    predicted_c2w: Float[Tensor, "*batch N 4 4"],
    true_c2w: Float[Tensor, "*batch N 4 4"],
    *,
    step: int = 1,
    alignment: PathAlignment = "similarity",
    valid: Bool[Tensor, "*batch N"] | None = None,
) -> Float[Tensor, "*batch M"]:
    """Length in metres of the translation in inv(true step) · predicted step, of frames i and i + ``step``; all pairs.

    Their root mean square is RPE-t (``evo_rpe --delta 1 --all_pairs``). Only the scale of the alignment matters to it.
    A pose that does not count makes its pairs NaN.
    """
    _check_step(step, predicted_c2w.shape[-3])
    aligned = align_camera_path(predicted_c2w, true_c2w, alignment=alignment, valid=valid)
    _, true, counted = _prepare(predicted_c2w, true_c2w, valid)
    move, true_move = (invert_rigid(c2w[..., :-step, :, :]) @ c2w[..., step:, :, :] for c2w in (aligned, true))
    length = (invert_rigid(true_move) @ move)[..., :3, 3].norm(dim=-1)
    return torch.where(counted[..., :-step] & counted[..., step:], length, torch.nan)


def world_size_ratio(
    predicted_c2w: Float[Tensor, "*batch N 4 4"],
    true_c2w: Float[Tensor, "*batch N 4 4"],
    *,
    measure: SizeMeasure = "spread",
    valid: Bool[Tensor, "*batch N"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Size of the predicted camera path ÷ size of the true one; 1 = metres are metres.

    NaN where the true path is smaller than ``MIN_SIZE_M``: a camera that stands still has no size.
    """
    predicted, true, counted = _prepare(predicted_c2w, true_c2w, valid)
    size, true_size = (_measure_size(path[..., :3, 3], counted, measure) for path in (predicted, true))
    if measure == "alignment":
        size = true_size * _fit(true, predicted, counted, with_scale=True).scale
    return torch.where(true_size > MIN_SIZE_M, size / true_size.clamp_min(MIN_SIZE_M), torch.nan)


def size_error(ratio: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """|1 − ratio| of a ``world_size_ratio``."""
    return (1 - ratio).abs()


def score_camera_path(
    predicted_c2w: Float[Tensor, "*batch N 4 4"],
    true_c2w: Float[Tensor, "*batch N 4 4"],
    *,
    step: int = 1,
    alignment: PathAlignment = "similarity",
    valid: Bool[Tensor, "*batch N"] | None = None,
) -> CameraPathScores:
    """Absolute and relative errors of one path or many, as evo defines them (delta of ``step`` frames, all pairs)."""
    ratio = world_size_ratio(predicted_c2w, true_c2w, valid=valid)
    turns = relative_rotation_errors(predicted_c2w, true_c2w, step=step)
    moves = relative_translation_errors(predicted_c2w, true_c2w, step=step, alignment=alignment, valid=valid)
    return CameraPathScores(
        ate_m=absolute_trajectory_error(predicted_c2w, true_c2w, alignment=alignment, valid=valid),
        rigid_error_m=absolute_trajectory_error(predicted_c2w, true_c2w, alignment="rigid", valid=valid),
        world_size_ratio=ratio,
        world_size_error=size_error(ratio),
        rpe_rotation_deg=_root_mean_square(turns, moves.isfinite()),
        rpe_translation_m=_root_mean_square(moves, moves.isfinite()),
    )


def _prepare(
    predicted_c2w: Float[Tensor, "*batch N 4 4"], true_c2w: Float[Tensor, "*batch N 4 4"], valid: Tensor | None
) -> tuple[Float[Tensor, "*batch N 4 4"], Float[Tensor, "*batch N 4 4"], Bool[Tensor, "*batch N"]]:
    """Both in double precision, and which poses count."""
    if true_c2w.shape[-3] < 2:
        raise InputError(f"a camera path of {true_c2w.shape[-3]} poses cannot be scored; give at least two")
    predicted, true = predicted_c2w.double(), true_c2w.double()
    counted = (predicted.isfinite() & true.isfinite()).all(-1).all(-1)
    return predicted, true, counted if valid is None else counted & valid


def _check_step(step: int, num: int) -> None:
    if not 1 <= step < num:
        raise InputError(f"no pairs of poses are {step} apart in a path of {num}; use a step from 1 to {num - 1}")


def _fit(
    source: Float[Tensor, "*batch N 4 4"],
    target: Float[Tensor, "*batch N 4 4"],
    counted: Bool[Tensor, "*batch N"],
    *,
    with_scale: bool,
) -> Similarity:
    align = align_similarity if with_scale else align_rigid
    return align(source[..., :3, 3], target[..., :3, 3], counted.double())


def _if_two(counted: Bool[Tensor, "*batch N"]) -> Bool[Tensor, "*batch N"]:
    """Nothing where fewer than two poses count."""
    return counted & (counted.sum(-1, keepdim=True) >= 2)


def _root_mean_square(values: Float[Tensor, "*batch N"], counted: Bool[Tensor, "*batch N"]) -> Float[Tensor, "*batch"]:
    number = counted.sum(-1)
    mean = torch.where(counted, values.square(), 0.0).sum(-1) / number.clamp_min(1)
    return torch.where(number > 0, mean.sqrt(), torch.nan)


def _measure_size(
    centres: Float[Tensor, "*batch N 3"], counted: Bool[Tensor, "*batch N"], measure: SizeMeasure
) -> Float[Tensor, "*batch"]:
    if measure not in ("spread", "length", "alignment"):
        raise InputError(f"unknown measure of a path's size {measure!r}; choose spread, length or alignment")
    if measure == "length":
        paths = zip(centres.reshape(-1, *centres.shape[-2:]), counted.reshape(-1, counted.shape[-1]), strict=True)
        lengths = [path[used].diff(dim=0).norm(dim=-1).sum() for path, used in paths]
        return torch.stack(lengths).reshape(centres.shape[:-2]) if lengths else centres.new_zeros(centres.shape[:-2])
    offsets = centres - weighted_mean(centres, counted.double())[..., None, :]
    return _root_mean_square(offsets.norm(dim=-1), _if_two(counted))
