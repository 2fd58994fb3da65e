"""What a perfect people stage would have seen of a synthetic clip, for tests and for a demo without any model file."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unish.body import Body, move_body
from unish.geometry.rigid import invert_rigid
from unish.geometry.rotation import axis_angle_to_matrix
from unish.structs import BodyParams, Clip, Landmarks, Reconstruction, Tracks

LEFT_HIP, RIGHT_HIP = 23, 24


def clip_from_truth(truth: Reconstruction) -> Clip:
    """The frames of a rendered clip as a reader would give them."""
    return Clip(
        images=torch.from_numpy(truth.images),
        timestamps_s=torch.from_numpy(truth.timestamps_s),
        frame_indices=torch.from_numpy(truth.frame_indices),
        segment=torch.from_numpy(truth.segment).long(),
        source_size=(int(truth.source_size[0]), int(truth.source_size[1])),
        name="synthetic",
    )


def observe_people(truth: Reconstruction, body: Body, mask_size: tuple[int, int]) -> tuple[Tracks, Landmarks]:
    """Exact boxes, masks and landmarks of the people who are visible, in clip pixels."""
    valid = torch.from_numpy(truth.person_valid)
    masks = torch.from_numpy(truth.person_masks).float()[:, None] + 1
    masks = torch.nn.functional.interpolate(masks, size=mask_size, mode="nearest-exact")[:, 0] - 1
    tracks = Tracks(
        person_ids=torch.from_numpy(truth.person_ids).long(),
        valid=valid,
        boxes_xyxy=torch.from_numpy(truth.boxes_xyxy),
        masks=masks.to(torch.int16),
    )
    world = _landmarks_along_ray(truth, body)
    return tracks, Landmarks(
        px=torch.from_numpy(truth.landmarks_px),
        world=torch.where(valid[..., None, None], world, torch.nan),
        score=valid.float(),
    )


def camera_params(truth: Reconstruction, body: Body) -> BodyParams:
    """World parameters of a record (P, T) → parameters in each frame's camera; meaningful only where valid."""
    num_people, num_frames = truth.person_valid.shape
    world = BodyParams(
        betas=torch.from_numpy(np.nan_to_num(truth.betas))[:, None].expand(-1, num_frames, -1),
        global_orient=axis_angle_to_matrix(torch.from_numpy(np.nan_to_num(truth.global_orient_aa))),
        body_pose=axis_angle_to_matrix(
            torch.from_numpy(np.nan_to_num(truth.body_pose_aa)).reshape(num_people, num_frames, 23, 3)
        ),
        transl=torch.from_numpy(np.nan_to_num(truth.transl)),
    )
    w2c = invert_rigid(torch.from_numpy(truth.c2w)).expand(num_people, -1, -1, -1)
    return move_body(world, w2c, body.rest_joints(world.betas)[..., 0, :])


def _landmarks_along_ray(truth: Reconstruction, body: Body) -> Float[Tensor, "P T 33 3"]:
    """Landmarks around the middle of the hips, in a camera turned so that its z axis passes through the pelvis."""
    landmarks = body.landmarks(camera_params(truth, body))
    hips = (landmarks[..., LEFT_HIP, :] + landmarks[..., RIGHT_HIP, :]) / 2
    return (landmarks - hips[..., None, :]) @ rotate_ray_to_axis(hips).transpose(-1, -2)


def rotate_ray_to_axis(ray: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The smallest rotation that takes ``ray`` (any length, z > 0) to the z axis."""
    direction = torch.nn.functional.normalize(ray, dim=-1)
    axis = torch.linalg.cross(direction, direction.new_tensor([0.0, 0.0, 1.0]).expand_as(direction), dim=-1)
    sine = axis.norm(dim=-1, keepdim=True)
    angle = torch.atan2(sine, direction[..., 2:])
    return axis_angle_to_matrix(axis / sine.clamp_min(1e-9) * angle)
