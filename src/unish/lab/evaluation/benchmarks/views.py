"""A few pictures of one place and what is true of them: asking a method about them, and scoring its answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from torch import Tensor

from unish.errors import InputError
from unish.lab.evaluation.benchmarks.pictures import clip_of_pictures
from unish.lab.evaluation.benchmarks.registration import Camera
from unish.lab.evaluation.compare import resize_depth
from unish.lab.evaluation.metrics import relative_rotation_errors, score_depth
from unish.lab.evaluation.predictor import Predictor, Request
from unish.lab.evaluation.results import Row
from unish.lab.evaluation.row_prior import load_row_prior, row_prior_depth
from unish.reconstruction.checks.scene import field_of_view
from unish.structs import Reconstruction

NO_DIRECTION_DEG = 90.0
"""Error of a camera that is said not to have moved: what a direction drawn at random misses on average."""

SMALLEST_MOVE = 0.05
"""Moves shorter than this share of the true median depth have no direction: true positions of hand-held recordings err
by about a centimetre, which is 11° of the shortest move that counts at one metre."""

_OF_CAMERAS = ("camera_turn_error_deg", "identity_turn_error_deg", "direction_error_deg", "move_length_ratio")


@dataclass(frozen=True, kw_only=True, eq=False)
class TrueViews:
    """N pictures of one place, and what is known about them.

    Attributes:
        name: of the sequence.
        times_s, numbers: seconds, and the numbers of the pictures in their data set.
        depth: metres, 0 = unknown; it may be sparse. ``None``: nothing is known.
        c2w: camera to world in any world, OpenCV axes. ``None``: nothing is known.
        camera: fx, fy, cx, cy in pixels of the pictures. ``None``: nothing is known.
        is_metric: ``c2w`` is in metres.
    """

    name: str
    pictures: UInt8[ndarray, "N H W 3"]
    times_s: Float[ndarray, "N"]
    numbers: Int[ndarray, "N"]
    depth: Float[Tensor, "N H W"] | None = None
    c2w: Float[Tensor, "N 4 4"] | None = None
    camera: Camera | None = None
    is_metric: bool = True


def ask_about_views(predictor: Predictor, views: TrueViews, *, give_camera: bool) -> Reconstruction:
    """The place alone, without people.

    Raises:
        InputError: the camera is to be given and is not known, or not as many frames came back.
    """
    if give_camera and views.camera is None:
        raise InputError(f"{views.name}: its camera is not known and cannot be given")
    clip = clip_of_pictures(views.pictures, times_s=views.times_s, numbers=views.numbers, name=views.name)
    given = {"intrinsics": views.camera} if give_camera else {}
    found = predictor.predict(Request(name=views.name, source=clip, settings={"people": 0, **given})).reconstruction
    if found.num_frames != len(views.pictures):
        raise InputError(f"{found.num_frames} frames came back instead of {len(views.pictures)}")
    return found


def score_views(found: Reconstruction, views: TrueViews) -> Row:
    """All that the truth allows: ``score_depth_maps``, ``score_moves`` and the field of view."""
    row: Row = {}
    nearest = 0.0
    if views.depth is not None:
        row |= score_depth_maps(found, views.depth)
        known = views.depth[views.depth > 0]
        nearest = SMALLEST_MOVE * float(known.median()) if len(known) else 0.0
    if views.c2w is not None and len(views.c2w) > 1:
        row |= score_moves(torch.from_numpy(found.c2w), views.c2w, smallest_move=nearest, is_metric=views.is_metric)
    if views.camera is not None:
        true = true_field_of_view_deg(views.camera, views.pictures.shape[1:3])
        row["fov_error_deg"] = abs(field_of_view(found, np.arange(found.num_frames)) - true)
    return row


def score_depth_maps(found: Reconstruction, depth: Float[Tensor, "N H W"]) -> Row:
    """Depth after one median scale for all frames, and as it is (metric), beside two baselines on the same pixels.

    *Row-wise depth prior* is the mean depth of each image row over our own renders (see ``row_prior``); *constant* is
    one depth everywhere, the true median after the alignment. Depth is in metres, 0 = unknown.
    """
    size = (depth.shape[1], depth.shape[2])
    ours = resize_depth(found.depth, size)
    prior = row_prior_depth(load_row_prior(), size).expand_as(depth)
    scaled, metric = (score_depth(ours, depth, alignment=alignment) for alignment in ("median", "none"))
    prior_scaled, prior_metric = (score_depth(prior, depth, alignment=alignment) for alignment in ("median", "none"))
    return {
        "depth_abs_rel": float(scaled.abs_rel),
        "row_prior_abs_rel": float(prior_scaled.abs_rel),
        "constant_abs_rel": float(score_depth(torch.ones_like(depth), depth, alignment="median").abs_rel),
        "depth_delta": float(scaled.delta),
        "row_prior_delta": float(prior_scaled.delta),
        "depth_abs_rel_metric": float(metric.abs_rel),
        "row_prior_abs_rel_metric": float(prior_metric.abs_rel),
    }


def score_moves(
    c2w: Float[Tensor, "N 4 4"], true_c2w: Float[Tensor, "N 4 4"], *, smallest_move: float = 0.0, is_metric: bool = True
) -> Row:
    """Turns and directions between all pairs of frames, which need no alignment, means over pairs.

    The direction is that of the later camera's centre seen from the earlier camera, so that a wrong turn between the
    two does not spoil it, and it has a sign: the opposite direction is 180° off (epipolar evaluations fold it to 0°).
    Turns stand beside *identity*: a camera that never turns.

    Args:
        smallest_move: true moves that are shorter have no direction and no length.
        is_metric: whether lengths mean anything; ``move_length_ratio`` is the sum of ours ÷ the sum of the true ones.
    """
    row: Row = {
        "camera_turn_error_deg": turn_error(c2w, true_c2w),
        "identity_turn_error_deg": turn_error(torch.eye(4).expand_as(true_c2w), true_c2w),
    }
    angles, lengths, true_lengths = [], [], []
    ours, true = c2w.double().numpy(), true_c2w.double().numpy()
    for i, j in combinations(range(len(true)), 2):
        move, true_move = (np.linalg.inv(poses[i])[:3] @ poses[j][:, 3] for poses in (ours, true))
        length, true_length = (float(np.linalg.norm(one)) for one in (move, true_move))
        if true_length > smallest_move:
            angles.append(_angle_deg(move, true_move))
            lengths.append(length)
            true_lengths.append(true_length)
    if angles:
        row["direction_error_deg"] = float(np.mean(angles))
        if is_metric:
            row["move_length_ratio"] = sum(lengths) / sum(true_lengths)
    return row


def turn_error(c2w: Float[Tensor, "N 4 4"], true_c2w: Float[Tensor, "N 4 4"]) -> float:
    """Error of the relative rotation, mean over all pairs of frames, degrees."""
    steps = range(1, c2w.shape[0])
    return float(torch.cat([relative_rotation_errors(c2w, true_c2w, step=step) for step in steps]).mean())


def true_field_of_view_deg(camera: Camera, size: tuple[int, int]) -> float:
    """Angle that the long side of a picture of (height, width) spans, as ``field_of_view`` measures it of a result."""
    fx, fy, cx, cy = camera
    side, focal, middle = (size[1], fx, cx) if size[1] >= size[0] else (size[0], fy, cy)
    return math.degrees(math.atan(middle / focal) + math.atan((side - middle) / focal))


def as_pair(row: Row) -> Row:
    """The columns of two cameras alone, under names that begin with ``pair_``, so that no mean mixes near and far."""
    return {f"pair_{column}": row[column] for column in _OF_CAMERAS if column in row}


def _angle_deg(move: Float[ndarray, "3"], true_move: Float[ndarray, "3"]) -> float:
    length = float(np.linalg.norm(move))
    if length < 1e-6:
        return NO_DIRECTION_DEG
    cosine = float(move @ true_move) / length / float(np.linalg.norm(true_move))
    return math.degrees(math.acos(min(1.0, max(-1.0, cosine))))
