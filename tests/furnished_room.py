"""A room with pictures on every wall, seen by cameras whose every number is known: exact images and depth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unish.geometry.camera import make_intrinsics, pixel_grid
from unish.geometry.rigid import exp_twist, invert_rigid
from unish.geometry.rotation import rotation_angle

HALF = torch.tensor([2.5, 1.5, 4.0])
"""Half the room's width, height and length, metres; the world's origin is its middle."""

BOXES = (
    ((-1.2, 0.3, 1.6), (-0.3, 1.5, 2.2)),
    ((0.6, -1.5, 2.0), (1.0, 1.5, 2.4)),
    ((0.1, 0.7, 2.6), (1.9, 1.5, 3.4)),
    ((-2.1, -0.9, 3.2), (-1.5, 0.1, 4.0)),
)
"""Two corners of each thing in the room, so that depth has edges."""

LOOKS_RIGHT = 0.35
"""Radians by which a camera at rest looks to the right of the far wall."""

_PIXELS_PER_M = 90


@dataclass(frozen=True, kw_only=True)
class RoomClip:
    """Attributes:
    images: (N, 3, H, W) in [0, 1].
    depth: (N, H, W) metres.
    w2c: (N, 4, 4), the first is the identity.
    intrinsics: (N, 3, 3).
    """

    images: Tensor
    depth: Tensor
    w2c: Tensor
    intrinsics: Tensor


def walk(num_frames: int, *, step: tuple[float, float, float] = (0.08, 0.01, 0.05), turn: float = 0.02) -> Tensor:
    """Twists of cameras that go on by ``step`` and turn by ``turn`` (radians, about y) from frame to frame."""
    twists = torch.zeros(num_frames, 6)
    twists[:, :3] = torch.tensor(step) * torch.arange(num_frames)[:, None]
    twists[:, 4] = turn * torch.arange(num_frames)
    return twists


def film_room(
    twists: Tensor, *, size: tuple[int, int] = (240, 320), focal: float | list[float] = 270.0, noise: float = 0.01
) -> RoomClip:
    """The room from every camera; ``twists`` move a camera that stands in its middle and looks along z."""
    num_frames = len(twists)
    looking = exp_twist(torch.tensor([0.0, 0.0, 0.0, 0.0, -LOOKS_RIGHT, 0.0]))
    w2c = exp_twist(twists) @ looking
    c2w = invert_rigid(w2c)
    focals = torch.tensor([focal] * num_frames if isinstance(focal, float) else focal)
    intrinsics = make_intrinsics(focals, *size)
    rays = functional.pad(pixel_grid(*size, like=intrinsics), (0, 1), value=1.0)
    rays = torch.einsum("nik,nkj,hwj->nhwi", c2w[:, :3, :3], torch.linalg.inv(intrinsics), rays)
    origin = c2w[:, None, None, :3, 3].expand_as(rays)
    ahead = torch.where(rays.abs() > 1e-9, rays, 1e-9)
    to_walls = torch.maximum((HALF - origin) / ahead, (-HALF - origin) / ahead)
    depth, axis = to_walls.min(-1)
    for number, corners in enumerate(torch.tensor(BOXES)):
        sides = torch.stack([(corner - origin) / ahead for corner in corners])
        enter, enter_axis = sides.amin(0).max(-1)
        hit = (enter < sides.amax(0).min(-1).values) & (enter > 0) & (enter < depth)
        depth, axis = torch.where(hit, enter, depth), torch.where(hit, 3 * (number + 1) + enter_axis, axis)
    points = origin + depth[..., None] * rays
    images = _paint(points, axis, rays)
    generator = torch.Generator().manual_seed(11)
    images = (images + noise * torch.randn(images.shape, generator=generator)).clamp(0, 1)
    return RoomClip(images=images, depth=depth, w2c=w2c @ invert_rigid(w2c[:1]), intrinsics=intrinsics)


def _paint(points: Tensor, axis: Tensor, rays: Tensor) -> Tensor:
    """Colours of places on walls: every side of every thing has a picture of its own."""
    images = torch.zeros(len(points), 3, *points.shape[1:3])
    for thing, along, ahead in product(range(len(BOXES) + 1), range(3), (False, True)):
        shown = (axis == 3 * thing + along) & ((rays[..., along] > 0) == ahead)
        if not shown.any():
            continue
        place = points[..., [k for k in range(3) if k != along]] / HALF.max()
        picture = _make_picture(6 * thing + 2 * along + ahead).expand(len(points), -1, -1, -1)
        colours = functional.grid_sample(picture, place, align_corners=False, mode="bilinear")
        images = torch.where(shown[:, None], colours, images)
    return images


@lru_cache
def _make_picture(seed: int) -> Tensor:
    """Blots of many sizes, as a wallpaper of (1, 3, S, S)."""
    rng, side = np.random.default_rng(seed), round(2 * float(HALF.max()) * _PIXELS_PER_M)
    picture = torch.zeros(1, 3, side, side)
    for cells in (8, 20, 50, 110):
        blots = torch.from_numpy(rng.normal(size=(1, 3, cells, cells))).float()
        picture += functional.interpolate(blots, (side, side), mode="bicubic", align_corners=False)
    return (0.5 + 0.12 * picture).clamp(0, 1)


def bend(depth: torch.Tensor, *, seed: int = 0) -> torch.Tensor:
    """Depth as a network might see it: a slope, a curve, another scale in every frame."""
    generator = torch.Generator().manual_seed(seed)
    height, width = depth.shape[-2:]
    x, y = torch.linspace(-1, 1, width), torch.linspace(-1, 1, height)[:, None]
    scale = 0.08 * torch.randn(len(depth), 1, 1, generator=generator)
    return depth * torch.exp(0.12 * x + 0.1 * y * y - 0.08 * depth.log() + scale)


def turn_errors(found: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Degrees between rotations of w2c."""
    return rotation_angle(found[:, :3, :3] @ true[:, :3, :3].mT).rad2deg()
