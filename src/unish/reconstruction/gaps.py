"""People where they were not seen for a short while: poses between the frames before and after, in the world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from numpy import ndarray
from scipy.interpolate import PchipInterpolator

from unish.body import Body
from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from unish.structs import BodyParams, Reconstruction


def fill_gaps(record: Reconstruction, body: Body, max_gap_s: float) -> Reconstruction:
    """The record with poses in the short gaps of every person; those frames are ``person_filled``, not valid.

    Each joint turns evenly from its rotation in the last frame before the gap to that in the first one after it
    (spherical linear interpolation; Shoemake, "Animating rotation with quaternion curves", 1985). The root follows
    monotone cubic curves through all frames of the shot in which the person was seen (Fritsch & Butland, "A method for
    constructing local monotone piecewise cubic interpolants", 1984): smooth, and never beyond the places at both ends
    of the gap. Both are interpolated in the world, so a camera that moves meanwhile does not carry the person along.

    Args:
        record: of a whole video; worlds of shots are not connected, so no gap over a cut is filled.
        body: poses the joints.
        max_gap_s: seconds from the last frame before a gap to the first one after it; 0 fills nothing.
    """
    before, after, filled = _find_gaps(record, max_gap_s)
    if not filled.any():
        return record
    person, frame = np.nonzero(filled)
    first, last = before[filled], after[filled]
    times = record.timestamps_s
    share = torch.from_numpy((times[frame] - times[first]) / (times[last] - times[first]))[:, None, None]
    turns = np.concatenate([record.global_orient_aa[:, :, None], record.body_pose_aa.reshape(*filled.shape, 23, 3)], 2)
    start, end = (axis_angle_to_matrix(torch.from_numpy(turns[person, known]).double()) for known in (first, last))
    rotations = start @ axis_angle_to_matrix(share * matrix_to_axis_angle(start.mT @ end))
    transl = _interpolate_roots(record, filled)
    params = BodyParams(
        betas=torch.from_numpy(record.betas[person]),
        global_orient=rotations[:, 0].float(),
        body_pose=rotations[:, 1:].float(),
        transl=torch.from_numpy(transl[person, frame]),
    )
    found = {
        "global_orient_aa": matrix_to_axis_angle(params.global_orient),
        "body_pose_aa": matrix_to_axis_angle(params.body_pose).flatten(1),
        "transl": params.transl,
        "joints": body.joints(params),
    }
    changed = {"person_filled": record.person_filled | filled}
    for name, values in found.items():
        changed[name] = getattr(record, name).copy()
        changed[name][person, frame] = values.numpy()
    return replace(record, **changed)  # type: ignore[arg-type]


def _find_gaps(
    record: Reconstruction, max_gap_s: float
) -> tuple[Int64[ndarray, "P T"], Int64[ndarray, "P T"], Bool[ndarray, "P T"]]:
    """The last valid frame up to each frame, the first one from there on, and which frames are to be filled."""
    valid, times, num_frames = record.person_valid, record.timestamps_s, record.num_frames
    order = np.arange(num_frames)
    before = np.maximum.accumulate(np.where(valid, order, -1), axis=1)
    after = np.minimum.accumulate(np.where(valid, order, num_frames)[:, ::-1], axis=1)[:, ::-1]
    inside = ~valid & (before >= 0) & (after < num_frames)
    first, last = np.where(inside, before, 0), np.where(inside, after, 0)
    same_shot = record.segment[first] == record.segment[last]
    # Times are sums of frame durations: a gap of exactly so many seconds may be a rounding error longer.
    return first, last, inside & same_shot & (times[last] - times[first] <= max_gap_s + 1e-6)


def _interpolate_roots(record: Reconstruction, filled: Bool[ndarray, "P T"]) -> Float32[ndarray, "P T 3"]:
    """``transl``, also where ``filled``."""
    found, times = record.transl.copy(), record.timestamps_s
    for person in np.flatnonzero(filled.any(1)):
        for shot in np.unique(record.segment[filled[person]]):
            known = record.person_valid[person] & (record.segment == shot)
            wanted = filled[person] & (record.segment == shot)
            curve = PchipInterpolator(times[known], record.transl[person, known].astype(np.float64))
            found[person, wanted] = curve(times[wanted])
    return found
