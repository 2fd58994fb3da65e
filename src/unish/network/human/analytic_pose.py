"""SMPL rotations straight from 33 landmarks: bone directions and bending axes, no iteration, no weights.

It is where the landmark branch starts from. What landmarks do not show (spine, collars, twist of straight limbs) is
filled in evenly.

Legend: L = 33 landmarks in any right-handed frame.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from unish.body.joints import PARENTS
from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle

_BENT, _STRAIGHT = 0.5, 0.17  # sine of the bend above which its axis is trusted, and below which it is ignored


class Side(NamedTuple):
    """Landmark and joint indices of one side of the body; ``sign`` is +1 on the left."""

    shoulder: int
    elbow: int
    wrist: int
    pinky: int
    index_finger: int
    hip: int
    knee: int
    ankle: int
    heel: int
    toe: int
    first_joint: int
    sign: float


_LEFT = Side(11, 13, 15, 17, 19, 23, 25, 27, 29, 31, 0, 1.0)
_RIGHT = Side(12, 14, 16, 18, 20, 24, 26, 28, 30, 32, 1, -1.0)
_NOSE, _LEFT_EAR, _RIGHT_EAR = 0, 7, 8


def rotations_from_landmarks(
    points: Float[Tensor, "*batch L 3"], rest_points: Float[Tensor, "L 3"]
) -> Float[Tensor, "*batch 24 3 3"]:
    """Joint rotations relative to the parent, root first, in the frame of ``points``.

    Every part's frame is built by the same rule from the posed and from the rest landmarks of the body; the rotation
    is what takes one to the other, so that constant offsets of landmarks from joints cancel.
    """
    posed, rest = _part_frames(points), _part_frames(rest_points)
    world = posed @ rest.transpose(-1, -2)
    spine = _between(world[..., 0, :, :], world[..., 9, :, :], (1 / 3, 2 / 3))
    neck = _between(world[..., 9, :, :], world[..., 15, :, :], (0.5,))
    world = torch.cat(
        [
            world[..., :3, :, :], spine[0], world[..., 4:6, :, :], spine[1], world[..., 7:12, :, :], neck[0],
            world[..., 13:, :, :],
        ],
        dim=-3,
    )  # fmt: skip
    parents = torch.stack([world[..., max(parent, 0), :, :] for parent in PARENTS], dim=-3)
    local = parents.transpose(-1, -2) @ world
    return torch.cat([world[..., :1, :, :], local[..., 1:, :, :]], dim=-3)


def _part_frames(points: Float[Tensor, "*batch L 3"]) -> Float[Tensor, "*batch 24 3 3"]:
    """Orientation of the part that each joint moves, as columns (left, up, forward) in a T pose."""
    at = points.unbind(dim=-2)
    hips, shoulders = (at[23] + at[24]) / 2, (at[11] + at[12]) / 2
    pelvis = _frame(at[23] - at[24], shoulders - hips)
    chest = _frame(at[11] - at[12], shoulders - hips)
    ears = (at[_LEFT_EAR] + at[_RIGHT_EAR]) / 2
    across = at[_LEFT_EAR] - at[_RIGHT_EAR]
    head = _frame(across, torch.linalg.cross(at[_NOSE] - ears, across, dim=-1))
    parts: list[Tensor] = [chest] * 24
    parts[0], parts[3], parts[15] = pelvis, pelvis, head
    for side in (_LEFT, _RIGHT):
        parts[1 + side.first_joint : 12 : 3] = _leg_frames(at, side, pelvis)
        parts[16 + side.first_joint :: 2] = _arm_frames(at, side, chest)
    return torch.stack(parts, dim=-3)


def _leg_frames(at: tuple[Tensor, ...], side: Side, pelvis: Tensor) -> list[Tensor]:
    """Thigh, shank, foot, toes. The knee bends about the leg's x axis."""
    thigh, shank = normalize(at[side.knee] - at[side.hip], dim=-1), normalize(at[side.ankle] - at[side.knee], dim=-1)
    forward = normalize(at[side.toe] - at[side.heel], dim=-1)
    foot_left = torch.linalg.cross(-shank, forward, dim=-1)
    straight = normalize(_reject(foot_left + 0.5 * pelvis[..., :, 0], shank), dim=-1)
    axis = _bend_axis(torch.linalg.cross(thigh, shank, dim=-1), straight)
    foot = _frame(torch.linalg.cross(-shank, forward, dim=-1), torch.linalg.cross(forward, foot_left, dim=-1))
    return [_frame_along(-thigh, axis), _frame_along(-shank, axis), foot, foot]


def _arm_frames(at: tuple[Tensor, ...], side: Side, chest: Tensor) -> list[Tensor]:
    """Upper arm, forearm, wrist, hand. The elbow bends about the arm's y axis."""
    upper = normalize(at[side.elbow] - at[side.shoulder], dim=-1)
    lower = normalize(at[side.wrist] - at[side.elbow], dim=-1)
    # The y axis of the chest after the shortest turn from its x axis to the upper arm.
    out = side.sign * chest[..., :, 0]
    middle = normalize(out + upper, dim=-1)
    up = chest[..., :, 1]
    swung = up - 2 * (up * middle).sum(-1, keepdim=True) * middle
    swung = swung - 2 * (swung * upper).sum(-1, keepdim=True) * upper
    straight = normalize(_reject(swung, upper), dim=-1)
    axis = _bend_axis(torch.linalg.cross(lower, upper, dim=-1) * side.sign, straight)
    palm = (at[side.pinky] + at[side.index_finger]) / 2 - at[side.wrist]
    knuckles = at[side.index_finger] - at[side.pinky]
    normal = torch.linalg.cross(palm, knuckles, dim=-1) * -side.sign
    hand = _frame(side.sign * palm, normal)
    return [_frame(side.sign * upper, axis), _frame(side.sign * lower, axis), hand, hand]


def _bend_axis(bend: Float[Tensor, "*batch 3"], straight: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """The measured axis where the joint is bent, the fallback where it is straight or bent against its nature."""
    amount = bend.norm(dim=-1, keepdim=True)
    level = ((amount - _STRAIGHT) / (_BENT - _STRAIGHT)).clamp(0, 1)
    natural = (bend * straight).sum(-1, keepdim=True) > -0.3 * amount
    return normalize(torch.lerp(straight, normalize(bend, dim=-1), level * natural), dim=-1)


def _frame(x: Float[Tensor, "*batch 3"], y: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Right-handed frame with the first axis exact and the second as near as it can be."""
    x = normalize(x, dim=-1)
    y = normalize(_reject(y, x), dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y, dim=-1)], dim=-1)


def _frame_along(y: Float[Tensor, "*batch 3"], x: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Right-handed frame with the second axis exact and the first as near as it can be."""
    y = normalize(y, dim=-1)
    x = normalize(_reject(x, y), dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y, dim=-1)], dim=-1)


def _reject(vector: Float[Tensor, "*batch 3"], unit: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """The part of a vector that is perpendicular to a unit vector."""
    return vector - (vector * unit).sum(-1, keepdim=True) * unit


def _between(start: Tensor, end: Tensor, fractions: tuple[float, ...]) -> list[Float[Tensor, "*batch 1 3 3"]]:
    """Rotations on the shortest way from one to another, with an axis for joints."""
    turn = matrix_to_axis_angle(start.transpose(-1, -2) @ end)
    return [(start @ axis_angle_to_matrix(turn * fraction))[..., None, :, :] for fraction in fractions]
