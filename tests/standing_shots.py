"""A shot in metres in which people stand on a floor that the camera sees from above, leaning."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unish.body import load_body
from unish.geometry.camera import make_intrinsics, project, unproject
from unish.geometry.rigid import invert_rigid, make_rigid, transform_points
from unish.geometry.rotation import axis_angle_to_matrix
from unish.reconstruction import MetricShot, ShotEvidence
from unish.reconstruction.contacts import Contacts, find_contacts, pose_feet
from unish.reconstruction.metric import DepthComparison, SceneScale
from unish.structs import BodyParams, Camera

HEIGHT, WIDTH, NUM_FRAMES = 60, 80, 4
CAMERA_HEIGHT_M = 1.4
UP = axis_angle_to_matrix(torch.tensor([0.2, 0.0, -0.1])) @ torch.tensor([0.0, -1.0, 0.0])
"""Against gravity, in the world of a camera that looks down and leans."""

FLOOR = torch.cat([UP, torch.tensor([CAMERA_HEIGHT_M])])
INTRINSICS = make_intrinsics(torch.tensor(70.0), HEIGHT, WIDTH)


def floor_depth(c2w: Tensor, height: float) -> Tensor:
    """(T, H, W) depth of the plane ``height`` metres below the first camera, 0 at and above the horizon."""
    rays = unproject(torch.ones(len(c2w), HEIGHT, WIDTH), INTRINSICS.expand(len(c2w), 3, 3)) @ c2w[:, None, :3, :3].mT
    down = -(rays @ UP)
    ahead = (height + c2w[:, :3, 3] @ UP)[:, None, None] / down.clamp_min(1e-6)
    return torch.where((down > 0.05) & (ahead < 20), ahead, 0.0)


def make_shot(*, num_people: int = 1, num_frames: int = NUM_FRAMES, sit: float = 0.0, roll: float = 0.0) -> MetricShot:
    """People who stand on the floor (``sit`` bends their hips, ``roll`` leans the first one), and its depth."""
    body, shape = load_body("free"), (num_people, num_frames)
    turned = axis_angle_to_matrix(torch.tensor([0.2, 0.0, -0.1])) @ axis_angle_to_matrix(torch.tensor([torch.pi, 0, 0]))
    lean = axis_angle_to_matrix(torch.tensor([0.0, 0.0, roll])) @ turned
    orient = torch.stack([lean, *[turned] * (num_people - 1)])[:, None].expand(*shape, 3, 3)
    pose = torch.zeros(*shape, 23, 3)
    pose[:, :, 0:2, 0] = -sit
    params = BodyParams(
        betas=torch.zeros(*shape, 10), global_orient=orient, body_pose=axis_angle_to_matrix(pose),
        transl=torch.tensor([0.0, 0.0, 4.0]).expand(*shape, 3) + torch.arange(num_people)[:, None, None] * 0.3,
    )  # fmt: skip
    lowest = (body.vertices(params) @ UP).amin(-1)
    params = replace(params, transl=params.transl + (-CAMERA_HEIGHT_M - lowest)[..., None] * UP)
    time = torch.arange(num_frames)[:, None] / 6
    c2w = make_rigid(axis_angle_to_matrix(time * torch.tensor([0.0, 0.1, 0.02])), time * torch.tensor([0.2, 0.0, 0.1]))
    depth = floor_depth(c2w, CAMERA_HEIGHT_M)
    nothing = torch.full(shape, torch.nan)
    return MetricShot(
        camera=Camera(matrix=INTRINSICS, size=(HEIGHT, WIDTH), focal_source="given"),
        intrinsics=INTRINSICS.expand(num_frames, 3, 3), c2w=c2w, dense=torch.arange(num_frames),
        conf=torch.full(depth.shape, 0.9),
        depth_before=depth, depth=depth, params=params, valid=torch.ones(shape, dtype=torch.bool),
        distance_sigma=torch.full(shape, 0.05), by_network=torch.zeros(shape, dtype=torch.bool),
        joints=body.joints(params),
        correction=DepthComparison(
            level=nothing, scene_level=nothing, tilt=nothing[..., None].repeat(1, 1, 2), relief=nothing,
            centre=nothing[..., None].repeat(1, 1, 2), extent=nothing,
        ),
        scale=SceneScale(factor=1.0, uncertainty=0.05, source="people"),
        curve=None, network_scale=None, still=False, residual=0.0,
        unplaced=torch.zeros(num_frames, dtype=torch.bool), doubtful=torch.zeros(num_frames, dtype=torch.bool),
        unjoined=0,
    )  # fmt: skip


def make_evidence(shot: MetricShot, *, fps: float = 6.0) -> ShotEvidence:
    """Landmarks where the body has them, all seen even where that is outside of the picture."""
    num_people, num_frames = shot.valid.shape
    marks = load_body("free").landmarks(shot.params)
    local = transform_points(invert_rigid(shot.c2w).expand(num_people, -1, -1, -1), marks)
    px = project(local, INTRINSICS.expand(num_people, num_frames, 3, 3))
    inside = px.clamp(torch.tensor(0.5), torch.tensor([WIDTH, HEIGHT]) - 0.5)
    return ShotEvidence(
        timestamps_s=torch.arange(num_frames) / fps,
        valid=shot.valid,
        masks=torch.full((num_frames, HEIGHT, WIDTH), -1, dtype=torch.int16),
        landmarks_px=torch.cat([inside, torch.ones_like(inside[..., :1])], dim=-1),
        boxes_xyxy=torch.cat([px.amin(-2), px.amax(-2)], dim=-1),
        box_only=torch.zeros_like(shot.valid),
    )


def find_standing(shot: MetricShot, evidence: ShotEvidence | None = None) -> Contacts:
    """Feet that stand."""
    return find_contacts(pose_feet(shot, load_body("free"), UP), shot, evidence or make_evidence(shot))
