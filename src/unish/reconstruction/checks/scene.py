"""Measures of one shot's still scene: do its frames agree with one another, and with what the pictures show?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Integer
from numpy import ndarray
from scipy.ndimage import binary_dilation

from unish.reconstruction.checks.ground import unproject_pixels
from unish.reconstruction.checks.patches import (
    MIN_CORRELATION,
    PATCH,
    average_blocks,
    away_from_people,
    choose_patches,
    find_patches,
    matching_step,
)
from unish.structs import Reconstruction
from unish.structs.reconstruction import RELIABLE

EDGE_STEP = 0.1
"""Neighbouring pixels whose depths differ by more than this share lie on different surfaces: edges are left out."""

MAX_SOURCES, MAX_TARGETS, MAX_POINTS = 4, 12, 1500
MIN_SHARED = 100
MAX_JUMP_FRAMES = 360
JUMP_PIXELS = 64
"""So many pixels along the long side are compared from each frame to the next."""

MATCH_GAPS_S = (0.5, 1.5, 4.0)
PAIRS_PER_GAP = 3
MIN_MATCHES = 8
ALIKE_PX = 1.5
"""Pixels of the matching size, along each axis, by which patches differ that move alike."""

STILL_SHARE = 0.6
OVERHANG = 0.12
OVERHANG_STRIDE = 4


@dataclass(frozen=True, kw_only=True)
class Stillness:
    """What the pictures say of a shot, by looking for patches of the still scene in other frames; NaN if too few match.

    Attributes:
        shift_percent: median distance between where a scene point is reprojected to and where its patch is found, in
            percent of the long side of the picture, at the gap between frames at which it is largest. Patches farther
            than ``SEARCH`` from there and from their own place are not found.
        still_share: share of matched patches that are found at their own place in the other picture: near 1 for a
            camera that stands still.
    """

    shift_percent: float
    still_share: float

    @property
    def camera_still(self) -> bool:
        """The pictures show a camera that stands still."""
        return bool(self.still_share > STILL_SHARE)


@dataclass(frozen=True, kw_only=True)
class DepthJump:
    """The largest change of a shot's depth from one frame to the next.

    Attributes:
        log_ratio: median of log(depth) in the later frame over what the earlier one makes it there; NaN if no
            neighbouring frames share the still scene.
        frame: the later frame, an index of used frames; −1 likewise.
    """

    log_ratio: float = float("nan")
    frame: int = -1

    @property
    def factor(self) -> float:
        """By which the depth is larger or smaller, ≥ 1."""
        return float(np.exp(abs(self.log_ratio)))


def find_static(reconstruction: Reconstruction, frame: int) -> Bool[ndarray, "H W"]:
    """Pixels of the still scene that have a dependable depth: as ``find_scene``, and no depth edge."""
    depth = reconstruction.depth[frame]
    edge = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        low, high = (np.take(depth, range(start, depth.shape[axis] - 1 + start), axis) for start in (0, 1))
        step = np.abs(high - low) > EDGE_STEP * np.minimum(low, high)
        pad = [(0, 0), (0, 0)]
        for pad[axis] in ((0, 1), (1, 0)):
            edge |= np.pad(step, pad)
    return find_scene(reconstruction, frame) & ~edge


def find_scene(reconstruction: Reconstruction, frame: int) -> Bool[ndarray, "H W"]:
    """Pixels that show no person and have a depth, with the confidence that is asked for."""
    masks, depth, conf = (
        maps[frame] for maps in (reconstruction.person_masks, reconstruction.depth, reconstruction.point_conf)
    )
    return (masks < 0) & (depth > 0) & (conf >= RELIABLE)


def static_disagreement(reconstruction: Reconstruction, frames: Integer[ndarray, "K"]) -> float:
    """Median |log ratio| × 100 of the still scene reprojected between the frames of one shot; NaN when none overlap.

    Points of up to ``MAX_SOURCES`` frames are put into up to ``MAX_TARGETS`` others, all evenly spread; their depth in
    that camera over the depth that the frame itself has at that pixel is the ratio. Median over the points of a pair
    with at least ``MIN_SHARED`` of them, then over pairs.
    """
    sources, targets = _spread(frames, MAX_SOURCES), _spread(frames, MAX_TARGETS)
    seen = {frame: _read_map(reconstruction, frame, find_static) for frame in np.union1d(sources, targets).tolist()}
    medians = []
    for source in sources.tolist():
        world = _unproject(reconstruction, seen[source], *_spread_pixels(seen[source].static, MAX_POINTS))
        for target in targets[targets != source].tolist():
            ratios = _log_ratios(reconstruction, world, seen[target])
            if len(ratios) >= MIN_SHARED:
                medians.append(np.median(np.abs(ratios)))
    return float(100 * np.median(medians)) if medians else float("nan")


def find_depth_jump(reconstruction: Reconstruction, frames: Integer[ndarray, "K"]) -> DepthJump:
    """The largest jump of the depth of the still scene between neighbouring frames of one shot.

    ``static_disagreement`` is a median over pairs of frames, so it does not see that a few of many are wrong. Of more
    than ``MAX_JUMP_FRAMES`` as many are compared, evenly spread.
    """
    compared = _spread(frames, MAX_JUMP_FRAMES).tolist()
    seen = (_read_map(reconstruction, frame, find_scene) for frame in compared)
    worst = DepthJump()
    for earlier, later in pairwise(seen):
        # Both ways, as what a frame shows farther away is not what it hides of the other one.
        there, back = (
            _median_ratio(reconstruction, source, target) for source, target in ((earlier, later), (later, earlier))
        )
        ratio = (back - there) / 2
        if np.isfinite(ratio) and not abs(ratio) <= abs(worst.log_ratio):
            worst = DepthJump(log_ratio=ratio, frame=later.frame)
    return worst


def measure_stillness(reconstruction: Reconstruction, frames: Integer[ndarray, "K"]) -> Stillness:
    """``Stillness`` of the shot that consists of ``frames``: pairs of frames ``MATCH_GAPS_S`` apart."""
    step = matching_step(reconstruction)
    shifts, moves = [], []
    for pairs in _pairs(reconstruction.timestamps_s, frames):
        found = [_match(reconstruction, source, target, step) for source, target in pairs]
        shift, move = (np.concatenate([part[:, column] for part in found]) for column in (0, 1))
        shift = shift[np.isfinite(shift)]
        moves.append(move)
        if len(shift) >= MIN_MATCHES:
            shifts.append(np.median(shift))
    move = np.concatenate(moves) if moves else np.zeros(0)
    long_side = max(reconstruction.images.shape[1:3]) / step
    return Stillness(
        shift_percent=float(100 * max(shifts) / long_side) if shifts else float("nan"),
        still_share=float((move == 0).mean()) if len(move) >= MIN_MATCHES else float("nan"),
    )


def overhang_share(reconstruction: Reconstruction, frames: Integer[ndarray, "K"]) -> float:
    """Share of the columns of a shot's pictures in which something far stands in front of what is under it.

    Going up a column of scene pixels, depth grows along the ground and stays at walls; it falls only where something
    hangs over. A column counts when depth falls by more than ``OVERHANG`` from a pixel to the next one of the still
    scene above it, no person in or beside them, in the lower two thirds of the picture. Frames are evenly spread; NaN
    when none of them has a still scene.
    """
    counted, hanging = 0, 0
    for frame in _spread(frames, MAX_TARGETS):
        depth = reconstruction.depth[frame][depth_rows(reconstruction) :: OVERHANG_STRIDE, ::OVERHANG_STRIDE]
        person = reconstruction.person_masks[frame] >= 0
        person = binary_dilation(person, np.ones((3, 3), bool), iterations=2 * OVERHANG_STRIDE)
        person = person[depth_rows(reconstruction) :: OVERHANG_STRIDE, ::OVERHANG_STRIDE]
        known = (depth > 0) & ~person
        falls = known[1:] & known[:-1] & (depth[:-1] < (1 - OVERHANG) * depth[1:])
        counted += int(known.any(0).sum())
        hanging += int(falls.any(0).sum())
    return hanging / counted if counted else float("nan")


def depth_rows(reconstruction: Reconstruction) -> int:
    """First row of the lower two thirds of the picture."""
    return int(reconstruction.depth.shape[1]) // 3


def camera_extent(reconstruction: Reconstruction, frames: Integer[ndarray, "K"]) -> float:
    """Length (metres) of the diagonal of the box around the camera's positions in one shot."""
    centres = reconstruction.c2w[frames, :3, 3].astype(np.float64)
    return float(np.linalg.norm(centres.max(0) - centres.min(0)))


