"""When a part of the body touches the floor: it is low, and it stays where it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from unish.body import Body, pick_vertices
from unish.lab.synthetic.motion.points import pose_points
from unish.lab.synthetic.motion.record import Motion, resample_motion

LOW = 0.02
"""Metres above the floor below which a contact vertex may touch it."""
STILL = 0.03
"""Metres per second below which it does, if it is low: 5 mm from one frame to the next at 6 frames per second."""
_SPAN_S = 1 / 60


@dataclass(frozen=True, kw_only=True)
class ContactBody:
    """A body of its contact vertices alone, with the slice of each of its contact regions in their order."""

    body: Body
    regions: tuple[slice, ...]

    @classmethod
    def of(cls, body: Body) -> ContactBody:
        groups = list(body.contact_vertices.values())
        ends = np.cumsum([0, *map(len, groups)])
        regions = tuple(slice(int(start), int(stop)) for start, stop in pairwise(ends))
        return cls(body=pick_vertices(body, torch.cat(groups)), regions=regions)


def sample_with_contacts(
    contact: ContactBody, betas: Float[Tensor, "10"], motion: Motion, timestamps_s: Float[Tensor, "N"]
) -> tuple[Motion, Bool[ndarray, "N C"]]:
    """The motion at these times, and which contact regions touch the floor (y = 0) then.

    A region touches where its lowest vertex is lower than ``LOW`` and slower than ``STILL``, measured over a sixtieth
    of a second around the time, whatever the frame rate of a clip.

    Args:
        motion: as ``ground_motion`` gives it for this body, densely sampled.
    """
    moments = torch.cat([timestamps_s + shift for shift in (-_SPAN_S / 2, 0.0, _SPAN_S / 2)])
    order = moments.argsort()
    dense, place = resample_motion(motion, moments[order]), order.argsort()
    posed = pose_points(contact.body, betas, dense).numpy()
    before, points, after = posed[place.numpy()].reshape(3, len(timestamps_s), -1, 3)
    frames = np.arange(len(points))
    touching = []
    for region in contact.regions:
        lowest = points[:, region, 1].argmin(axis=1) + region.start
        speed = np.linalg.norm(after[frames, lowest] - before[frames, lowest], axis=1) / _SPAN_S
        touching.append((points[frames, lowest, 1] < LOW) & (speed < STILL))
    own = place[len(timestamps_s) : 2 * len(timestamps_s)]
    sampled = replace(
        dense, timestamps_s=timestamps_s, global_orient=dense.global_orient[own], body_pose=dense.body_pose[own],
        root=dense.root[own],
    )  # fmt: skip
    return sampled, np.stack(touching, axis=1)
