"""Bodies against exact truth: shape and pose of each person, where they stand, how they appear, and the scene's scale.

After the coarse localisation stage of UniSH, whose terms are vertices, 3-D joints and projected joints (L1), pose and
shape (L2), translation and scale. Units: metres and radians, except where a docstring says otherwise.

Legend: B clips, P people, N frames, J joints, V vertices; R rotations, β shape, t translation, s scale; ∗ marks truth.
Every term is a mean over the (person, frame) pairs that are ``valid``; what fills the others up may be anything.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unish.body import Body
from unish.geometry.camera import make_intrinsics, project
from unish.geometry.focal import focal_to_pixels, recover_shared_focal_and_shift, recover_shift
from unish.lab.training.losses.penalties import charbonnier, mean_along, mean_where, smooth_angle
from unish.structs import BodyParams

_MIN_DEPTH = 0.1  # metres: what is nearer is behind the camera as far as its projection goes
_MIN_EXTENT_PX = 8.0


def compare_bodies(
    body: Body, predicted: BodyParams, truth: BodyParams, valid: Bool[Tensor, "B P N"]
) -> dict[str, Tensor]:
    """Who and how, apart from where: all positions are around the pelvis.

    ``vertices``, ``joints``: mean ‖x − x∗‖₁; ``pose_angle``: mean geodesic angle of RᵀR∗ over the 24 joints;
    ``pose_matrix``: mean ‖R − R∗‖²; ``shape``: ‖β − β∗‖².

    Args:
        predicted, truth: leading axes (B, P, N).
    """
    predicted, truth = keep_valid(predicted, valid), keep_valid(truth, valid)
    (joints, vertices), (true_joints, true_vertices) = (_pose_around_pelvis(body, x) for x in (predicted, truth))
    rotations, true_rotations = (
        torch.cat([x.global_orient[..., None, :, :], x.body_pose], dim=-3) for x in (predicted, truth)
    )
    return {
        "vertices": mean_where((vertices - true_vertices).abs().sum(-1).mean(-1), valid),
        "joints": mean_where((joints - true_joints).abs().sum(-1).mean(-1), valid),
        "pose_angle": mean_where(smooth_angle(rotations.mT @ true_rotations).mean(-1), valid),
        "pose_matrix": mean_where((rotations - true_rotations).square().sum((-1, -2)).mean(-1), valid),
        "shape": mean_where((predicted.betas - truth.betas).square().sum(-1), valid),
    }


def translation_loss(
    transl: Float[Tensor, "B P N 3"],
    true_transl: Float[Tensor, "B P N 3"],
    scale: Float[Tensor, "B"],
    valid: Bool[Tensor, "B P N"],
    *,
    width: float | None = None,
) -> Tensor:
    """‖s·t − t∗‖², square metres as published; with a ``width``, Charbonnier's penalty of ‖s·t − t∗‖ / ‖t∗‖.

    In square metres, people far away are nearly all that counts: an error grows with distance.

    Args:
        transl: in the unit of the predicted points, camera axes.
        scale: brings predicted points onto the true ones (``find_scale``); ones where ``transl`` is metric already.
        width: from which share of the distance on the penalty grows like a length.
    """
    transl, true_transl = (torch.where(valid[..., None], x, 1.0) for x in (transl, true_transl))
    squared = (scale[:, None, None, None] * transl - true_transl).square().sum(-1)
    if width is not None:
        squared = charbonnier(squared / true_transl.square().sum(-1), width)
    return mean_where(squared, valid)


def scale_loss(scale: Float[Tensor, "B"], best: Float[Tensor, "B"]) -> Tensor:
    """|s − s∗| of predicted scale and the one that brings the predicted points onto the true ones."""
    return (scale - best).abs().mean()


@torch.no_grad()
def recover_cameras(
    local_points: Float[Tensor, "B N H W 3"],
    mask: Bool[Tensor, "B N H W"],
    known: Float[Tensor, "B N 3 3"] | None = None,
) -> tuple[Float[Tensor, "B N 3 3"], Float[Tensor, "B N"]]:
    """Intrinsics (pixels) and z-shift (unit of the points) of the one pinhole that explains the maps of a clip best.

    The same solver as at inference (see ``recover_shared_focal_and_shift``): bodies are judged through the camera with
    which they will be drawn. Constants, without gradient. Of ``known`` cameras only the shift is solved.
    """
    (height, width), frames = local_points.shape[-3:-1], local_points.shape[:2]
    if known is not None:
        return known, recover_shift(local_points, mask, known)[:, None].expand(frames)
    focal, shift = recover_shared_focal_and_shift(local_points, mask)
    intrinsics = make_intrinsics(focal_to_pixels(focal, height, width), height, width)
    return intrinsics[:, None].expand(*frames, 3, 3), shift[:, None].expand(frames)


def picture_loss(
    joints: Float[Tensor, "B P N J 3"],
    intrinsics: Float[Tensor, "B N 3 3"],
    true_joints: Float[Tensor, "B P N J 3"],
    true_intrinsics: Float[Tensor, "B N 3 3"],
    valid: Bool[Tensor, "B P N"],
) -> Tensor:
    """Mean ‖π(x, K) − π(x∗, K∗)‖₁ over joints, divided by the larger side of the true joints' box (so no unit).

    A person far away then counts as much as one near by. Joints behind the camera, in the prediction or in truth, do
    not count.

    Args:
        joints: metres, camera axes, where the prediction places them (with the z-shift of ``recover_cameras`` added).
        intrinsics: of the prediction, for example from ``recover_cameras``.
    """
    joints, true_joints = (torch.where(valid[..., None, None], x, 1.0) for x in (joints, true_joints))
    seen, wanted = (
        project(x, k[:, None].expand(*valid.shape, 3, 3), min_depth=_MIN_DEPTH)
        for x, k in ((joints, intrinsics), (true_joints, true_intrinsics))
    )
    ahead = (joints[..., 2] > _MIN_DEPTH) & (true_joints[..., 2] > _MIN_DEPTH)
    extent = (wanted.amax(-2) - wanted.amin(-2)).amax(-1).clamp_min(_MIN_EXTENT_PX)
    distance = (seen - wanted).abs().sum(-1) / extent[..., None]
    return mean_where(mean_along(distance, ahead), valid & ahead.any(-1))


def keep_valid(params: BodyParams, valid: Bool[Tensor, "B P N"]) -> BodyParams:
    """The same bodies, with a finite one (rest pose, mean shape, at the origin) wherever none was seen."""
    eye = torch.eye(3, dtype=params.transl.dtype, device=params.transl.device)
    seen = valid[..., None]
    return BodyParams(
        betas=torch.where(seen, params.betas, 0.0),
        global_orient=torch.where(seen[..., None], params.global_orient, eye),
        body_pose=torch.where(seen[..., None, None], params.body_pose, eye),
        transl=torch.where(seen, params.transl, 0.0),
    )


def _pose_around_pelvis(
    body: Body, params: BodyParams
) -> tuple[Float[Tensor, "B P N 24 3"], Float[Tensor, "B P N V 3"]]:
    """Joints and vertices relative to the pelvis."""
    shaped = body.shape(params.betas)
    skeleton = body.pose(shaped.joints, params.global_orient, params.body_pose)
    pelvis = skeleton.positions[..., :1, :]
    return skeleton.positions - pelvis, body.skin(shaped, skeleton, params.body_pose) - pelvis
