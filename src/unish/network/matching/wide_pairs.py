"""Pairs of frames that are far apart: matched by attention where resemblance is not enough, and believed with care.

A wrong pose can explain many matches where a scene repeats itself. So a pair is *sure* only with many inliers, or if it
closes a cycle with two other pairs; *doubtful* pairs are for joining frames that nothing else joins.

Legend: B clips, P unordered pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

from unish.geometry.rotation import rotation_angle
from unish.geometry.two_view import TwoViewPose, solve_two_views
from unish.network.matching.lighterglue import LighterGlue
from unish.network.matching.pairs import (
    UNREFINED_WEIGHT,
    Pairs,
    match_pairs,
    number_frames,
    place_matches,
    replace_matches,
)
from unish.network.matching.records import FrameFeatures, IndexMatches, SparseMatches
from unish.network.matching.subpixel import refine_matches

SURE_INLIERS, DOUBTFUL_INLIERS = 120, 40
MAX_CYCLE_DEG = 3.0
"""Largest rotation that remains after going round three pairs."""

MAX_OUT_OF_PLANE_DEG = 10.0
"""The three translations of a cycle lie in one plane; one of them may leave it by this."""

THRESHOLD_PX = 1.5
"""Sampson error of an inlier, in pixels of the size at which frames are matched."""


class Verdict(StrEnum):
    """Whether the relative pose of a pair is believed."""

    SURE = "sure"
    DOUBTFUL = "doubtful"
    LEFT_OUT = "left out"


@dataclass(frozen=True, kw_only=True)
class WidePairs:
    """Pairs of one clip that were matched with care.

    Attributes:
        matches: of pairs that are not left out; the weights of others are 0.
        poses: of all P pairs, first → second.
        verdicts: of all P pairs.
    """

    matches: SparseMatches
    poses: TwoViewPose
    verdicts: tuple[Verdict, ...]


def match_wide_pairs(
    network: LighterGlue,
    features: FrameFeatures,
    pairs: Pairs,
    intrinsics: Float[Tensor, "3 3"],
    *,
    num_anchors: int = 512,
) -> WidePairs:
    """Match pairs of one clip: mutual nearest neighbours first, LighterGlue where these leave few inliers.

    Args:
        features: from ``pairs.describe_frames``, of one clip.
        pairs: unordered pairs (i, j) with i < j, at least one.
        intrinsics: of the images, in their own pixels.
    """
    index = match_pairs(features, pairs)
    poses = solve_pair_poses(features, pairs, index, intrinsics[None])
    weak = [pair for pair, count in zip(pairs, poses.num_inliers.tolist(), strict=True) if count <= SURE_INLIERS]
    if weak:
        index = replace_matches(network, features, pairs, index, weak)
        poses = solve_pair_poses(features, pairs, index, intrinsics[None])
    verdicts = judge_pairs(pairs, poses)
    believed = torch.tensor([verdict is not Verdict.LEFT_OUT for verdict in verdicts], device=intrinsics.device)
    kept = IndexMatches(
        forward=torch.where(believed[:, None], index.forward, -1),
        backward=torch.where(believed[:, None], index.backward, -1),
    )
    matches = place_matches(features, pairs, kept, num_anchors=num_anchors, wide=pairs)
    return WidePairs(matches=matches, poses=poses, verdicts=verdicts)


@torch.no_grad()
def solve_pair_poses(
    features: FrameFeatures, pairs: Pairs, matches: IndexMatches, intrinsics: Float[Tensor, "B 3 3"]
) -> TwoViewPose:
    """Relative poses (B·P, clip after clip) of all matches, refined where possible; no match counts twice.

    Args:
        matches: (B·P, K).
        intrinsics: of the images, in their own pixels.
    """
    first, second = number_frames(features, pairs)
    found = matches.forward >= 0
    px = features.key_points.px
    targets_px = px[second].gather(1, matches.forward.clamp_min(0)[..., None].expand(-1, -1, 2))
    deformed = torch.ones_like(first, dtype=torch.bool)
    refined = refine_matches(features.grey, first, second, px[first], targets_px, found, deformed=deformed)
    targets_px, weights = refined.targets_px, torch.where(refined.accepted, 1.0, UNREFINED_WEIGHT) * found

    height, width = features.image_size
    scale = px.new_tensor([width / features.grey.shape[-1], height / features.grey.shape[-2]])
    focal = intrinsics.diagonal(dim1=-2, dim2=-1)[:, :2].repeat_interleave(len(pairs), dim=0)  # (B·P, 2)
    centre = intrinsics[:, :2, 2].repeat_interleave(len(pairs), dim=0)
    rays_first, rays_second = (
        (places * scale - centre[:, None]) / focal[:, None] for places in (px[first], targets_px)
    )
    return solve_two_views(rays_first, rays_second, weights, (focal / scale).mean(-1), threshold_px=THRESHOLD_PX)


def judge_pairs(pairs: Pairs, poses: TwoViewPose) -> tuple[Verdict, ...]:
    """Sure: more than 120 inliers, or a consistent cycle with two others of 40 or more. Doubtful: 40 to 120 otherwise.

    Args:
        pairs: of one clip.
        poses: first → second, of each.
    """
    counts = poses.num_inliers.tolist()
    usable = {tuple(pair): number for number, pair in enumerate(pairs) if counts[number] >= DOUBTFUL_INLIERS}
    rotations, translations = poses.rotation.cpu(), poses.translation.cpu()  # small, and many devices lack ``lstsq``
    frames = sorted({frame for pair in usable for frame in pair})
    in_cycle: set[int] = set()
    for i, j, k in combinations(frames, 3):
        if {(i, j), (j, k), (i, k)} <= usable.keys():
            numbers = [usable[i, j], usable[j, k], usable[i, k]]
            if _closes(rotations[numbers], translations[numbers]):
                in_cycle |= set(numbers)
    return tuple(
        Verdict.LEFT_OUT
        if count < DOUBTFUL_INLIERS
        else (Verdict.SURE if count > SURE_INLIERS or number in in_cycle else Verdict.DOUBTFUL)
        for number, count in enumerate(counts)
    )


def _closes(rotation: Float[Tensor, "3 3 3"], translation: Float[Tensor, "3 3"]) -> bool:
    """Whether the poses i→j, j→k and i→k agree: R_ik = R_jk R_ij, and t_ik between the other two translations."""
    left = rotation[1] @ rotation[0] @ rotation[2].T
    if rotation_angle(left).rad2deg() > MAX_CYCLE_DEG:
        return False
    # In frame k: t_ik = a R_jk t_ij + b t_jk with a, b > 0.
    sides = torch.stack([rotation[1] @ translation[0], translation[1]], dim=-1)
    shares = torch.linalg.lstsq(sides, translation[2][:, None]).solution
    off_plane = (sides @ shares)[:, 0] - translation[2]
    limit = math.sin(math.radians(MAX_OUT_OF_PLANE_DEG))
    between = bool((shares > 0).all()) and float(off_plane.norm()) < limit
    # On a straight path all three are nearly the same, and a and b are arbitrary.
    beside = float((sides - translation[2][:, None]).norm(dim=0).min()) < limit
    return between or beside
