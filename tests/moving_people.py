"""People who move steadily before a camera, seen without error, in float64, and the solver of bodies for them."""

from dataclasses import fields

import torch
from torch import Tensor

from unish.body import load_body
from unish.geometry.camera import project
from unish.geometry.rotation import axis_angle_to_matrix
from unish.network.human.solver import solve_bodies
from unish.network.human.viewing_ray import PersonView, turn_to, view_person
from unish.structs import BodyParams

INTRINSICS = torch.tensor([[900.0, 0.0, 640.0], [0.0, 900.0, 360.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
BODY = load_body().to(dtype=torch.float64)
UPRIGHT = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
TIMES = torch.tensor([0.0, 0.1, 0.25, 0.3, 0.5], dtype=torch.float64)


def normal(*shape: int, generator: torch.Generator) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def move(people: int, generator: torch.Generator, times: Tensor = TIMES) -> tuple[BodyParams, Tensor]:
    """People who move steadily before the camera, with shapes of their own; rotations of all joints, too."""
    since = times[None, :, None, None]
    turns = 0.25 * normal(people, 1, 24, 3, generator=generator)
    turns = turns + since * 0.5 * normal(people, 1, 24, 3, generator=generator)
    rotations = axis_angle_to_matrix(turns)
    rotations = torch.cat([UPRIGHT @ rotations[:, :, :1], rotations[:, :, 1:]], dim=2)
    where = torch.tensor([0.3, 0.2, 4.0]) + since[..., 0] * normal(people, 1, 3, generator=generator)
    betas = 0.5 * normal(people, 1, 10, generator=generator).expand(-1, len(times), -1)
    params = BodyParams(betas=betas, global_orient=rotations[:, :, 0], body_pose=rotations[:, :, 1:], transl=where)
    return params, rotations


def look(params: BodyParams) -> PersonView:
    """Perfect landmarks, all of them visible."""
    landmarks = BODY.landmarks(params)
    people = landmarks.shape[:2]
    intrinsics = INTRINSICS.expand(*people, 3, 3)
    px = project(landmarks, intrinsics)
    hips = landmarks[..., 23:25, :].mean(-2)
    world = (landmarks - hips[..., None, :]) @ turn_to(torch.nn.functional.normalize(hips, dim=-1))
    px = torch.cat([px, torch.ones_like(px[..., :1])], dim=-1)
    return view_person(px, world, torch.ones(people, dtype=torch.bool), intrinsics)


def disturb(rotations: Tensor, generator: torch.Generator, spread: float = 0.15) -> Tensor:
    """What a network might say instead."""
    return rotations @ axis_angle_to_matrix(spread * normal(*rotations.shape[:3], 3, generator=generator))


def cut(view: PersonView, people: slice | Tensor, frames: slice | Tensor = slice(None)) -> PersonView:
    return PersonView(**{field.name: getattr(view, field.name)[people][:, frames] for field in fields(view)})


def solve(rotations: Tensor, betas: Tensor, view: PersonView, times: Tensor = TIMES, steps: int = 3, **given):
    return solve_bodies(BODY, rotations, betas, view, times.expand(rotations.shape[:2]), steps=steps, **given)
