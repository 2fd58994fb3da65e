"""The closed-form initialisation of AlignNet: the posed metric body as a reference of known size.

A body whose pose and shape are known, observed by a known camera, can stand in one place only; its depth over the
scene's depth at the same pixels is the scale of the scene.

Legend: B clips, P people, N frames, K landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unish.body import Body, load_body
from unish.geometry.ruler import solve_translation
from unish.geometry.statistics import weighted_median
from unish.network.outputs import HumanOutput, SceneOutput
from unish.structs import CONFIDENT, BodyParams, HumanInputs

NUM_EVIDENCE = 4
_PLACEMENT_LANDMARKS = (11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
"""Shoulders, elbows, wrists, hips, knees, ankles: the face pitches with the head, hands and feet are foreshortened."""

_HIPS_AND_KNEES = (6, 7, 8, 9)
"""Their indices in ``_PLACEMENT_LANDMARKS``. Without them the length of a person is a guess: they weight the scale."""


@dataclass(frozen=True, kw_only=True)
class PlacementSolution:
    """Closed-form position of every person, and the scale that follows from it.

    Attributes:
        pelvis: (B, P, N, 3) rest pelvis plus translation, metres, camera: the point that the body turns about.
        rest_pelvis: (B, P, N, 3) rest pelvis of each shape.
        metres_per_unit: (B,) closed-form scale of the scene; 1 where nobody can be measured.
        evidence: (B, P, N, 4) features of the solution for AlignNet: log distance, reprojection residual over body
            size, log of the scene's mean distance in metres according to this person alone, and the mean visibility of
            hips and knees; 0 where not valid. Nothing in it depends on other people.
    """

    pelvis: Float[Tensor, "B P N 3"]
    rest_pelvis: Float[Tensor, "B P N 3"]
    metres_per_unit: Float[Tensor, "B"]
    evidence: Float[Tensor, "B P N 4"]

    def move_along_ray(self, log_factor: Float[Tensor, "B P N"]) -> Float[Tensor, "B P N 3"]:
        """SMPL translation after the distance of every pelvis was multiplied by exp(``log_factor``)."""
        return self.pelvis * log_factor[..., None].exp() - self.rest_pelvis


class ClosedFormPlacement(nn.Module):
    """No parameters; holds the body whose landmarks are compared with the observed ones."""

    def __init__(self, body_name: str) -> None:
        super().__init__()
        self.body_name = body_name

    @cached_property
    def body(self) -> Body:
        """Read on first use, so that a network can be built without its numbers (on the meta device)."""
        return load_body(self.body_name)

    def forward(self, scene: SceneOutput, people: HumanOutput, humans: HumanInputs) -> PlacementSolution:
        """Solve all people and frames of all clips, in float32 whatever the network runs in.

        Raises:
            ValueError: ``humans`` has no ``landmarks_px``.
        """
        if humans.landmarks_px is None:
            raise ValueError("the closed-form placement needs humans.landmarks_px")
        with torch.autocast(people.rotations.device.type, enabled=False):
            return self._solve(scene, people, humans.landmarks_px[..., _PLACEMENT_LANDMARKS, :].float(), humans.valid)

    def _solve(
        self,
        scene: SceneOutput,
        people: HumanOutput,
        observed: Float[Tensor, "B P N K 3"],
        valid: Bool[Tensor, "B P N"],
    ) -> PlacementSolution:
        landmarks, rest_pelvis = self._pose_landmarks(people)
        weights = torch.where(valid[..., None], observed[..., 2].nan_to_num(0.0), 0.0)
        intrinsics = scene.intrinsics.float()
        per_person = intrinsics[:, None].expand(-1, valid.shape[1], -1, -1, -1)
        transl, residual_px = solve_translation(landmarks, observed[..., :2], weights, per_person)

        depth = landmarks[..., 2] + transl[..., None, 2]
        scene_depth = sample_depth(scene, observed[..., :2])
        known = (weights > 0) & (depth > 0) & (scene_depth > 0)
        log_ratio = torch.where(known, depth, 1.0).log() - torch.where(known, scene_depth, 1.0).log()
        sample_weights = torch.where(known, weights, 0.0)
        visibility = weights[..., _HIPS_AND_KNEES].mean(-1)
        clip_weights = sample_weights * visibility[..., None].square()
        log_scale = weighted_median(log_ratio.flatten(1), clip_weights.flatten(1)).nan_to_num(0.0)
        person_scale = weighted_median(log_ratio, sample_weights)  # (B, P, N)
        mean_distance = masked_mean_distance(scene)[:, None, None].clamp_min(1e-6)

        pelvis = rest_pelvis + transl
        evidence = torch.stack(
            [
                pelvis.norm(dim=-1).clamp_min(0.1).log(),
                _relative_residual(residual_px, landmarks, depth, intrinsics),
                (person_scale + mean_distance.log()).nan_to_num(0.0),
                visibility,
            ],
            dim=-1,
        )
        return PlacementSolution(
            pelvis=pelvis,
            rest_pelvis=rest_pelvis,
            metres_per_unit=log_scale.exp(),
            evidence=torch.where(valid[..., None], evidence, 0.0),
        )

    def _pose_landmarks(self, people: HumanOutput) -> tuple[Float[Tensor, "B P N K 3"], Float[Tensor, "B P N 3"]]:
        """Landmarks about the body origin, in camera axes, and the rest pelvis of each shape; metres."""
        rotations = people.rotations.float()
        betas = people.betas.float()[:, :, None].expand(*rotations.shape[:3], -1)
        params = BodyParams(
            betas=betas,
            global_orient=rotations[..., 0, :, :],
            body_pose=rotations[..., 1:, :, :],
            transl=torch.zeros_like(rotations[..., 0, :, 0]),
        )
        body = self.body.to(rotations.device)
        return body.landmarks(params)[..., _PLACEMENT_LANDMARKS, :], body.rest_joints(betas)[..., 0, :]


def masked_mean_distance(scene: SceneOutput) -> Float[Tensor, "B"]:
    """Mean distance from the camera of all points with confidence above 0.1, in the scene's unit."""
    mask = (scene.point_conf_logits.sigmoid() > CONFIDENT).to(scene.local_points.dtype)
    x, y, z = scene.local_points.unbind(-1)
    # Thirty times as fast as norm, which looks at three numbers at a time; and the slope of a root at 0 is no number.
    distance = (x * x + y * y + z * z).clamp_min(1e-24).sqrt()
    return (distance * mask).sum((1, 2, 3)) / (mask.sum((1, 2, 3)) + 1e-8)


