"""3DPW (von Marcard et al. 2018): one or two people with inertial sensors on, filmed by a phone that is carried along.

https://virtualhumans.mpi-inf.mpg.de/3DPW, laid out as its ``readme.txt`` says: ``imageFiles/NAME/image_NNNNN.jpg`` and
``sequenceFiles/test/NAME.pkl`` with, per person, ``genders``, ``betas``, ``poses``, ``trans`` (in the world, at the
pictures) and ``campose_valid``, and ``cam_poses`` (world to camera) and ``cam_intrinsics``. 30 pictures a second.

Scored on the 14 joints that a regressor of Human3.6M makes of SMPL's vertices. Frames without a valid camera pose do
not count. The world drifts with the sensors, so only pose in the camera is scored.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from unish.body.restricted_pickle import read_pickled_state
from unish.errors import InputError
from unish.lab.datasets.sequences import read_image_size
from unish.lab.evaluation.benchmarks.motion.benchmark import MotionBenchmark
from unish.lab.evaluation.benchmarks.motion.body_files import load_smpl
from unish.lab.evaluation.benchmarks.motion.truth import MotionTruth, View, check_pictures, make_person, pose_smpl

FPS = 30.0
_KEYS = ("genders", "betas", "poses", "trans", "campose_valid", "cam_poses", "cam_intrinsics")
_GENDERS = {"m": "male", "f": "female"}
_WANTED = "fetch 3DPW's sequenceFiles.zip again"


def list_threedpw(data: Path) -> list[str]:
    return sorted(path.stem for path in data.glob("sequenceFiles/test/*.pkl"))


def read_threedpw(data: Path, name: str) -> MotionTruth:
    """Bodies of each person's gender, posed in the world.

    Raises:
        InputError: pictures, a key or SMPL of a gender is missing.
    """
    path = data / "sequenceFiles" / "test" / f"{name}.pkl"
    content = read_pickled_state(path, wanted=_WANTED)
    missing = [key for key in _KEYS if key not in content]
    if missing:
        raise InputError(f"{path}: lacks {', '.join(missing)}; {_WANTED}")
    w2c = np.asarray(content["cam_poses"], np.float64)
    pictures = check_pictures(data / "imageFiles" / name, len(w2c))
    view = View(
        c2w=torch.from_numpy(np.linalg.inv(w2c)),
        intrinsics=torch.from_numpy(np.asarray(content["cam_intrinsics"], np.float64)),
        size=read_image_size(pictures[0]),
    )
    people = []
    for gender, betas, poses, transl, valid in zip(*(content[key] for key in _KEYS[:5]), strict=True):
        body = load_smpl(data, _GENDERS.get(str(gender), str(gender)))
        joints, vertices = pose_smpl(body, betas, poses[:, :3], poses[:, 3:], transl)
        people.append(make_person(body, joints, vertices, np.asarray(valid) > 0, view))
    return MotionTruth(images=data / "imageFiles" / name, fps=FPS, c2w=view.c2w, people=tuple(people))


THREEDPW = MotionBenchmark(
    needs="3DPW's imageFiles/ and sequenceFiles/test/, and body_models/ with smpl/SMPL_*.pkl and J_regressor_h36m.npy",
    list_sequences=list_threedpw,
    read_truth=read_threedpw,
    scope="camera",
    joint_set="h36m14",
)
