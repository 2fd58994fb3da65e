"""RICH (Huang et al. 2022): people in scanned places, fitted to many synchronous cameras that stand still.

https://rich.is.tue.mpg.de, laid out as its toolkit (https://github.com/paulchhuang/rich_toolkit) says:
``images/test/SEQUENCE/cam_NN/FFFFF_NN.{png,bmp,jpeg}`` (or ``images_ds4``, the release at a quarter of the size),
``bodies/test/SEQUENCE/FFFFF/SUBJECT.pkl`` (SMPL-X: ``betas``, ``global_orient``, ``body_pose``, ``transl``, each with a
leading 1; in the world of the first camera) and ``scan_calibration/PLACE/calibration/NNN.xml`` (OpenCV's
``CameraMatrix`` 3×4 world to camera, ``Intrinsics`` 3×3). SEQUENCE is ``PLACE_SUBJECT_ACTION``. 30 pictures a second.

As in the published evaluations (WHAM, GVHMR), each camera that stands still is a sequence by itself, the one sequence
with two people is left out, bodies are brought from SMPL-X to SMPL's vertices, face and fingers at rest, and joints are
regressed from these.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64
from numpy import ndarray
from torch import Tensor

from unish.body.restricted_pickle import read_pickled_state
from unish.errors import InputError
from unish.lab.datasets.sequences import read_image_size
from unish.lab.evaluation.benchmarks.motion.benchmark import MotionBenchmark
from unish.lab.evaluation.benchmarks.motion.body_files import (
    find_smplx,
    load_smpl,
    load_smpl_regressor,
    load_smplx_to_smpl,
)
from unish.lab.evaluation.benchmarks.motion.smplx import load_smplx
from unish.lab.evaluation.benchmarks.motion.truth import MotionTruth, View, check_pictures, make_person

FPS = 30.0
_WOMEN = frozenset({9, 10, 12, 13, 16, 17, 18, 19, 21})  # of the subjects 0 … 21, says the toolkit's gender.json
_QUARTER = "images_ds4"
_WANTED = "fetch RICH's bodies of the test set again"


def list_rich(data: Path) -> list[str]:
    """``SEQUENCE/cam_NN`` of one person, for every camera that has pictures and a calibration."""
    folders = sorted((_find_images(data) / "test").glob("*/cam_*"))
    return [
        f"{folder.parent.name}/{folder.name}"
        for folder in folders
        if len(folder.parent.name.split("_")) == 3 and _calibration(data, folder).is_file()
    ]


def read_rich(data: Path, name: str) -> MotionTruth:
    """Bodies at the pictures of one camera, in the world of the first; pictures without a body do not count.

    Raises:
        InputError: pictures, bodies or a body model is missing.
    """
    sequence = name.split("/")[0]
    folder = _find_images(data) / "test" / name
    pictures = check_pictures(folder, 1)
    numbers = [int(re.findall(r"\d+", path.stem)[0]) for path in pictures]
    w2c, intrinsics = read_calibration(_calibration(data, folder))
    if folder.parents[2].name == _QUARTER:
        intrinsics[:2] /= 4
    view = View(
        c2w=torch.from_numpy(np.linalg.inv(w2c)).expand(len(pictures), 4, 4),
        intrinsics=torch.from_numpy(intrinsics),
        size=read_image_size(pictures[0]),
    )
    regressor, body = load_smpl_regressor(data), load_smpl(data, "neutral")
    vertices, valid = _pose(data, sequence, numbers)
    person = make_person(body, regressor @ vertices.double(), vertices, valid, view)
    return MotionTruth(images=folder, fps=FPS, c2w=view.c2w.contiguous(), people=(person,))


def read_calibration(path: Path) -> tuple[Float64[ndarray, "4 4"], Float64[ndarray, "3 3"]]:
    """World to camera and intrinsics (pixels of the full size) of a calibration file.

    Raises:
        InputError: not such a file.
    """
    try:
        tree = ElementTree.parse(path)
        camera, intrinsics = (
            np.array(tree.findtext(f"./{key}/data", "").split(), np.float64).reshape(shape)
            for key, shape in (("CameraMatrix", (3, 4)), ("Intrinsics", (3, 3)))
        )
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise InputError(f"{path}: no readable calibration ({error}); fetch RICH's scan_calibration again") from None
    return np.concatenate([camera, [[0, 0, 0, 1]]]), intrinsics


def _pose(data: Path, sequence: str, numbers: list[int]) -> tuple[Float32[Tensor, "T V 3"], Bool[ndarray, "T"]]:
    """SMPL vertices of the only person at the pictures, 0 where there is no body, and where there is one."""
    subject = sequence.split("_")[1]
    files = [data / "bodies" / "test" / sequence / f"{number:05d}" / f"{subject}.pkl" for number in numbers]
    valid = np.array([path.is_file() for path in files])
    if not valid.any():
        raise InputError(f"{files[0]}: no body of this camera's pictures is there; {_WANTED}")
    stored = [_read_body(path) for path, there in zip(files, valid, strict=True) if there]
    betas, orient, pose, transl = (torch.from_numpy(np.stack(part)) for part in zip(*stored, strict=True))
    model = load_smplx(find_smplx(data, "female" if int(subject) in _WOMEN else "male"))
    to_smpl = load_smplx_to_smpl(data, len(model.template))
    posed = model.vertices(betas.mean(0), orient, pose, transl)
    vertices = torch.zeros(len(numbers), to_smpl.shape[0], 3)
    for frame, points in zip(np.flatnonzero(valid), posed, strict=True):
        vertices[frame] = torch.from_numpy((to_smpl @ points.double().numpy()).astype(np.float32))
    return vertices, valid


def _read_body(path: Path) -> tuple[ndarray, ...]:
    """Shape, root, body pose and translation of one file, float32."""
    content = read_pickled_state(path, wanted=_WANTED)
    sizes = {"betas": 10, "global_orient": 3, "body_pose": 63, "transl": 3}
    try:
        return tuple(np.ravel(np.asarray(content[key], np.float32)).reshape(size) for key, size in sizes.items())
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: no SMPL-X parameters as RICH stores them ({error}); {_WANTED}") from None


def _find_images(data: Path) -> Path:
    return data / "images" if (data / "images").is_dir() else data / _QUARTER


def _calibration(data: Path, camera: Path) -> Path:
    place, number = camera.parent.name.split("_")[0], int(camera.name.removeprefix("cam_"))
    return data / "scan_calibration" / place / "calibration" / f"{number:03d}.xml"


RICH = MotionBenchmark(
    needs="RICH's images/test (or images_ds4/test), bodies/test, scan_calibration, and body_models/ with smpl/, smplx/ "
    "and smplx2smpl_deftrafo_setup.pkl",
    list_sequences=list_rich,
    read_truth=read_rich,
    scope="both",
)