def sample_depth(scene: SceneOutput, pixels: Float[Tensor, "B P N K 2"]) -> Float[Tensor, "B P N K"]:
    """The scene's depth at the nearest pixel; 0 outside of the image, where the pixel is NaN or confidence is low."""
    height, width = scene.point_conf_logits.shape[-2:]
    confident = scene.point_conf_logits.sigmoid() > CONFIDENT
    depth = torch.where(confident, scene.local_points[..., 2], 0.0).flatten(2)  # (B, N, H·W)
    inside = (pixels >= 0).all(-1) & (pixels[..., 0] < width) & (pixels[..., 1] < height)
    cell = torch.where(inside[..., None], pixels, 0.0).floor().long()
    index = cell[..., 1] * width + cell[..., 0]  # (B, P, N, K)
    picked = depth[:, None].expand(-1, index.shape[1], -1, -1).gather(-1, index)
    return torch.where(inside, picked, 0.0)


def _relative_residual(
    residual_px: Float[Tensor, "B P N"],
    landmarks: Float[Tensor, "B P N K 3"],
    depth: Float[Tensor, "B P N K"],
    intrinsics: Float[Tensor, "B N 3 3"],
) -> Float[Tensor, "B P N"]:
    """Reprojection residual over the size of the body in the picture, at most 1; 1 where there is none."""
    measured = residual_px.isfinite()
    spread = (landmarks - landmarks.mean(-2, keepdim=True)).norm(dim=-1).mean(-1)
    size_px = spread / depth.mean(-1).clamp_min(0.1) * intrinsics[:, None, :, 0, 0]
    ratio = torch.where(measured, residual_px, 0.0) / size_px.clamp_min(1.0)
    return torch.where(measured, ratio.clamp_max(1.0), 1.0)
