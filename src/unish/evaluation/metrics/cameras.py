"""Camera paths: their shape, their turns, and their true size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from unish.geometry.alignment import align_rigid, align_similarity
from unish.geometry.rigid import invert_rigid
from unish.geometry.rotation import rotation_angle


@dataclass(frozen=True, kw_only=True)
class CameraPathScores:
    """Scores of a path of N cameras.

    Attributes:
        ate_m: root mean square distance of camera centres after a similarity alignment (Umeyama), metres; as evo's
            ``ape`` with ``align`` and ``correct_scale``.
        rigid_error_m: the same after a rigid alignment, without scale: the one that tests metric size.
        world_size_ratio: root mean square distance of the centres from their mean, predicted ÷ true; NaN where the true
            path spreads over less than a millimetre.
        rpe_rotation_deg: root mean square of ``relative_rotation_errors`` over neighbouring frames.
        rpe_translation_m: root mean square of the translation of neighbouring frames' relative-pose error, after the
            similarity alignment.
    """

    ate_m: Float[Tensor, "*batch"]
    rigid_error_m: Float[Tensor, "*batch"]
    world_size_ratio: Float[Tensor, "*batch"]
    rpe_rotation_deg: Float[Tensor, "*batch"]
    rpe_translation_m: Float[Tensor, "*batch"]


def relative_rotation_errors(
    predicted_c2w: Float[Tensor, "*batch N 4 4"], true_c2w: Float[Tensor, "*batch N 4 4"], *, step: int = 1
) -> Float[Tensor, "*batch M"]:
    """Angle in degrees between the predicted and the true relative rotation of frames i and i + ``step``.

    Independent of the choice of world and of scale. Predicting identity scores the true turn itself.
    """
    predicted, true = predicted_c2w[..., :3, :3].double(), true_c2w[..., :3, :3].double()
    predicted_turn = predicted[..., :-step, :, :].mT @ predicted[..., step:, :, :]
    true_turn = true[..., :-step, :, :].mT @ true[..., step:, :, :]
    return rotation_angle(true_turn.mT @ predicted_turn) * (180 / math.pi)


def score_camera_path(
    predicted_c2w: Float[Tensor, "*batch N 4 4"], true_c2w: Float[Tensor, "*batch N 4 4"]
) -> CameraPathScores:
    """Absolute and relative errors of one path or many, as evo defines them (delta of one frame, all pairs)."""
    predicted, true = predicted_c2w.double(), true_c2w.double()
    centres, true_centres = predicted[..., :3, 3], true[..., :3, 3]
    weights = torch.ones_like(centres[..., 0])
    similar, rigid = (fit(centres, true_centres, weights) for fit in (align_similarity, align_rigid))
    aligned = similar.apply_to_poses(predicted)
    step, true_step = (invert_rigid(c2w[..., :-1, :, :]) @ c2w[..., 1:, :, :] for c2w in (aligned, true))
    difference = invert_rigid(true_step) @ step
    spread, true_spread = (_spread(path) for path in (centres, true_centres))
    ratio = torch.where(true_spread > 1e-3, spread / true_spread.clamp_min(1e-3), torch.nan)
    turns = relative_rotation_errors(predicted, true)
    return CameraPathScores(
        ate_m=_root_mean_square(aligned[..., :3, 3] - true_centres),
        rigid_error_m=_root_mean_square(rigid.apply(centres) - true_centres),
        world_size_ratio=ratio,
        rpe_rotation_deg=turns.square().mean(-1).sqrt(),
        rpe_translation_m=_root_mean_square(difference[..., :3, 3]),
    )


def _root_mean_square(vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
    return vectors.square().sum(-1).mean(-1).sqrt()


def _spread(centres: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
    return _root_mean_square(centres - centres.mean(-2, keepdim=True))
