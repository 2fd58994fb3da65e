"""``transforms.json``, as nerfstudio and instant-ngp read it: cameras to world, with OpenGL axes (y up, z backward)."""

from __future__ import annotations

import json
import math
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from unish.errors import InputError
from unish.video.known_cameras.record import CameraFile, Lenses

_DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
_PINHOLES = ("PINHOLE", "SIMPLE_PINHOLE", "OPENCV")


def read_nerfstudio(path: Path) -> CameraFile:
    """Raises:
    InputError: the file is no such json, or its lens is no pinhole.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        frames = sorted(content["frames"], key=lambda frame: str(frame["file_path"]))
        poses = np.array([frame["transform_matrix"] for frame in frames], np.float64).reshape(-1, 4, 4)
        lenses = _describe_lenses([content | frame for frame in frames])
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give another file") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: no transforms.json with frames, file_path and transform_matrix") from None
    model = str(content.get("camera_model", "PINHOLE"))
    if model not in _PINHOLES:
        raise InputError(f"{path}: lenses of the model {model} are no pinholes; undistort the pictures first")
    return CameraFile(
        path=path,
        c2w=poses @ _FROM_OPENGL,
        names=tuple(PurePosixPath(frame["file_path"]).name for frame in frames),
        lenses=lenses,
    )


def _describe_lenses(frames: list[dict[str, Any]]) -> Lenses | None:
    """``None`` where no focal length is stated. What a frame states itself goes before what holds for all."""
    if not frames or not all("fl_x" in frame or "camera_angle_x" in frame for frame in frames):
        return None
    rows, sizes = [], []
    for frame in frames:
        width, height = float(frame.get("w", 0)), float(frame.get("h", 0))
        focal = float(frame["fl_x"]) if "fl_x" in frame else width / 2 / math.tan(float(frame["camera_angle_x"]) / 2)
        centre = [float(frame.get("cx", width / 2)), float(frame.get("cy", height / 2))]
        rows.append([focal, float(frame.get("fl_y", focal)), *centre])
        sizes.append((height, width))
    if not np.array(rows).all():
        return None
    distorted = any(float(frame.get(key, 0)) for frame in frames for key in _DISTORTION)
    return Lenses(matrices=np.array(rows), sizes=np.array(sizes), distorted=distorted)
