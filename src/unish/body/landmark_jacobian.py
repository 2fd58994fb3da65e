"""Derivatives of points of a body with respect to its joint rotations and shape, in closed form.

Legend: L = 33 landmarks, K = 24 joints, R = 3·K turns, S shape directions.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from unish.body.joints import PARENTS
from unish.body.model import Body
from unish.body.skinning import apply_shape, chain_joints


def _find_ancestors() -> tuple[tuple[bool, ...], ...]:
    """[k][j]: joint k is j or an ancestor of j, so that it moves whatever j carries."""
    chains: list[set[int]] = []
    for joint, parent in enumerate(PARENTS):
        chains.append({joint} | (chains[parent] if parent >= 0 else set()))
    return tuple(tuple(k in chain for chain in chains) for k in range(len(PARENTS)))


_ANCESTORS = _find_ancestors()


def differentiate_landmarks(
    body: Body, rotations: Float[Tensor, "*batch K 3 3"], betas: Float[Tensor, "*batch S"]
) -> tuple[Float[Tensor, "*batch L 3"], Float[Tensor, "*batch L 3 V"]]:
    """Landmarks around the pelvis joint, and their derivatives.

    A turn w of joint k, R ← R·exp(w), moves every point that hangs on k by (G·w) × (point − joint), where G is the
    joint's global rotation (the geometric Jacobian of a kinematic chain of ball joints). In the betas the points are
    linear: the same chain with the shape directions in place of the rest positions.

    Args:
        body: each of its landmarks is carried by one joint, as ``load_body`` makes them.
        rotations: of every joint relative to its parent, root first, in the axes of the result.
        betas: of ``body``.

    Returns:
        Landmarks in metres, the pelvis joint at the origin; and per landmark and axis the derivatives by V = 3·K + S
        variables: three turns of each joint in radians (about the axes of the turned joint), then the betas.
    """
    carrier = body.landmark_weights.argmax(dim=-1)
    rest = body.rest_joints(betas)
    rest = rest - rest[..., :1, :]
    turned, placed = chain_joints(rest, rotations)
    at_landmark = turned[..., carrier, :, :]
    offset = apply_shape(
        body.landmark_template - body.joint_template[carrier],
        body.landmark_directions - body.joint_directions[carrier],
        betas,
    )
    points = placed[..., carrier, :] + (at_landmark @ offset[..., None])[..., 0]

    by_turns = _differentiate_by_turns(points, carrier, turned, placed)
    above = torch.tensor(_ANCESTORS, device=points.device)
    parents = list(PARENTS[1:])
    bones = turned[..., parents, :, :] @ (body.joint_directions[1:] - body.joint_directions[parents])
    joints_by_betas = above[1:].T.to(bones) @ bones.flatten(-2)
    by_betas = joints_by_betas[..., carrier, :].unflatten(-1, (3, -1)) + at_landmark @ (
        body.landmark_directions - body.joint_directions[carrier]
    )
    return points, torch.cat([by_turns, by_betas], dim=-1)


def differentiate_parts(
    body: Body,
    rotations: Float[Tensor, "*batch K 3 3"],
    betas: Float[Tensor, "*batch S"],
    offsets: Float[Tensor, "*batch K 3"],
) -> tuple[Float[Tensor, "*batch K 3"], Float[Tensor, "*batch K 3 R"]]:
    """A point that each joint carries, around the pelvis joint, and its derivatives by the turns of the joints.

    Args:
        rotations: as in ``differentiate_landmarks``.
        betas: of ``body``; they hold still.
        offsets: of the point from its joint, in the joint's axes, metres.
    """
    rest = body.rest_joints(betas)
    turned, placed = chain_joints(rest - rest[..., :1, :], rotations)
    points = placed + (turned @ offsets[..., None])[..., 0]
    return points, _differentiate_by_turns(points, torch.arange(points.shape[-2]), turned, placed)


def _differentiate_by_turns(
    points: Float[Tensor, "*batch N 3"],
    carrier: Int64[Tensor, "N"],
    turned: Float[Tensor, "*batch K 3 3"],
    placed: Float[Tensor, "*batch K 3"],
) -> Float[Tensor, "*batch N 3 R"]:
    above = torch.tensor(_ANCESTORS, device=points.device)
    arms = (points[..., :, None, :] - placed[..., None, :, :]) * above[:, carrier].T[..., None]
    axes = turned.mT[..., None, :, :, :]  # rows are the axes of each joint
    return torch.linalg.cross(axes, arms[..., None, :], dim=-1).flatten(-3, -2).mT
