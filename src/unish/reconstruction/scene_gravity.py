"""Which way is up by the scene alone: the directions that its surfaces, floors and walls, have most often."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from unish.reconstruction.joint_up import measure_hold
from unish.reconstruction.static_points import StaticPoints

NUM_DIRECTIONS = 3000
"""Directions that are tried, evenly spread over the half space above the camera: 2.6° apart."""

MAX_POINTS, RATED = 4000, 2
"""Points that are asked, and every so many of them where directions are only chosen from."""

KERNEL = math.radians(6.0)
"""1σ of the angle by which a level or upright surface may lean, or be drawn leaning."""

WALL = 0.5
"""What a point on an upright surface counts against one on a level surface that faces up: two directions are upright
surfaces' own, so they agree with many an up."""

CEILING = 0.5
"""The same for level surfaces that face down."""

ROLL_SIGMA, PITCH_SIGMA = math.radians(12.0), math.radians(35.0)
"""Of how people hold cameras. It parts floors from walls, and hardly moves a direction that many surfaces have."""

KERNELS = (KERNEL, KERNEL, KERNEL, KERNEL / 1.5, KERNEL / 1.5, KERNEL / 2, KERNEL / 2, KERNEL / 2)
"""Of the steps that refine it: of a level floor and a ramp in it the one with more points is left at the end."""

MIN_SHARE = 0.1
"""Share of the scene's points by which level surfaces, and upright ones of different directions, have to tell every
tilt of up."""

MIN_POINTS = 200
MIN_SIGMA = math.radians(0.5)
"""1σ of a direction that all surfaces tell exactly."""

ERROR_OVER_SPREAD = 2.0
"""Error of the direction over the spread of the surfaces around it: networks lean whole floors and walls alike."""


@dataclass(frozen=True, kw_only=True)
class SceneUp:
    """What the surfaces of a scene say.

    Attributes:
        up: (3,) unit vector against gravity, world of the shot.
        sigma: 1σ of its direction, radians.
        share: of the scene's points that tell the tilt of ``up`` in the direction in which they tell it least.
    """

    up: Float[Tensor, "3"]
    sigma: float
    share: float


def vote_up(static: StaticPoints) -> SceneUp | None:
    """The direction that most surfaces agree with, which are level or upright; ``None`` where too few tell it.

    A surface agrees by exp(−½ (angle / ``KERNEL``)²), the angle between its normal and up, or for an upright one
    between its normal and the horizontal. Nothing is assumed of how walls stand to one another. The best of many
    directions is refined as the eigenvector that level surfaces are most along and upright ones least.
    """
    if len(static.points) < MIN_POINTS:
        return None
    pick = torch.linspace(0, len(static.points) - 1, min(len(static.points), MAX_POINTS)).long()
    normals, weights = static.normals[pick].double(), static.conf[pick].double()
    candidates = _spread_directions(static.cameras)
    score = _rate(candidates.float() @ normals[::RATED].float().mT) @ weights[::RATED].float()
    up = candidates[(score * _expect(candidates, static.cameras)).argmax()]
    share = 0.0
    for kernel in KERNELS:
        level, ceiling, wall = (part * weights for part in _agree((normals @ up).clamp(-1, 1), kernel))
        level += ceiling
        spread = (normals * (wall - level)[:, None]).mT @ normals / weights.sum()
        values, axes = torch.linalg.eigh(spread)
        up = torch.nn.functional.normalize(axes[:, 0] * torch.sign(axes[:, 0] @ up), dim=0)
        share = max(share, float(values[1] - values[0]))
    if share < MIN_SHARE:
        return None
    # Squared sine of the angle by which each surface is off, along any one direction.
    level, ceiling, wall = (part * weights for part in _agree((normals @ up).clamp(-1, 1), KERNEL))
    level += ceiling
    lean = level * (1 - (normals @ up).square()) / 2 + wall * (normals @ up).square()
    off = math.sqrt(float(lean.sum() / (level + wall).sum()))
    return SceneUp(up=up.float(), sigma=math.hypot(MIN_SIGMA, ERROR_OVER_SPREAD * off), share=share)


def _rate(cosine: Float[Tensor, "M N"]) -> Float[Tensor, "M N"]:
    """What a surface counts for an up, from the cosine of its normal and up: looked up, for there are millions."""
    table = _tabulate(cosine.device)
    return table[((cosine + 1) * (0.5 * (len(table) - 1))).round_().clamp_(0, len(table) - 1).int()]


@lru_cache(maxsize=2)
def _tabulate(device: torch.device) -> Float[Tensor, "K"]:
    """Over cosines from −1 to 1; the angles of neighbours differ by half a degree at most."""
    level, ceiling, wall = _agree(torch.linspace(-1, 1, 1 << 16, dtype=torch.float64), KERNEL)
    return (level + CEILING * ceiling + WALL * wall).float().to(device)


def _agree(cosine: Float[Tensor, "*shape"], kernel: float) -> tuple[Tensor, Tensor, Tensor]:
    """How well surfaces agree with an up, as floor, as ceiling and as wall, from the cosine of normal and up."""
    angle = torch.acos(cosine)
    kernels = [torch.exp(-0.5 * ((angle - at) / kernel).square()) for at in (0.0, math.pi, math.pi / 2)]
    return kernels[0], kernels[1], kernels[2]


def _spread_directions(cameras: Float[Tensor, "F 4 4"]) -> Float[Tensor, "M 3"]:
    """Evenly spread unit vectors (Fibonacci lattice) less than 90° from the cameras' own up."""
    index = torch.arange(2 * NUM_DIRECTIONS, dtype=torch.float64) + 0.5
    height = 1 - index / NUM_DIRECTIONS
    azimuth = math.pi * (1 + math.sqrt(5)) * index
    radius = (1 - height.square()).sqrt()
    sphere = torch.stack([radius * azimuth.cos(), height, radius * azimuth.sin()], dim=-1)
    return sphere[(sphere @ -cameras[:, :3, 1].double().mean(0)) > 0]


def _expect(up: Float[Tensor, "M 3"], cameras: Float[Tensor, "F 4 4"]) -> Float[Tensor, "M"]:
    """How likely cameras are held so that this is up: mean over the looks of two normal distributions, of roll and of
    pitch."""
    roll, pitch = measure_hold(up, cameras[:, :3, :3].double())
    return torch.exp(-0.5 * ((roll / ROLL_SIGMA).square() + (pitch / PITCH_SIGMA).square())).mean(1)
