"""Points of the static scene with their normals: people, sky, edges and doubtful depth left out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from unish.geometry.camera import thin_intrinsics, unproject
from unish.geometry.rigid import transform_points
from unish.geometry.surfaces import dilate, link_neighbours, normals_from_points
from unish.reconstruction.shot import MetricShot, ShotEvidence
from unish.structs import CONFIDENT, FrameTensor

MAX_FRAMES = 16
"""Evenly spread frames that are looked at."""

SIDE = 160
"""Pixels along the long side of the picture, at most: smaller steps only repeat what their neighbours say."""

MAX_DEPTH_M = 40.0
"""What is farther away is too coarse to have a normal, and may be the sky."""

SAME_SURFACE = 0.08
"""Relative step of depth between neighbours on one surface."""

AROUND_PEOPLE = 2
"""Pixels of the thinned picture around people that are left out: depth is a mixture of person and scene there."""

LEVEL_COSINE = math.cos(math.radians(40.0))
"""Of the angle between a surface's normal and up, beyond which it is no ground."""


@dataclass(frozen=True, kw_only=True)
class StaticPoints:
    """N points in the world of their shot.

    Attributes:
        points: metres.
        normals: unit, towards the camera.
        conf: confidence of the depth, 0..1.
        depth: z in the camera that saw it, metres.
        frame: which of ``num_frames`` looks it comes from.
        cameras: (F, 4, 4) camera to world of these looks.
    """

    points: Float[Tensor, "N 3"]
    normals: Float[Tensor, "N 3"]
    conf: Float[Tensor, "N"]
    depth: Float[Tensor, "N"]
    frame: Int64[Tensor, "N"]
    cameras: Float[Tensor, "F 4 4"]

    def pick(self, kept: Bool[Tensor, "N"]) -> StaticPoints:
        """Some of the points."""
        chosen = {name: value[kept] for name, value in vars(self).items() if name != "cameras"}
        return StaticPoints(**chosen, cameras=self.cameras)


def sample_static(
    shot: MetricShot, evidence: ShotEvidence, sky: Bool[FrameTensor, "D H W"] | None = None
) -> StaticPoints:
    """Points of evenly spread frames, thinned evenly.

    Args:
        sky: where it is known to be seen; it is left out.
    """
    rows = torch.linspace(0, len(shot.dense) - 1, min(len(shot.dense), MAX_FRAMES)).round().long().unique()
    step = max(1, -(-max(shot.depth_before.shape[1:]) // SIDE))
    first = step // 2
    found = [_look(shot, evidence, sky, row, first, step) for row in rows.tolist()]
    kept = [look[-1] for look in found]
    points, normals, conf, depth = (
        torch.cat([values[keep] for values, keep in zip(part, kept, strict=True)])
        for part in list(zip(*found, strict=True))[:4]
    )
    frame = torch.cat([torch.full((int(keep.sum()),), number) for number, keep in enumerate(kept)])
    cameras = shot.c2w[shot.dense[rows]]
    return StaticPoints(points=points, normals=normals, conf=conf, depth=depth, frame=frame, cameras=cameras)


def _look(
    shot: MetricShot, evidence: ShotEvidence, sky: Bool[FrameTensor, "D H W"] | None, row: int, first: int, step: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """World points, normals, confidence and depth of a thinned picture, and which of its pixels are good."""
    thin = (slice(first, None, step), slice(first, None, step))
    depth, conf = shot.depth_before[(row, *thin)], shot.conf[(row, *thin)]
    person = dilate((evidence.masks[row] >= 0)[thin], AROUND_PEOPLE)
    good = (depth > 0) & (depth < MAX_DEPTH_M) & (conf >= CONFIDENT) & ~person
    if sky is not None:
        good &= ~sky[row][thin]
    frame = int(shot.dense[row])
    local = unproject(depth[None], thin_intrinsics(shot.intrinsics[frame], first, step)[None])[0]
    links = link_neighbours(depth, good, relative_step=SAME_SURFACE)
    normals, exists = normals_from_points(local, good, links=links)
    c2w = shot.c2w[frame]
    world = transform_points(c2w, local.flatten(0, 1)).unflatten(0, depth.shape)
    return world, normals @ c2w[:3, :3].mT, conf, depth, good & exists