def field_of_view(reconstruction: Reconstruction, frames: Integer[ndarray, "K"]) -> float:
    """Degrees across the long side of the picture, median over the shot's frames."""
    height, width = reconstruction.images.shape[1:3]
    axis, side = (0, width) if width >= height else (1, height)
    focal, middle = (reconstruction.intrinsics[frames, axis, column].astype(np.float64) for column in (axis, 2))
    return float(np.degrees(np.median(np.arctan(middle / focal) + np.arctan((side - middle) / focal))))


def zoom_factor(reconstruction: Reconstruction, frames: Integer[ndarray, "K"]) -> float:
    """Focal length in the last of the shot's frames over that in the first; 1 for a lens that does not zoom."""
    first, last = reconstruction.intrinsics[frames[[0, -1]], 0, 0].astype(np.float64)
    return float(last / first)


def _spread(frames: Integer[ndarray, "K"], most: int) -> Integer[ndarray, "N"]:
    return frames[np.unique(np.linspace(0, len(frames) - 1, min(len(frames), most)).round().astype(int))]


def _spread_pixels(mask: Bool[ndarray, "H W"], most: int) -> tuple[Integer[ndarray, "N"], Integer[ndarray, "N"]]:
    rows, columns = np.nonzero(mask)
    pick = np.linspace(0, len(rows) - 1, min(len(rows), most)).round().astype(int)
    return rows[pick], columns[pick]


