"""Points that several frames show, found again by matching: the tracks of a sparse model with known cameras.

The frozen features of the network match the pictures themselves, so that a track is an observation and no projection of
a depth map. A point keeps to the ray of one frame, and its depth is what the other frames say (with the depth of the
reconstruction as a weak prior), by Gauss–Newton steps on the reprojection error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from numpy import ndarray
from scipy.ndimage import binary_dilation
from torch import Tensor

from unish.export.colmap import SparsePoints
from unish.export.scene_frames import SceneFrames
from unish.network.matching.pairs import describe_frames, list_gap_pairs, match_pairs, place_matches
from unish.network.matching.records import SparseMatches
from unish.network.matching.retrieval import list_similar_pairs
from unish.network.matching.xfeat import XFeat

MAX_ERROR_PX = 1.5
"""Of a projected point from where a frame shows it, pixels of the written picture."""
LEAST_SEEN = 3
"""Frames that show a point."""
_GAPS = (1, 2, 4, 8)
_NUM_KEYPOINTS, _NUM_ANCHORS = 2048, 1024
_SIGMA_PX, _DEPTH_SIGMA = 0.5, 0.2  # of a match; of the logarithm of the reconstruction's depth
_NUM_STEPS = 8
_CELL_PX = 1.0  # key points of one frame whose cells touch are one point
_TINY = 1e-9


@dataclass(frozen=True, kw_only=True)
class _Stars:
    """Anchors of one frame and where D other frames show them.

    Attributes:
        others: numbers of these frames.
        targets, found: pixels there, and whether there are any.
        rays: of the anchors in their own camera, z = 1.
        relative: own camera to the others.
        lenses: fx, fy, cx, cy of the others.
        log_depth: of the anchors in the reconstruction.
    """

    others: list[int]
    targets: Float64[ndarray, "D A 2"]
    found: Bool[ndarray, "D A"]
    rays: Float64[ndarray, "A 3"]
    relative: Float64[ndarray, "D 4 4"]
    lenses: Float64[ndarray, "D 4"]
    log_depth: Float64[ndarray, "A"]

    def project(self, log_depth: Float64[ndarray, "A"]) -> tuple[Float64[ndarray, "D A 2"], Float64[ndarray, "D A 2"]]:
        """Pixels in the others, and their derivative by the log-depth; NaN behind a camera."""
        turned = np.einsum("dij,aj->dai", self.relative[:, :3, :3], self.rays * np.exp(log_depth)[:, None])
        moved = turned + self.relative[:, None, :3, 3]
        z = np.where(moved[..., 2] > _TINY, moved[..., 2], np.nan)[..., None]
        focal, centre = self.lenses[:, None, :2], self.lenses[:, None, 2:]
        flat = moved[..., :2] / z
        return focal * flat + centre, focal * (turned[..., :2] - flat * turned[..., 2:]) / z

    def solve(self, used: Bool[ndarray, "D A"]) -> Float64[ndarray, "A"]:
        """Log-depth that explains the matches that are used."""
        found = self.log_depth.copy()
        for _ in range(_NUM_STEPS):
            px, by_depth = self.project(found)
            keep = (used & np.isfinite(px[..., 0]))[..., None]
            residual = np.where(keep, px - self.targets, 0.0)
            # Geman–McClure: what misses by much says little.
            weight = keep / (1 + (residual / MAX_ERROR_PX) ** 2) ** 2 / _SIGMA_PX**2
            slope = np.where(keep, by_depth, 0.0)
            curvature = (weight * slope**2).sum((0, 2)) + _DEPTH_SIGMA**-2
            gradient = (weight * slope * residual).sum((0, 2)) + (found - self.log_depth) / _DEPTH_SIGMA**2
            found = found - (gradient / curvature).clip(-0.5, 0.5)
        return found

    def errors(self, log_depth: Float64[ndarray, "A"]) -> Float64[ndarray, "D A"]:
        """Pixels; infinite where a frame does not show the anchor."""
        missed = np.linalg.norm(self.project(log_depth)[0] - self.targets, axis=-1)
        return np.where(self.found & np.isfinite(missed), missed, np.inf)


def find_tracks(frames: SceneFrames) -> SparsePoints:
    """Points of the scene that at least three of the frames show, within 1.5 pixels; none on people."""
    if len(frames.rows) < LEAST_SEEN:
        return _join([])
    matches = _match(frames)
    taken = [np.zeros(tuple(int(side / _CELL_PX) + 2 for side in frames.size), bool) for _ in frames.rows]
    parts = []
    for frame in range(len(frames.rows)):
        anchors, valid = matches.anchors_px[0, frame].double().numpy(), matches.anchor_valid[0, frame].numpy()
        stars = _gather(frames, matches, frame, anchors)
        first = stars.solve(stars.found)
        log_depth = stars.solve(stars.errors(first) < MAX_ERROR_PX)
        errors = stars.errors(log_depth)
        seen = errors < MAX_ERROR_PX
        # What a track of an earlier frame has explained already is no second point.
        claims = np.stack([_is_taken(taken[other], px) for other, px in zip(stars.others, stars.targets, strict=True)])
        claimed = _is_taken(taken[frame], anchors) | ((claims & seen).sum(0) > seen.sum(0) / 3)
        new = valid & (seen.sum(0) >= LEAST_SEEN - 1) & ~claimed & ~_repeats(anchors)
        chosen = np.flatnonzero(new)
        for number, other in enumerate([frame, *stars.others]):
            px = anchors[chosen] if number == 0 else stars.targets[number - 1, chosen][seen[number - 1, chosen]]
            _mark(taken[other], px)
        parts.append(_describe(frames, frame, stars, anchors, chosen, log_depth, errors, seen))
    return _join(parts)


@torch.inference_mode()
def _match(frames: SceneFrames) -> SparseMatches:
    record, rows = frames.record, frames.rows.tolist()
    images = torch.from_numpy(np.stack([record.images[row] for row in rows])).permute(0, 3, 1, 2)[None].float() / 255
    usable = np.stack([(record.depth[row] > 0) & ~frames.people(number) for number, row in enumerate(rows)])
    features = describe_frames(
        XFeat.load(), images, usable=torch.from_numpy(usable)[None], num_keypoints=_NUM_KEYPOINTS
    )
    pairs = list_gap_pairs(len(rows), _GAPS)
    similar = list_similar_pairs(features.key_points, min_gap=max(_GAPS) + 1, num_per_frame=1)
    pairs += [pair for pair in similar if pair not in pairs]
    return place_matches(features, pairs, match_pairs(features, pairs), num_anchors=_NUM_ANCHORS)


def _gather(frames: SceneFrames, matches: SparseMatches, frame: int, anchors: Float64[ndarray, "A 2"]) -> _Stars:
    edges = [number for number, (first, _) in enumerate(matches.pairs) if first == frame]
    others = [matches.pairs[number][1] for number in edges]
    lenses = frames.intrinsics[:, [0, 1, 0, 1], [0, 1, 2, 2]]
    flat = (anchors - lenses[frame, 2:]) / lenses[frame, :2]
    height, width = frames.size
    column, row = anchors[:, 0].astype(int).clip(0, width - 1), anchors[:, 1].astype(int).clip(0, height - 1)
    depth = frames.record.depth[int(frames.rows[frame])][row, column].astype(np.float64)
    return _Stars(
        others=others,
        targets=matches.targets_px[0, edges].double().numpy(),
        found=_as_mask(matches.weights[0, edges]),
        rays=np.concatenate([flat, np.ones((len(flat), 1))], axis=1),
        relative=np.linalg.inv(frames.c2w[others]) @ frames.c2w[frame],
        lenses=lenses[others],
        log_depth=np.log(np.where(depth > 0, depth, 1.0)),
    )


def _as_mask(weights: Float[Tensor, "D A"]) -> Bool[ndarray, "D A"]:
    return (weights > 0).numpy()


def _cells(px: Float64[ndarray, "A 2"]) -> tuple[ndarray, ndarray]:
    column, row = np.maximum(px / _CELL_PX, 0).astype(int).T
    return row, column


def _is_taken(taken: Bool[ndarray, "h w"], px: Float64[ndarray, "A 2"]) -> Bool[ndarray, "A"]:
    row, column = _cells(px)
    near = binary_dilation(taken, np.ones((3, 3), bool))
    return near[row.clip(0, taken.shape[0] - 1), column.clip(0, taken.shape[1] - 1)]


def _mark(taken: Bool[ndarray, "h w"], px: Float64[ndarray, "A 2"]) -> None:
    row, column = _cells(px)
    taken[row.clip(0, taken.shape[0] - 1), column.clip(0, taken.shape[1] - 1)] = True


def _repeats(px: Float64[ndarray, "A 2"]) -> Bool[ndarray, "A"]:
    """All but the first anchor of a cell."""
    row, column = _cells(px)
    first = np.unique(np.stack([row, column]), axis=1, return_index=True)[1]
    repeated = np.ones(len(px), bool)
    repeated[first] = False
    return repeated


def _describe(
    frames: SceneFrames,
    frame: int,
    stars: _Stars,
    anchors: Float64[ndarray, "A 2"],
    chosen: ndarray,
    log_depth: Float64[ndarray, "A"],
    errors: Float64[ndarray, "D A"],
    seen: Bool[ndarray, "D A"],
) -> SparsePoints:
    """The chosen anchors as points, numbered from 0."""
    local = stars.rays[chosen] * np.exp(log_depth[chosen])[:, None]
    c2w = frames.c2w[frame]
    image = frames.record.images[int(frames.rows[frame])]
    number, point = np.nonzero(seen[:, chosen])
    others = np.array([*stars.others], np.int64)[number]
    own = np.arange(len(chosen))
    return SparsePoints(
        xyz=local @ c2w[:3, :3].T + c2w[:3, 3],
        colours=image[anchors[chosen, 1].astype(int), anchors[chosen, 0].astype(int)].reshape(-1, 3),
        point=np.concatenate([own, point]),
        frame=np.concatenate([np.full(len(own), frame), others]),
        px=np.concatenate([anchors[chosen], stars.targets[number, chosen[point]]]),
        error_px=np.concatenate([np.zeros(len(own)), errors[number, chosen[point]]]),
    )


def _join(parts: list[SparsePoints]) -> SparsePoints:
    starts = np.cumsum([0, *(len(part.xyz) for part in parts)])
    return SparsePoints(
        xyz=np.concatenate([np.zeros((0, 3)), *(part.xyz for part in parts)]),
        colours=np.concatenate([np.zeros((0, 3), np.uint8), *(part.colours for part in parts)]),
        point=np.concatenate([np.zeros(0, np.int64), *(p.point + s for p, s in zip(parts, starts, strict=False))]),
        frame=np.concatenate([np.zeros(0, np.int64), *(part.frame for part in parts)]),
        px=np.concatenate([np.zeros((0, 2)), *(part.px for part in parts)]),
        error_px=np.concatenate([np.zeros(0), *(part.error_px for part in parts)]),
    )
