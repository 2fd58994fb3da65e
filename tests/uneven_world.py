"""A world whose ground is a profile along x, stairs or a ramp or a platform, and people who walk over it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from oracle_world import CAMERA_HEIGHT_M, CLIP_SIZE, SIZE, SOURCE_SIZE, WALL_M, World
from unish.body import Body, move_body
from unish.geometry.camera import make_intrinsics, project, unproject
from unish.geometry.rigid import invert_rigid, make_rigid
from unish.geometry.rotation import axis_angle_to_matrix
from unish.lab.synthetic.motion import ground_motion, resample_motion, sample_motion, turn_motion
from unish.lab.synthetic.motion.soles import SupportBody
from unish.lab.synthetic.placement import find_heading
from unish.render.plain import rasterize
from unish.structs import BodyParams, Clip, Landmarks, Tracks

NUM_FRAMES, FPS = 24, 6.0
FOCAL_PX = 200.0
STEP_M, TREAD_M = 0.17, 0.6
REACH_M = 12.0
PROFILES = {
    "flat": [(0.0, 0.0)],
    "ramp": [(0.0, 0.0), (2.0, 0.2)],
    "stairs": [
        corner
        for step in range(4)
        for corner in ((TREAD_M * step, STEP_M * step), (TREAD_M * step + 1e-4, STEP_M * (step + 1)))
    ],
    "platform": [(0.0, 0.6), (1e-4, 0.0)],
}
"""Corners (x, height) of the ground; level beyond the first and the last."""


def ground_height(profile: str, x: ndarray) -> ndarray:
    corners = np.array(PROFILES[profile])
    return np.interp(x, corners[:, 0], corners[:, 1])


def make_uneven_world(body: Body, profile: str, *, moving: bool) -> World:
    """Two people cross the picture from the left, one before the other, seen from a bit above."""
    c2stage = _place_camera(moving)
    camera = make_intrinsics(torch.tensor(FOCAL_PX), *CLIP_SIZE).expand(NUM_FRAMES, 3, 3)
    small = camera * torch.tensor([SIZE[1] / CLIP_SIZE[1], SIZE[0] / CLIP_SIZE[0], 1.0])[:, None]
    stage = _jump_down(body) if profile == "platform" else _walk(body, profile)
    params = move_body(
        stage, invert_rigid(c2stage).expand(2, -1, -1, -1), body.rest_joints(stage.betas)[..., 0, :]
    )  # fmt: skip
    depth, masks = _draw(body, params, c2stage, small, profile)
    marks = body.landmarks(params)
    pixels = project(marks, camera.expand(2, -1, -1, -1))
    valid = torch.ones(2, NUM_FRAMES, dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)
    clip = Clip(
        images=torch.randint(0, 255, (NUM_FRAMES, *CLIP_SIZE, 3), generator=generator, dtype=torch.uint8),
        timestamps_s=torch.arange(NUM_FRAMES, dtype=torch.float64) / FPS,
        frame_indices=5 * torch.arange(NUM_FRAMES), segment=torch.zeros(NUM_FRAMES, dtype=torch.long),
        source_size=SOURCE_SIZE, name="uneven",
    )  # fmt: skip
    tracks = Tracks(
        person_ids=torch.tensor([0, 1]), valid=valid,
        boxes_xyxy=torch.cat([pixels.amin(-2) - 2, pixels.amax(-2) + 2], dim=-1), masks=masks,
    )  # fmt: skip
    landmarks = Landmarks(
        px=torch.cat([pixels, torch.full_like(pixels[..., :1], 0.9)], dim=-1),
        world=marks - marks[..., 23:25, :].mean(-2, keepdim=True), score=valid.float(),
    )  # fmt: skip
    return World(
        body=body, clip=clip, c2stage=c2stage, intrinsics=small, betas=torch.zeros(2, 10), params=params, depth=depth,
        conf_logits=torch.full(depth.shape, 4.0), tracks=tracks, landmarks=landmarks,
        shots=(slice(0, NUM_FRAMES),),
    )  # fmt: skip


def clearance(world: World, profile: str, vertices: ndarray) -> ndarray:
    """(P, T, K) height of points of bodies, world, over the ground under them."""
    c2stage = world.c2stage[0].numpy()
    stage = vertices @ c2stage[:3, :3].T + c2stage[:3, 3]
    return CAMERA_HEIGHT_M - stage[..., 1] - ground_height(profile, stage[..., 0])


def _place_camera(moving: bool) -> Tensor:
    time = torch.arange(NUM_FRAMES) / FPS * float(moving)
    nothing = torch.zeros_like(time)
    turn = axis_angle_to_matrix(torch.stack([nothing - 0.12, 0.02 * time, nothing], -1))
    return make_rigid(turn, torch.stack([0.15 * time, -0.02 * time, 0.05 * time], -1))


def _walk(body: Body, profile: str) -> BodyParams:
    """In the stage: two people who walk along x at z = 4.2 and 5 m, one ahead of the other."""
    support, betas = SupportBody.of(body), torch.zeros(10)
    times = torch.arange(-0.6, NUM_FRAMES / FPS + 0.6, 1 / 60, dtype=torch.float64)
    at = torch.arange(NUM_FRAMES, dtype=torch.float64) / FPS
    found = []
    for seed, start, away in ((3, -1.6, 4.2), (5, -1.0, 5.0)):
        motion = sample_motion(np.random.default_rng(seed), times, action="walk")
        motion = turn_motion(motion, np.pi / 2 - find_heading(motion))
        root = motion.root - motion.root[len(times) * 36 // len(times)] * torch.tensor([1.0, 0.0, 1.0])
        motion = replace(motion, root=root + torch.tensor([start, 0.0, -away]))
        own = ground_motion(motion, support, betas, lambda place: ground_height(profile, place[:, 0]))
        found.append(resample_motion(own, at))
    upside = axis_angle_to_matrix(torch.tensor([torch.pi, 0.0, 0.0]))
    root = torch.stack([motion.root for motion in found]).float() @ upside.mT
    root = root + torch.tensor([0.0, CAMERA_HEIGHT_M, 0.0])
    return BodyParams(
        betas=torch.zeros(2, NUM_FRAMES, 10),
        global_orient=upside @ torch.stack([motion.global_orient for motion in found]).float(),
        body_pose=torch.stack([motion.body_pose for motion in found]).float(),
        transl=root - body.rest_joints(betas)[0],
    )


def _jump_down(body: Body) -> BodyParams:
    """In the stage: one stands on the platform for 1.5 s and then jumps from it, the other stands beside it."""
    time = torch.arange(NUM_FRAMES) / FPS
    flight = ((time - 1.5) / 0.6).clamp(0, 1)
    rise = 0.6 * (1 - flight) + 4 * flight * (1 - flight) * 0.45
    x = torch.stack([-0.4 + 1.2 * flight, torch.full_like(time, 1.6)])
    up = torch.stack([rise, torch.zeros_like(time)])
    pose = torch.zeros(2, NUM_FRAMES, 23, 3)
    pose[:, :, 15, 2], pose[:, :, 16, 2] = -0.9, 0.9
    orient = axis_angle_to_matrix(torch.tensor([torch.pi, 0.0, 0.0])).expand(2, NUM_FRAMES, 3, 3)
    params = BodyParams(
        betas=torch.zeros(2, NUM_FRAMES, 10), global_orient=orient, body_pose=axis_angle_to_matrix(pose),
        transl=torch.stack([x, torch.zeros_like(x), torch.tensor([[4.2], [4.8]]).expand_as(x)], -1),
    )  # fmt: skip
    lowest = body.vertices(params)[..., 1].amax(-1)
    return replace(
        params, transl=params.transl + (CAMERA_HEIGHT_M - lowest - up)[..., None] * torch.tensor([0.0, 1, 0])
    )


def _draw(body: Body, params: BodyParams, c2stage: Tensor, intrinsics: Tensor, profile: str) -> tuple[Tensor, Tensor]:
    """Depth of ground, wall and people, and whom each pixel shows."""
    rays = unproject(torch.ones(NUM_FRAMES, *SIZE), intrinsics) @ c2stage[:, None, :3, :3].mT
    depth = (WALL_M - c2stage[:, None, None, 2, 3]) / rays[..., 2]
    corners = np.array([(-REACH_M, PROFILES[profile][0][1]), *PROFILES[profile], (REACH_M, PROFILES[profile][-1][1])])
    line = np.stack([corners[:, 0], CAMERA_HEIGHT_M - corners[:, 1]], 1)
    near, far = (np.insert(line, 2, z, axis=1) for z in (0.6, WALL_M + 1))
    ground = torch.from_numpy(np.concatenate([near, far])).float()
    first = np.arange(len(line) - 1)
    quads = np.stack([first, first + 1, first + len(line), first + len(line) + 1], 1)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [2, 1, 3]]]).astype(np.int64)
    masks = torch.full(depth.shape, -1, dtype=torch.int16)
    vertices, w2c = body.vertices(params), invert_rigid(c2stage)
    for frame in range(NUM_FRAMES):
        camera = intrinsics[frame].numpy()
        local = (ground @ w2c[frame, :3, :3].mT + w2c[frame, :3, 3]).numpy()
        meshes = [(local, faces, -1), *((vertices[p, frame].numpy(), body.faces.numpy(), p) for p in range(2))]
        for points, triangles, name in meshes:
            own = torch.from_numpy(rasterize(points, triangles, camera, SIZE).depth)
            seen = (own > 0) & (own < depth[frame])
            depth[frame][seen] = own[seen]
            masks[frame][seen] = name
    return depth, masks