class _Map(NamedTuple):
    """A frame's depth and its pixels of the still scene, read once: a frame may have to be computed."""

    frame: int
    depth: Float[ndarray, "H W"]
    static: Bool[ndarray, "H W"]


def _read_map(
    reconstruction: Reconstruction, frame: int, find: Callable[[Reconstruction, int], Bool[ndarray, "H W"]]
) -> _Map:
    return _Map(frame, reconstruction.depth[frame], find(reconstruction, frame))


def _median_ratio(reconstruction: Reconstruction, source: _Map, target: _Map) -> float:
    """Median of ``_log_ratios`` over a grid of pixels; NaN when too few are shared."""
    height, width = source.depth.shape
    step = max(1, max(height, width) // JUMP_PIXELS)
    rows, columns = (part.ravel() for part in np.mgrid[step // 2 : height : step, step // 2 : width : step])
    static = source.static[rows, columns]
    ratios = _log_ratios(reconstruction, _unproject(reconstruction, source, rows[static], columns[static]), target)
    return float(np.median(ratios)) if len(ratios) >= MIN_SHARED else float("nan")


def _unproject(
    reconstruction: Reconstruction, source: _Map, rows: Integer[ndarray, "N"], columns: Integer[ndarray, "N"]
) -> Float[ndarray, "N 3"]:
    return unproject_pixels(reconstruction, source.frame, rows, columns, source.depth[rows, columns])


def _log_ratios(reconstruction: Reconstruction, world: Float[ndarray, "N 3"], target: _Map) -> Float[ndarray, "M"]:
    """log(depth of a point in a frame's camera / the frame's own depth there), where that is of the still scene."""
    depth, projected = _project(reconstruction, target.frame, world)
    inside, columns, rows = _inside(projected, depth, target.depth.shape)
    static = target.static[rows, columns]
    return np.log(depth[inside][static] / target.depth[rows[static], columns[static]])


def _project(
    reconstruction: Reconstruction, frame: int, world: Float[ndarray, "N 3"]
) -> tuple[Float[ndarray, "N"], Float[ndarray, "N 2"]]:
    w2c = np.linalg.inv(reconstruction.c2w[frame].astype(np.float64))
    camera = world @ w2c[:3, :3].T + w2c[:3, 3]
    projected = camera @ reconstruction.intrinsics[frame].astype(np.float64).T
    return camera[:, 2], projected[:, :2] / np.where(camera[:, 2:] > 0, camera[:, 2:], np.nan)


def _inside(
    pixels: Float[ndarray, "N 2"], depth: Float[ndarray, "N"], size: tuple[int, ...]
) -> tuple[Bool[ndarray, "N"], Integer[ndarray, "M"], Integer[ndarray, "M"]]:
    """Which points are in front of the camera and in the picture, and the column and row of those that are."""
    height, width = size
    with np.errstate(invalid="ignore"):
        keep = (depth > 0) & (pixels >= 0).all(-1) & (pixels[:, 0] < width) & (pixels[:, 1] < height)
    whole = np.floor(pixels[keep]).astype(int)
    return keep, whole[:, 0], whole[:, 1]


def _pairs(times_s: Float[ndarray, "T"], frames: Integer[ndarray, "K"]) -> list[list[tuple[int, int]]]:
    """Pairs of frames about ``MATCH_GAPS_S`` apart, some of each gap, evenly spread; and the first with the last."""
    found = []
    for gap in MATCH_GAPS_S:
        later = np.searchsorted(times_s[frames], times_s[frames] + gap - 1e-6)
        starts = _spread(np.flatnonzero(later < len(frames)), PAIRS_PER_GAP)
        found.append([(int(frames[start]), int(frames[later[start]])) for start in starts])
    if len(frames) > 1:
        found.append([(int(frames[0]), int(frames[-1]))])
    return [pairs for pairs in found if pairs]


def _match(reconstruction: Reconstruction, source: int, target: int, step: int) -> Float[ndarray, "N 2"]:
    """Per matched patch: distance to its reprojection (NaN behind the camera) and to its own place, in steps.

    A patch is looked for around both places; the better of the two finds is where it went.
    """
    first, second = (average_blocks(reconstruction.images[frame], step) for frame in (source, target))
    rows, columns = choose_patches(_usable(reconstruction, source, step, first.shape), first)
    if len(rows) == 0:
        return np.zeros((0, 2))
    full_rows, full_columns = rows * step + step // 2, columns * step + step // 2
    world = unproject_pixels(reconstruction, source, full_rows, full_columns)
    _, pixels = _project(reconstruction, target, world)
    # The pixel that was unprojected need not be the middle of its block; what counts is by how much it moves.
    predicted = (pixels - np.stack([full_columns + 0.5, full_rows + 0.5], -1)) / step
    offsets = np.arange(-PATCH, PATCH + 1)
    patches = first[rows[:, None, None] + offsets[:, None], columns[:, None, None] + offsets]
    still = find_patches(second, patches, rows, columns, np.zeros_like(predicted))
    moved = find_patches(second, patches, rows, columns, np.nan_to_num(predicted))
    better = (moved[0] >= still[0])[:, None]
    score, found = np.maximum(still[0], moved[0]), np.where(better, moved[1], still[1])
    place = np.stack([rows, columns], -1) + found[:, ::-1].astype(int)
    inside = ((place >= 0) & (place < second.shape)).all(-1)
    place = np.clip(place, 0, np.array(second.shape) - 1)
    keep = (
        inside & (score >= MIN_CORRELATION) & away_from_people(reconstruction, target, step)[place[:, 0], place[:, 1]]
    )
    keep &= better[:, 0] | _move_alike(found, keep & ~better[:, 0])
    return np.stack([np.linalg.norm(found - predicted, axis=-1), np.linalg.norm(found, axis=-1)], -1)[keep]


def _move_alike(found: Float[ndarray, "N 2"], own_place: Bool[ndarray, "N"]) -> Bool[ndarray, "N"]:
    """Which patches moved as most of those that were found about their own place.

    Those of a camera that stands still, or shakes, do. Once a patch has left the picture, something that looks like it
    may lie about its own place, too, but any way from there.
    """
    if not own_place.any():
        return own_place
    return (np.abs(found - np.median(found[own_place], axis=0)) <= ALIKE_PX).all(-1)


def _usable(reconstruction: Reconstruction, frame: int, step: int, size: tuple[int, ...]) -> Bool[ndarray, "h w"]:
    """Blocks of ``step`` pixels that show the still scene, with nobody in or beside them."""
    static = find_static(reconstruction, frame)[step // 2 :: step, step // 2 :: step][: size[0], : size[1]]
    return static & away_from_people(reconstruction, frame, step)
