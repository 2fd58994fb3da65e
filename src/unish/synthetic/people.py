"""The cast of a clip: bodies of many shapes, dressed, moving, standing on the floor, not through one another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray

from unish.body import Body, load_body
from unish.render.scene import Mesh
from unish.structs import BodyParams
from unish.synthetic.clothes import BodyMap, dress_body, map_body
from unish.synthetic.furniture import draw_paint
from unish.synthetic.motion import Motion, ground_motion, resample_motion, sample_motion
from unish.synthetic.motion.soles import SupportBody
from unish.synthetic.shapes import join, make_box, place
from unish.synthetic.stage import Prop
from unish.synthetic.textures import TextureBank

Rng = np.random.Generator
APART = 0.75
"""Least distance between two pelvises, metres."""
RATE_HZ = 60.0
"""Motions are made and set on the floor at this rate, then sampled at the times of the clip."""
MARGIN_S = 0.6
"""What of a motion before and after the clip is looked at to see which steps are under way."""


@dataclass(frozen=True, kw_only=True)
class Actor:
    """One person through the clip, in stage axes (y up, floor at 0).

    Attributes:
        params: SMPL-format parameters of the N frames.
        vertices: (N, V, 3); joints: (N, 24, 3); landmarks: (N, 33, 3) metres.
        looks: dressed mesh.
        action: name of the motion.
        seat: what the person sits on, if anything.
    """

    params: BodyParams
    vertices: Float32[ndarray, "N V 3"]
    joints: Float32[ndarray, "N 24 3"]
    landmarks: Float32[ndarray, "N 33 3"]
    looks: Mesh
    action: str
    seat: Prop | None


@lru_cache(maxsize=2)
def load_cast_body(name: str) -> tuple[Body, BodyMap]:
    """A body and its map, once per process."""
    body = load_body(name)
    rest = rest_params(torch.zeros(1, 10))
    vertices, joints, landmarks = (
        part[0].numpy() for part in (body.vertices(rest), body.joints(rest), body.landmarks(rest))
    )
    return body, map_body(vertices, body.faces.numpy(), joints, landmarks)


@lru_cache(maxsize=2)
def load_support(name: str) -> SupportBody:
    """The support points of a body, once per process."""
    return SupportBody.of(load_cast_body(name)[0])


def rest_params(betas: Float[torch.Tensor, "N 10"]) -> BodyParams:
    """Bodies at rest at the origin."""
    num = len(betas)
    return BodyParams(
        betas=betas,
        global_orient=torch.eye(3).expand(num, 3, 3),
        body_pose=torch.eye(3).expand(num, 23, 3, 3),
        transl=torch.zeros(num, 3),
    )


def cast_people(
    rng: Rng, bank: TextureBank, body_name: str, count: int, timestamps_s: Float[ndarray, "N"], spread: float
) -> list[Actor]:
    """``count`` people (fewer when no free place is found) within about ``spread`` metres of the origin."""
    body, body_map = load_cast_body(body_name)
    actors: list[Actor] = []
    taken: list[ndarray] = []
    times = torch.from_numpy(np.asarray(timestamps_s, np.float64))
    around = torch.arange(float(times[0]) - MARGIN_S, float(times[-1]) + MARGIN_S, 1 / RATE_HZ, dtype=torch.float64)
    for _ in range(count):
        betas = _draw_shape(rng, body)
        motion = resample_motion(ground_motion(sample_motion(rng, around), load_support(body_name), betas), times)
        path = motion.root.numpy()
        path[:, [0, 2]] -= path[:, [0, 2]].mean(0)
        offset = _find_place(rng, path, taken, spread)
        if offset is None:
            continue
        path[:, [0, 2]] += offset
        taken.append(path)
        looks = dress_body(rng, body_map, bank, len(actors))
        actors.append(_pose_actor(rng, bank, body, betas, motion, torch.from_numpy(path), looks))
    return actors


def _draw_shape(rng: Rng, body: Body) -> Float[torch.Tensor, "10"]:
    """Of many random shapes the one nearest to a height drawn for an adult (mostly) or a child."""
    height = np.clip(rng.normal(1.70, 0.1), 1.4, 2.05) if rng.random() < 0.85 else rng.uniform(1.05, 1.5)
    betas = torch.from_numpy(np.clip(rng.normal(0, 1.0, (48, 10)), -2.5, 2.5).astype(np.float32))
    return betas[int((body.standing_height(betas) - float(height)).abs().argmin())]


def _find_place(rng: Rng, path: ndarray, taken: list[ndarray], spread: float) -> Float[ndarray, "2"] | None:
    """An offset for the path that keeps it apart from the others in every frame."""
    for attempt in range(40):
        offset = rng.normal(0, spread * (0.5 + attempt / 40), 2)
        moved = path[:, [0, 2]] + offset
        if all((np.linalg.norm(moved - other[:, [0, 2]], axis=1) > APART).all() for other in taken):
            return offset
    return None


def _pose_actor(
    rng: Rng,
    bank: TextureBank,
    body: Body,
    betas: Float[torch.Tensor, "10"],
    motion: Motion,
    path: Float[torch.Tensor, "N 3"],
    looks: Mesh,
) -> Actor:
    """The posed body along a path of its pelvis."""
    num = motion.num_frames
    params = BodyParams(
        betas=betas.expand(num, 10),
        global_orient=motion.global_orient.float(),
        body_pose=motion.body_pose.float(),
        transl=(path - body.rest_joints(betas)[0].double()).float(),
    )
    vertices, joints = body.vertices(params).numpy(), body.joints(params).numpy()
    return Actor(
        params=params,
        vertices=vertices,
        joints=joints,
        landmarks=body.landmarks(params).numpy(),
        looks=looks,
        action=motion.name,
        seat=_make_seat(rng, bank, params, joints, vertices) if motion.name.startswith("sit") else None,
    )


def _make_seat(rng: Rng, bank: TextureBank, params: BodyParams, joints: ndarray, vertices: ndarray) -> Prop | None:
    """A block under the pelvis of someone who sits, as high as the lowest place where they sit."""
    lowest = int(joints[:, 0, 1].argmin())
    pelvis = joints[lowest, 0]
    near = np.linalg.norm(vertices[lowest][:, [0, 2]] - pelvis[[0, 2]], axis=1) < 0.12
    height = float(vertices[lowest][near, 1].min()) - 0.005
    if height < 0.15:
        return None
    facing = params.global_orient[lowest, :, 2].numpy()
    yaw = float(np.arctan2(facing[0], facing[2]))
    paint = draw_paint(rng, bank, "planks", "noise", "carpet", "cloudy")
    width, depth = rng.uniform(0.4, 0.7), rng.uniform(0.34, 0.42)
    pieces = [make_box((width, height, depth), paint, (0, height / 2, -0.06))]
    if rng.random() < 0.4:
        tall = rng.uniform(0.3, 0.5)
        pieces.append(make_box((width, tall, 0.05), paint, (0, height + tall / 2, -0.06 - depth / 2 - 0.06)))
    return Prop.of(place(join(pieces), (float(pelvis[0]), 0.0, float(pelvis[2])), yaw))
