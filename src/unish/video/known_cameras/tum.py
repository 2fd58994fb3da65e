"""Trajectories in the format of the TUM RGB-D benchmark: ``time tx ty tz qx qy qz qw``, cameras to world, metres."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unish.errors import InputError
from unish.video.known_cameras.record import CameraFile, pose_from_quaternions


def read_tum(path: Path) -> CameraFile:
    """Raises:
    InputError: the file cannot be read, or a line is not eight numbers.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path}: cannot be read as text; give a TUM trajectory, a COLMAP model or a json") from None
    rows = [line.replace(",", " ").split() for line in lines if line.strip() and not line.startswith("#")]
    try:
        numbers = np.array(rows, np.float64).reshape(-1, 8)
    except ValueError:
        raise InputError(f"{path}: not every line is `time tx ty tz qx qy qz qw`; correct the file") from None
    numbers = numbers[np.argsort(numbers[:, 0], kind="stable")]
    return CameraFile(
        path=path,
        c2w=pose_from_quaternions(numbers[:, 4:], numbers[:, 1:4], path),
        times_s=numbers[:, 0],
        in_metres=True,
    )
