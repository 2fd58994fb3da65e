"""The record of a motion and what can be done to one without knowing where it came from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import roma
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from unish.body.joints import MIRRORED_JOINTS


@dataclass(frozen=True, kw_only=True)
class Motion:
    """Poses over time and the path of the pelvis over a floor.

    World: metres, **y up, floor at y = 0**; a person with the identity ``global_orient`` faces +z and has the left side
    at +x. (OpenCV cameras have y down: rotate by 180° about x, or use a look-at camera, when placing one.) Rotations
    are relative to SMPL's T-shaped rest pose.

    Attributes:
        timestamps_s: (N,) seconds, increasing.
        global_orient: (N, 3, 3) rotation of the pelvis, body → world.
        body_pose: (N, 23, 3, 3) rotation of each further SMPL joint relative to its parent.
        root: (N, 3) pelvis joint in the world for the nominal adult skeleton; for another body: ``ground_motion``.
        name: what moves here, for messages.
    """

    timestamps_s: Float64[Tensor, "N"]
    global_orient: Float[Tensor, "N 3 3"]
    body_pose: Float[Tensor, "N 23 3 3"]
    root: Float[Tensor, "N 3"]
    name: str = "motion"

    @property
    def num_frames(self) -> int:
        return int(self.root.shape[0])

    @property
    def duration_s(self) -> float:
        return float(self.timestamps_s[-1] - self.timestamps_s[0])

    @property
    def rotations(self) -> Float[Tensor, "N 24 3 3"]:
        """All 24 rotations, root first."""
        return torch.cat([self.global_orient[:, None], self.body_pose], dim=1)


def mirror_motion(motion: Motion) -> Motion:
    """The motion in a mirror that swaps left and right (x → −x)."""
    flip = torch.tensor([-1.0, 1.0, 1.0])
    rotations = motion.rotations[:, list(MIRRORED_JOINTS)] * (flip[:, None] * flip)
    return replace(motion, global_orient=rotations[:, 0], body_pose=rotations[:, 1:], root=motion.root * flip)


def turn_motion(motion: Motion, yaw: float) -> Motion:
    """The motion turned about the vertical through the origin by ``yaw`` radians (positive: to the person's left)."""
    turn = roma.rotvec_to_rotmat(torch.tensor([0.0, yaw, 0.0], dtype=motion.root.dtype))
    return replace(motion, global_orient=turn @ motion.global_orient, root=motion.root @ turn.T)


def resample_motion(motion: Motion, timestamps_s: Float64[Tensor, "M"]) -> Motion:
    """The motion at other times: shortest-arc interpolation of rotations, linear path; the ends are held outside."""
    if motion.num_frames == 1:
        index = torch.zeros(len(timestamps_s), dtype=torch.long)
        return replace(
            motion, timestamps_s=timestamps_s, global_orient=motion.global_orient[index],
            body_pose=motion.body_pose[index], root=motion.root[index],
        )  # fmt: skip
    clamped = timestamps_s.clamp(motion.timestamps_s[0], motion.timestamps_s[-1])
    after = torch.searchsorted(motion.timestamps_s, clamped).clamp(1, motion.num_frames - 1)
    span = motion.timestamps_s[after] - motion.timestamps_s[after - 1]
    weight = ((clamped - motion.timestamps_s[after - 1]) / span).to(motion.root)
    start, end = motion.rotations[after - 1], motion.rotations[after]
    step = roma.rotmat_to_rotvec(start.transpose(-1, -2) @ end)
    rotations = start @ roma.rotvec_to_rotmat(step * weight[:, None, None])
    root = torch.lerp(motion.root[after - 1], motion.root[after], weight[:, None])
    return replace(
        motion, timestamps_s=timestamps_s, global_orient=rotations[:, 0], body_pose=rotations[:, 1:], root=root
    )
