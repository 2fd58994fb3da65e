"""Which way is up by all that tell it: people, surfaces, a floor, and how cameras are held."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from unish.geometry.plane import span_tangents
from unish.geometry.robust import CAUCHY_SCALE

ROLL_SIGMA, PITCH_SIGMA = math.radians(5.0), math.radians(25.0)
"""1σ of how people hold cameras. Those of ``scene_gravity`` are wider: there they only part floors from walls."""

HELD_SCALE = 1.0
"""As ``CAUCHY_SCALE``, of cameras: a few are rolled by anything, on tripods of laboratories too."""

_GRID = 5
_SHRINK = 0.5
_LEVELS = 12
"""Around the best direction of a grid a finer one is laid, so many times; the last one's step is .01 degrees."""

_FIRST_STEP = math.radians(20.0)


@dataclass(frozen=True, kw_only=True)
class UpDirection:
    """What one source says, or what several come to.

    Attributes:
        up: (3,) unit vector against gravity, world of the shot.
        sigma: 1σ of its direction along either tangent, radians; of several, along the one that is known least.
        misfit: Σ ρ of several (``join_directions``).
    """

    up: Float[Tensor, "3"]
    sigma: float
    misfit: float = 0.0


def join_directions(told: Sequence[UpDirection], cameras: Float[Tensor, "F 4 4"]) -> UpDirection:
    """The direction with the smallest Σ ρ(angle/σ), ρ(r) = c² log(1 + r²/c²) (Cauchy), over what is told and the mean
    over cameras of their roll and pitch: what is far from all others hardly counts.

    The search begins at the best of what is told and the mean camera's own up, and looks 40 degrees around it, ever
    more finely.

    Args:
        told: at least one.
        cameras: camera to world, x right, y down.
    """
    ups = torch.stack([one.up.double() for one in told])
    sigmas = torch.tensor([one.sigma for one in told], dtype=torch.float64)
    axes = cameras[:, :3, :3].double()
    level = normalize(-axes[:, :, 1].mean(0), dim=0)
    starts = torch.cat([ups, level[None]]) if bool(level.isfinite().all()) else ups
    best = starts[_measure_misfit(starts, ups, sigmas, axes).argmin()]
    step = _FIRST_STEP
    for _ in range(_LEVELS):
        best = _look_around(best, step, ups, sigmas, axes)
        step *= _SHRINK
    misfit = float(_measure_misfit(best[None], ups, sigmas, axes))
    return UpDirection(up=best.to(told[0].up), sigma=_find_sigma(best, ups, sigmas, axes), misfit=misfit)


def measure_hold(
    up: Float[Tensor, "M 3"], axes: Float[Tensor, "F 3 3"]
) -> tuple[Float[Tensor, "M F"], Float[Tensor, "M F"]]:
    """Roll and pitch (up is positive) of cameras if this is up, radians; the roll fades where a camera looks along it.

    Args:
        axes: right, down and ahead of each camera as columns, world.
    """
    right, down, ahead = (up @ axes[:, :, axis].mT for axis in range(3))
    level = (1 - ahead.square()).clamp_min(0).sqrt()
    return torch.atan2(right, -down) * level, torch.asin(ahead.clamp(-1, 1))


def _measure_misfit(
    up: Float[Tensor, "M 3"], ups: Float[Tensor, "K 3"], sigmas: Float[Tensor, "K"], axes: Float[Tensor, "F 3 3"]
) -> Float[Tensor, "M"]:
    angles = torch.acos((up @ ups.mT).clamp(-1, 1))
    roll, pitch = measure_hold(up, axes)
    held = _fade(roll / ROLL_SIGMA, HELD_SCALE).mean(1) + _fade(pitch / PITCH_SIGMA, HELD_SCALE).mean(1)
    return _fade(angles / sigmas, CAUCHY_SCALE).sum(1) + held


def _fade(residual: Float[Tensor, "*shape"], scale: float) -> Float[Tensor, "*shape"]:
    """Squares that grow ever more slowly beyond the scale."""
    return scale**2 * (residual / scale).square().log1p()


def _look_around(
    best: Float[Tensor, "3"],
    step: float,
    ups: Float[Tensor, "K 3"],
    sigmas: Float[Tensor, "K"],
    axes: Float[Tensor, "F 3 3"],
) -> Float[Tensor, "3"]:
    """The best direction of a grid around one, ``step`` radians apart; that one itself where none is better."""
    offsets = math.tan(step) * torch.arange(-(_GRID // 2), _GRID // 2 + 1, dtype=torch.float64)
    around = torch.cartesian_prod(offsets, offsets) @ span_tangents(best)
    tried = torch.cat([best[None], normalize(best + around, dim=-1)])
    return tried[_measure_misfit(tried, ups, sigmas, axes).argmin()]


def _find_sigma(
    up: Float[Tensor, "3"], ups: Float[Tensor, "K 3"], sigmas: Float[Tensor, "K"], axes: Float[Tensor, "F 3 3"]
) -> float:
    """From the information of all, each as much as it counts, along the tangent of which there is least."""

    def count(residual: Float[Tensor, "*shape"], scale: float = CAUCHY_SCALE) -> Float[Tensor, "*shape"]:
        return 1 / (1 + (residual / scale).square())

    tangents = span_tangents(up)
    angles = torch.acos((ups @ up).clamp(-1, 1))
    information = (count(angles / sigmas) / sigmas.square()).sum() * torch.eye(2, dtype=up.dtype)
    for angle, sigma, axis in zip(measure_hold(up[None], axes), (ROLL_SIGMA, PITCH_SIGMA), (0, 2), strict=True):
        along = axes[:, :, axis] @ tangents.mT
        information += (count(angle[0] / sigma, HELD_SCALE) / sigma**2)[:, None].mul(along).mT @ along / len(axes)
    return float(torch.linalg.eigvalsh(information)[0].rsqrt())
