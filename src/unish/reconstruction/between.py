"""People and cameras are wanted more often than depth: what lies between the frames that the scene branch has seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy import ndarray
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, RotationSpline
from torch import Tensor

from unish.geometry.rigid import make_rigid
from unish.geometry.rotation import nearest_rotation
from unish.reconstruction.stitch import Shot, scale_cameras


@dataclass(frozen=True, kw_only=True)
class CamerasBetween:
    """What the pictures say of the T cameras of a shot that lie between those of dense frames.

    Attributes:
        relative: from the camera of a frame to that of the dense frame before it, and to that of the one after, in the
            unit of a window.
        known: which of these were measured.
        window: number of that window.
    """

    relative: Float[Tensor, "T 2 4 4"]
    known: Bool[Tensor, "T 2"]
    window: Int64[Tensor, "T"]

    @classmethod
    def unknown(cls, num_frames: int) -> CamerasBetween:
        """Nothing was measured."""
        return cls(
            relative=torch.eye(4).repeat(num_frames, 2, 1, 1),
            known=torch.zeros(num_frames, 2, dtype=torch.bool),
            window=torch.zeros(num_frames, dtype=torch.int64),
        )


def fill_between(
    shot: Shot,
    dense: Int64[Tensor, "D"],
    timestamps_s: Float[Tensor, "T"],
    rotations: Float[Tensor, "P T 24 3 3"] | None,
    betas: Float[Tensor, "P 10"] | None,
    between: CamerasBetween | None = None,
) -> Shot:
    """The shot with people and cameras of all its T frames; depth stays that of the ``dense`` ones.

    A camera between is the one that was measured; where none was, it lies on a smooth curve.

    Args:
        shot: of the dense frames alone.
        timestamps_s: increasing, of all frames.
        rotations, betas: of the people, read in all frames; ``None`` without people.
        between: what was measured; of no use where the camera stood still.
    """
    times = timestamps_s.double().numpy()
    known = times[dense.numpy()]
    transl = None
    if shot.transl is not None:
        transl = torch.stack([interpolate_points(known, person, times) for person in shot.transl])
    c2w = torch.eye(4).repeat(len(times), 1, 1) if shot.still else interpolate_cameras(known, shot.c2w, times)
    measured = None
    if between is not None and not shot.still:
        c2w, measured = place_measured(shot, c2w, dense, times, between), between.known.any(-1)
    intrinsics = interpolate_intrinsics(known, shot.intrinsics, times)
    return replace(
        shot, dense=dense, c2w=c2w, intrinsics=intrinsics, rotations=rotations, betas=betas, transl=transl,
        measured=measured,
    )  # fmt: skip


def place_measured(
    shot: Shot,
    c2w: Float[Tensor, "T 4 4"],
    dense: Int64[Tensor, "D"],
    times_s: Float[ndarray, "T"],
    between: CamerasBetween,
) -> Float[Tensor, "T 4 4"]:
    """The cameras, those that were measured in their places: by both dense frames, each with more weight the nearer.

    A camera that only turns from one dense frame to the next goes nowhere between.

    Args:
        shot: of the dense frames alone.
    """
    frames = between.known.any(-1).nonzero()[:, 0]
    if not len(frames):
        return c2w
    after = torch.searchsorted(dense, frames)
    ends = torch.stack([after - 1, after], -1)
    units = torch.tensor(shot.units)[between.window[frames], None].expand(-1, 2)
    told = shot.c2w[ends] @ scale_cameras(between.relative[frames], units)
    times = torch.from_numpy(times_s)
    start, stop = times[dense[ends]].unbind(-1)
    share = ((times[frames] - start) / (stop - start)).to(c2w)
    weights = torch.stack([1 - share, share], -1) * between.known[frames]
    weights = weights / weights.sum(-1, keepdim=True)
    turn = nearest_rotation((told[..., :3, :3] * weights[..., None, None]).sum(1))
    place = (told[..., :3, 3] * weights[..., None]).sum(1)
    stays = (shot.c2w[ends[:, 0], :3, 3] == shot.c2w[ends[:, 1], :3, 3]).all(-1)
    place = torch.where(stays[:, None], shot.c2w[ends[:, 0], :3, 3], place)
    return c2w.index_copy(0, frames, make_rigid(turn, place))


def interpolate_cameras(
    known_s: Float[ndarray, "D"], c2w: Float[Tensor, "D 4 4"], times_s: Float[ndarray, "T"]
) -> Float[Tensor, "T 4 4"]:
    """Cameras at other times: cubic splines through places and rotations; to the bit those that are known.

    A hand that holds a camera accelerates smoothly, which a straight line between two frames does not.
    """
    if len(known_s) == 1:
        return c2w.repeat(len(times_s), 1, 1)
    places = c2w[:, :3, 3].double().numpy()
    natural = CubicSpline(known_s, places, bc_type="natural")(times_s)
    turns = RotationSpline(known_s, Rotation.from_matrix(c2w[:, :3, :3].double().numpy()))(times_s).as_matrix()
    found = make_rigid(torch.from_numpy(turns), torch.from_numpy(natural)).to(c2w)
    same = np.searchsorted(times_s, known_s)
    found[torch.from_numpy(same)] = c2w
    return found


def interpolate_intrinsics(
    known_s: Float[ndarray, "D"], intrinsics: Float[Tensor, "D 3 3"], times_s: Float[ndarray, "T"]
) -> Float[Tensor, "T 3 3"]:
    """Focal lengths on straight lines between two frames; what is the same in all frames stays, to the bit."""
    if bool((intrinsics == intrinsics[:1]).all()):
        return intrinsics[:1].repeat(len(times_s), 1, 1)
    numbers = intrinsics.flatten(1).double().numpy().T
    lines = np.stack([np.interp(times_s, known_s, number) for number in numbers], -1)
    return torch.from_numpy(lines).to(intrinsics).unflatten(1, (3, 3))


def interpolate_points(
    known_s: Float[ndarray, "D"], points: Float[Tensor, "D 3"], times_s: Float[ndarray, "T"]
) -> Float[Tensor, "T 3"]:
    """Straight lines between the frames with finite points; NaN beyond the first and the last of them."""
    finite = torch.isfinite(points).all(-1).numpy()
    if not finite.any():
        return points.new_full((len(times_s), 3), torch.nan)
    lines = [
        np.interp(times_s, known_s[finite], axis[finite], left=np.nan, right=np.nan)
        for axis in points.double().numpy().T
    ]
    return torch.from_numpy(np.stack(lines, -1)).to(points)


def interpolate_values(values: Float[Tensor, "P T"], times_s: Float[ndarray, "T"]) -> Float[Tensor, "P T"]:
    """NaN between two finite values of a person on straight lines, and beyond them the nearest value."""
    filled = values.clone()
    for row, own in zip(filled, values, strict=True):
        finite = torch.isfinite(own).numpy()
        if finite.any():
            row[:] = torch.from_numpy(np.interp(times_s, times_s[finite], own[finite].double().numpy())).to(values)
    return filled


def is_near_in_time(known: Bool[Tensor, "P T"], times_s: Float[Tensor, "T"], *, within_s: float) -> Bool[Tensor, "P T"]:
    """Frames no farther than ``within_s`` from a known one of the same person."""
    before = torch.where(known, times_s, -torch.inf).cummax(dim=1).values
    after = torch.where(known, times_s, torch.inf).flip(1).cummin(dim=1).values.flip(1)
    return torch.minimum(times_s - before, after - times_s) <= within_s
