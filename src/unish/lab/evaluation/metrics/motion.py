"""Quality of motion: acceleration, jitter, sliding feet, all in units that do not change with the frame rate.

Frames are evenly timed, ``fps`` per second. A difference counts when all of its frames are ``valid`` (by default all
are) and hold no NaN, so it never reaches across a gap. NaN where nothing counts: too few frames, nobody valid.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unish.body import Body
from unish.errors import InputError

SMPL_FOOT_VERTICES = (3216, 3387, 6617, 6787)
"""Under the toes and the heel of the left and of the right foot, on SMPL's 6890 vertices, as WHAM scores them."""

FOOT_CONTACTS = ("left_toe", "left_heel", "right_toe", "right_heel")
"""The contact regions of a ``Body`` that stand for them on any other."""

PUBLISHED_FPS = 30.0
"""Frames per second behind the field's numbers "per frame"."""


def acceleration_error(
    predicted: Float[Tensor, "*batch T N 3"],
    true: Float[Tensor, "*batch T N 3"],
    *,
    fps: float,
    valid: Bool[Tensor, "*batch T"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Accel, m/s²: mean length of the difference of the second differences × fps². Input root-aligned, metres."""
    return _mean_of_differences(predicted.double() - true.double(), valid, order=2) * _check_rate(fps) ** 2


def jitter(
    joints: Float[Tensor, "*batch T N 3"], *, fps: float, valid: Bool[Tensor, "*batch T"] | None = None
) -> Float[Tensor, "*batch"]:
    """Mean length of the third difference × fps³ ÷ 10, in 10 m/s³ (WHAM: 24 joints in the world).

    Needs no truth: lower is smoother, not better.
    """
    return _mean_of_differences(joints.double(), valid, order=3) * _check_rate(fps) ** 3 / 10


def foot_points(vertices: Float[Tensor, "*batch V 3"], body: Body) -> Float[Tensor, "*batch 4 3"]:
    """Left toe, left heel, right toe, right heel of posed vertices: what slides and what stands.

    SMPL's own mesh has the four vertices of the field; any other body the middle of its contact region of that name.

    Raises:
        InputError: vertices of another body, or a body without these regions.
    """
    if vertices.shape[-2] != body.num_vertices:
        raise InputError(f"{vertices.shape[-2]} vertices were posed, {body.name} has {body.num_vertices}; use one body")
    if body.num_vertices == 6890:
        return vertices[..., list(SMPL_FOOT_VERTICES), :]
    missing = [name for name in FOOT_CONTACTS if name not in body.contact_vertices]
    if missing:
        raise InputError(f"the body {body.name} has no contact regions {', '.join(missing)}; use one that has")
    return torch.stack([vertices[..., body.contact_vertices[name], :].mean(-2) for name in FOOT_CONTACTS], -2)


def foot_sliding(
    predicted_contacts: Float[Tensor, "*batch T C 3"],
    true_contacts: Float[Tensor, "*batch T C 3"],
    *,
    fps: float = PUBLISHED_FPS,
    resting_mm: float = 10.0,
    valid: Bool[Tensor, "*batch T"] | None = None,
    touching: Bool[Tensor, "*batch T C"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Mean movement, mm per frame at 30 frames per second, of predicted foot points while the true ones rest.

    A foot rests while the true point moves less than ``resting_mm`` per frame (WHAM: a centimetre). Other rates are
    converted (``fps`` ÷ 30), the threshold too, so a movement of so many m/s scores the same at any rate. Where the
    truth knows its contacts, ``touching`` restricts to pairs of frames that both touch. NaN when no foot ever rests.

    Args:
        predicted_contacts, true_contacts: see ``foot_points``; metres, world.
    """
    to_published = 1000 * _check_rate(fps) / PUBLISHED_FPS
    true_moved = to_published * true_contacts.double().diff(dim=-3).norm(dim=-1)
    moved = to_published * predicted_contacts.double().diff(dim=-3).norm(dim=-1)
    resting = (true_moved < resting_mm) & moved.isfinite()
    if valid is not None:
        resting = resting & (valid[..., 1:] & valid[..., :-1])[..., None]
    if touching is not None:
        resting = resting & touching[..., 1:, :] & touching[..., :-1, :]
    number = resting.sum((-2, -1))
    mean = torch.where(resting, moved, 0.0).sum((-2, -1)) / number.clamp_min(1)
    return torch.where(number > 0, mean, torch.nan)


def _mean_of_differences(
    values: Float[Tensor, "*batch T N 3"], valid: Bool[Tensor, "*batch T"] | None, *, order: int
) -> Float[Tensor, "*batch"]:
    """Mean length over joints of the differences whose frames all count."""
    length = values.diff(n=order, dim=-3).norm(dim=-1).mean(-1)
    counted = length.isfinite()
    if valid is not None:
        for shift in range(order + 1):
            counted = counted & valid[..., shift : shift + counted.shape[-1]]
    number = counted.sum(-1)
    mean = torch.where(counted, length, 0.0).sum(-1) / number.clamp_min(1)
    return torch.where(number > 0, mean, torch.nan)


def _check_rate(fps: float) -> float:
    if not fps > 0:
        raise InputError(f"a frame rate of {fps} was given; use frames per second above 0")
    return fps
