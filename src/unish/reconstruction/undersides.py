"""The undersides of bodies: the lowest point of each part, which does not go through the ground.

Legend: P people, S people or pieces of people, N frames of each, K = 24 joints, each of which carries a part.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from unish.body import Body
from unish.body.landmark_jacobian import differentiate_parts
from unish.body.pose_rows import Poses
from unish.reconstruction.shot import MetricShot
from unish.structs import BodyParams

SUNK_M = 0.01
"""Under the ground, from which on a part is lifted: the ground is known no better."""

SIGMA_M, SCALE_M = 0.008, 0.1
"""1σ of the height that a part may not go below, and depth at which the pull counts half: what is much deeper is not
where the ground was found to be, or the ground is not."""

_BLOCK = 256
"""Bodies that are posed at once."""


@dataclass(frozen=True, kw_only=True)
class Undersides:
    """The lowest point of each part of S bodies, as they were found.

    Attributes:
        offsets: of the point from the part's joint, in the joint's axes, metres.
        ground: height over the floor, metres, below which nothing of a body may be: that of the floor, or of the
            lowest of what is under its feet.
        floor: of the shot, n·x + d = 0, n up.
    """

    offsets: Float[Tensor, "S N K 3"]
    ground: Float[Tensor, "S N"]
    floor: Float[Tensor, "4"]

    def pick(self, at: tuple[Int64[Tensor, "S N"], Int64[Tensor, "S N"]], known: Bool[Tensor, "S N"]) -> Undersides:
        """Pieces, by person and frame, in double precision; frames that are not ``known`` have no ground."""
        ground = torch.where(known, self.ground[at].double(), -torch.inf)
        return Undersides(offsets=self.offsets[at].double(), ground=ground, floor=self.floor.double())


def find_undersides(
    shot: MetricShot,
    floor: Float[Tensor, "4"],
    solved: Bool[Tensor, "P T"],
    body: Body,
    support: Float[Tensor, "P T 4"] | None = None,
) -> Undersides:
    """Of everybody in the frames that are ``solved``; others have no ground.

    Args:
        support: height over the floor, metres, of what is under heels and toes; ``None``: the floor.
    """
    ground = torch.zeros(solved.shape) if support is None else support.nan_to_num(0.0).amin(-1).clamp_max(0.0)
    ground = torch.where(solved, ground, -torch.inf)
    carrier = body.skin_weights.argmax(dim=-1)
    parts = [(carrier == joint).nonzero()[:, 0] for joint in range(body.skin_weights.shape[1])]
    offsets = torch.zeros(*solved.shape, len(parts), 3)
    person, frame = solved.nonzero(as_tuple=True)
    for block in torch.arange(len(person)).split(_BLOCK):
        at = (person[block], frame[block])
        params = BodyParams(**{name: value[at] for name, value in vars(shot.params).items()})
        skeleton = body.skeleton(params)
        vertices = body.vertices(params, skeleton)
        height = vertices @ floor[:3]
        lowest = torch.stack([part[height[:, part].argmin(dim=-1)] for part in parts], dim=-1)
        points = vertices[torch.arange(len(block))[:, None], lowest]
        away = points - params.transl[:, None] - skeleton.positions
        offsets[at] = (skeleton.rotations.mT @ away[..., None])[..., 0]
    return Undersides(offsets=offsets, ground=ground, floor=floor)


def sunk_term(
    body: Body, poses: Poses, undersides: Undersides
) -> tuple[Float[Tensor, "S N 75 75"], Float[Tensor, "S N 75"]]:
    """Parts that are more than ``SUNK_M`` under the ground are lifted (see ``body.pose_rows`` for terms)."""
    betas = poses.betas[:, None].expand(-1, poses.position.shape[1], -1)
    points, by_turns = differentiate_parts(body, poses.rotations, betas, undersides.offsets)
    up = undersides.floor[:3]
    height = (points + poses.position[:, :, None]) @ up + undersides.floor[3] - undersides.ground[..., None]
    lift = torch.cat([by_turns.mT @ up, up.expand(*height.shape, 3)], dim=-1)
    depth = (height + SUNK_M).clamp_max(0.0)
    weights = (depth < 0) / (1 + (depth / SCALE_M).square()) / SIGMA_M**2
    weighted = (weights[..., None] * lift).mT
    return weighted @ lift, (weighted @ depth[..., None])[..., 0]
