"""How deep the scene is just below feet that stand: it is the ground there, and how deep that is the foot tells."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from unish.geometry.camera import project
from unish.reconstruction.contacts import Contacts
from unish.reconstruction.depth_curve import LEVEL_SIGMA, LEVEL_WEIGHT, STRIP_SIGMA, DepthEvidence
from unish.reconstruction.shot import MetricShot, ShotEvidence
from unish.structs import CONFIDENT

STRIP = (0.01, 0.06)
"""Part of the height of the person's box, below the foot, that is read."""

HALF_WIDTH = 0.1
SAMPLES = (6, 12)
"""Rows and columns of pixels that are looked at."""

MIN_SHARE = 0.2
"""Of them that must show the scene, below the horizon."""

MAX_RANGE_FRAMES = 8
_QUANTILES = (0.02, 0.98)


def collect_depth_evidence(
    contacts: Contacts, plane: Float[Tensor, "4"], shot: MetricShot, evidence: ShotEvidence
) -> DepthEvidence:
    """Strips of ground below feet, and as weak support the people's own pixels against their bodies.

    Args:
        contacts: of the same shot.
        plane: on which the feet stand, world, n up.
    """
    strips, levels = read_strips(contacts, plane, shot, evidence), _read_levels(shot, contacts)
    return DepthEvidence(**{name: torch.cat([value, vars(levels)[name]]) for name, value in vars(strips).items()})


def read_strips(
    contacts: Contacts, plane: Float[Tensor, "4"], shot: MetricShot, evidence: ShotEvidence
) -> DepthEvidence:
    """Below each foot in a frame with depth, the scene's depth against that of a ground that carries the foot.

    On a plane with normal n the depth along the camera ray r is proportional to 1 / (n · r). So a pixel of the strip
    should be as deep as the foot, times (n · ray of the foot) / (n · ray of the pixel). The median over pixels that are
    spread over the strip counts.
    """
    row_of_frame = torch.full((len(shot.c2w),), -1)
    row_of_frame[shot.dense] = torch.arange(len(shot.dense))
    dense = (row_of_frame[contacts.frame] >= 0).nonzero()[:, 0]
    frame = contacts.frame[dense]
    rotation, intrinsics = shot.c2w[frame, :3, :3], shot.intrinsics[frame]
    local = ((contacts.points[dense] - contacts.camera[dense])[:, None] @ rotation)[:, 0]
    feet_px = project(local[:, None], intrinsics)
    boxes = evidence.boxes_xyxy[contacts.person[dense], frame]
    pixels = (feet_px + _sample_strip() * (boxes[:, 3] - boxes[:, 1])[:, None, None]).floor() + 0.5
    depth = _read_scene(pixels, row_of_frame[frame], shot, evidence)
    normal = rotation.mT @ plane[:3]
    of_foot, of_pixels = _slant(feet_px, intrinsics, normal), _slant(pixels, intrinsics, normal)
    # Both look down at the ground: 0 is the horizon.
    known = (depth > 0) & (of_pixels < 0) & (of_foot < 0)
    scene = torch.where(known, depth, torch.nan).log()
    wanted = (local[:, 2:] * of_foot / of_pixels).log()
    used = known.float().mean(1) >= MIN_SHARE
    return DepthEvidence(
        log_depth=scene[used].nanmedian(1).values,
        offset=(wanted - scene)[used].nanmedian(1).values,
        sigma=torch.full((int(used.sum()),), STRIP_SIGMA),
        weights=contacts.weights[dense][used],
    )


def _sample_strip() -> Float[Tensor, "S 2"]:
    """Points of the strip from the foot, in heights of the person's box."""
    rows, columns = SAMPLES
    down = (torch.arange(rows) + 0.5) / rows * (STRIP[1] - STRIP[0]) + STRIP[0]
    across = ((torch.arange(columns) + 0.5) / columns * 2 - 1) * HALF_WIDTH
    return torch.cartesian_prod(across, down)


def _read_scene(
    pixels: Float[Tensor, "K S 2"], rows: Int64[Tensor, "K"], shot: MetricShot, evidence: ShotEvidence
) -> Float[Tensor, "K S"]:
    """Confident metric depth of the scene at pixels of dense frames; 0 outside of the picture and at people."""
    height, width = int(shot.depth.shape[1]), int(shot.depth.shape[2])
    x, y = pixels.floor().long().unbind(-1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    found = torch.zeros(pixels.shape[:-1])
    for row in rows.unique().tolist():
        own = rows == row
        at = (y[own], x[own])
        scene = (evidence.masks[(row, *at)] < 0) & (shot.conf[(row, *at)] >= CONFIDENT) & inside[own]
        found[own] = torch.where(scene, shot.depth_before[(row, *at)], 0.0)
    return found


def find_depth_range(shot: MetricShot) -> tuple[float, float]:
    """Log depth that 2 % and 98 % of the confident pixels of a few frames lie below."""
    chosen = torch.linspace(0, len(shot.depth) - 1, min(len(shot.depth), MAX_RANGE_FRAMES)).round().long().tolist()
    known = [
        shot.depth_before[row][(shot.depth_before[row] > 0) & (shot.conf[row] >= CONFIDENT)][::7] for row in chosen
    ]
    depth = torch.cat(known)
    if len(depth) == 0:
        return 0.0, 0.0
    low, high = depth.log().quantile(torch.tensor(_QUANTILES)).tolist()
    return low, high


def _read_levels(shot: MetricShot, contacts: Contacts) -> DepthEvidence:
    """Bodies against the person's own pixels, of the people and frames whose feet stand."""
    standing = torch.zeros_like(shot.distance_sigma)
    standing[contacts.person, contacts.frame] = contacts.weights
    level, scene_level = shot.correction.level, shot.correction.scene_level
    known = (standing > 0) & torch.isfinite(level) & torch.isfinite(scene_level)
    return DepthEvidence(
        log_depth=scene_level[known],
        offset=level[known],
        sigma=torch.full((int(known.sum()),), LEVEL_SIGMA),
        weights=LEVEL_WEIGHT * standing[known],
    )


def _slant(
    pixels: Float[Tensor, "K S 2"], intrinsics: Float[Tensor, "K 3 3"], normal: Float[Tensor, "K 3"]
) -> Float[Tensor, "K S"]:
    """n · ray of pixels, the ray with z = 1 and the normal in the camera's axes."""
    rays = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1) @ torch.linalg.inv(intrinsics).mT
    return (rays * normal[:, None]).sum(-1)
