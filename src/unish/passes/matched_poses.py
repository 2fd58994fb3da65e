"""Poses of one camera to another by matches between two frames, of which the depth of the first is known.

Legend: N frames, A anchors of a frame, E directed pairs of frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from unish.geometry.rigid import log_rigid, make_rigid, transform_points
from unish.geometry.statistics import weighted_median
from unish.network.camera_solve import PosePrior, solve_pairs
from unish.network.matching.records import SparseMatches
from unish.network.view_config import ViewSolverConfig
from unish.network.view_start import USUAL_SIDE, solve_clip_pairs
from unish.reconstruction import Window
from unish.structs import CONFIDENT

MAX_OFF_PX = 2.0
"""Distance of an explained match from where the pose puts it, pixels of a picture whose long side has 640."""


_MATCH_SIGMA_PX = 0.5
"""Error of a match, pixels of the same, where a guess is weighed against it."""


@dataclass(frozen=True, kw_only=True)
class MatchedPoses:
    """What E directed pairs say.

    Attributes:
        moved: points of the first camera to the second, in the unit of the first one's depth.
        there: anchors of the first in the second camera, over ``distance``.
        explained: matches that the pose puts where they are.
        found: how many matches there were.
        distance: median depth of the anchors.
    """

    moved: Float[Tensor, "E 4 4"]
    there: Float[Tensor, "E A 3"]
    explained: Bool[Tensor, "E A"]
    found: Int64[Tensor, "E"]
    distance: Float[Tensor, "E"]


@dataclass(frozen=True, kw_only=True)
class ExpectedPoses:
    """A guess of E poses, and how far it may be off.

    Attributes:
        moved: see ``MatchedPoses``.
        turn_sigma: radians.
        place_sigma: share of the distance of what is seen.
    """

    moved: Float[Tensor, "E 4 4"]
    turn_sigma: float
    place_sigma: float

    def as_prior(self, distance: Float[Tensor, "E"], match_sigma: Float[Tensor, "E"]) -> PosePrior:
        """For points in units of ``distance`` and matches with this error, focal lengths."""
        place = self.moved[:, :3, 3] / distance[:, None]
        sigma = torch.tensor([self.place_sigma] * 3 + [self.turn_sigma] * 3)
        return PosePrior(
            twist=log_rigid(make_rigid(self.moved[:, :3, :3], place)), precision=(match_sigma[:, None] / sigma).square()
        )


def solve_matched_poses(
    matches: SparseMatches,
    anchor_depth: Float[Tensor, "N A"],
    intrinsics: Float[Tensor, "N 3 3"],
    long_side: int,
    rows: Sequence[int] | None = None,
    expected: ExpectedPoses | None = None,
) -> MatchedPoses:
    """Solve directed pairs of one clip.

    Args:
        anchor_depth: NaN where it is not known.
        intrinsics: pixels of the pictures that were matched.
        long_side: of these.
        rows: which pairs of ``matches``; all where ``None``.
        expected: what is known of these without their matches; ``None`` where that is nothing.
    """
    chosen = list(range(len(matches.pairs))) if rows is None else list(rows)
    first, second = torch.tensor([matches.pairs[row] for row in chosen]).T
    config, unit = ViewSolverConfig(), USUAL_SIDE / long_side
    focal, centre = intrinsics.diagonal(dim1=-2, dim2=-1)[:, :2], intrinsics[:, :2, 2]
    weights = matches.weights[0, chosen] * torch.isfinite(anchor_depth)[first]
    distance = weighted_median(anchor_depth[first].nan_to_num(1.0), weights).nan_to_num(1.0)
    rays = functional.pad((matches.anchors_px[0] - centre[:, None]) / focal[:, None], (0, 1), value=1.0)
    points = (rays * anchor_depth.nan_to_num(1.0)[..., None])[first] / distance[:, None, None]
    target_rays = (matches.targets_px[0, chosen] - centre[second, None]) / focal[second, None]
    focal_px = focal[second].prod(-1).sqrt()
    if expected is None:
        moved, _, _ = solve_clip_pairs(points, target_rays, weights, focal_px, unit, config)
    else:
        prior = expected.as_prior(distance, _MATCH_SIGMA_PX / unit / focal_px)
        moved, _ = solve_pairs(points, target_rays, weights, prior, focal=focal_px)
    there = transform_points(moved, points)
    off_px = (there[..., :2] / there[..., 2:].clamp_min(1e-3) - target_rays).norm(dim=-1) * focal_px[:, None]
    return MatchedPoses(
        moved=make_rigid(moved[:, :3, :3], moved[:, :3, 3] * distance[:, None]),
        there=there,
        explained=(off_px * unit < MAX_OFF_PX) & (there[..., 2] > 0) & (weights > 0),
        found=(weights > 0).sum(-1),
        distance=distance,
    )


def read_confident_depth(window: Window, frame: int) -> Float[Tensor, "h w"]:
    """Depth in the unit of the window, NaN where it is not confident; so is what lies between such pixels."""
    row = frame - window.frames.start
    depth = window.depth[row]
    return torch.where((window.conf_logits[row].sigmoid() > CONFIDENT) & (depth > 0), depth, torch.nan)
