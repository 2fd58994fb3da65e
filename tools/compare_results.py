#!/usr/bin/env python
"""By how much two results of one video differ: of another number of threads, another rate, another version.

    OMP_NUM_THREADS=1 unish reconstruct VIDEO --out one; OMP_NUM_THREADS=2 unish reconstruct VIDEO --out two
    python tools/compare_results.py one two

Prints JSON, over the used frames that both have: whether the same people are in the same frames, how far apart cameras
and joints lie in units of the median depth, by how many degrees cameras and joints are turned against one another
(each person of the one beside the one of the same number), and the highest speed of each person's wrists and ankles
against the pelvis, which is of all frames of each result.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from unish.geometry.rotation import axis_angle_to_matrix
from unish.structs import Reconstruction

WRISTS_AND_ANKLES = (7, 8, 20, 21)
"""Of SMPL's joints."""


def compare(one: Reconstruction, other: Reconstruction) -> dict[str, object]:
    """See the module."""
    _, first, second = np.intersect1d(one.frame_indices, other.frame_indices, return_indices=True)
    depth = np.array([float(np.median(frame[frame > 0])) for frame in one.depth if (frame > 0).any()])
    unit = float(np.median(depth)) if len(depth) else np.nan
    away = np.linalg.norm(one.c2w[first, :3, 3] - other.c2w[second, :3, 3], axis=-1)
    said: dict[str, object] = {
        "frames": len(first),
        "median_depth_m": unit,
        "camera_place_over_depth": float(away.max()) / unit,
        "camera_turn_deg": _largest_turn_deg(one.c2w[first, :3, :3], other.c2w[second, :3, :3]),
        "peak_speeds_m_s": [peak_speeds(record) for record in (one, other)],
    }
    if not np.array_equal(one.person_ids, other.person_ids):
        return said | {"same_people": False}
    valid = one.person_valid[:, first] & other.person_valid[:, second]
    same = bool(np.array_equal(one.person_valid[:, first], other.person_valid[:, second]))
    if not valid.any():
        return said | {"same_people": same}
    apart = np.linalg.norm(one.joints[:, first] - other.joints[:, second], axis=-1)[valid]
    turns = [
        np.concatenate([record.global_orient_aa, record.body_pose_aa], axis=-1)[:, frames][valid].reshape(-1, 24, 3)
        for record, frames in ((one, first), (other, second))
    ]
    matrices = [axis_angle_to_matrix(torch.from_numpy(turn)).numpy() for turn in turns]
    return said | {
        "same_people": same,
        "joints_over_depth": {"median": float(np.median(apart)) / unit, "largest": float(apart.max()) / unit},
        "joints_turn_deg": _largest_turn_deg(*matrices),
    }


def _largest_turn_deg(one: np.ndarray, other: np.ndarray) -> float:
    """Of the rotations that bring one set of matrices to the other; from their difference, exact for small angles."""
    chord = np.linalg.norm(one.astype(np.float64) - other, axis=(-2, -1))
    return float(np.degrees(2 * np.arcsin(np.clip(chord / np.sqrt(8), 0, 1))).max())


def peak_speeds(record: Reconstruction) -> dict[str, float]:
    """By person: the fastest wrist or ankle from one used frame to the next one of the same shot, m/s."""
    limbs = record.joints[:, :, WRISTS_AND_ANKLES] - record.joints[:, :, :1]
    step_s, together = np.diff(record.timestamps_s), np.diff(record.segment) == 0
    speed = np.linalg.norm(np.diff(limbs, axis=1), axis=-1).max(-1) / step_s
    speed[:, ~together] = np.nan
    return {
        str(number): float(np.nanmax(own))
        for number, own in zip(record.person_ids, speed, strict=True)
        if np.isfinite(own).any()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("one", type=Path)
    parser.add_argument("other", type=Path)
    args = parser.parse_args()
    print(json.dumps(compare(Reconstruction.load(args.one), Reconstruction.load(args.other)), indent=1))


if __name__ == "__main__":
    main()
