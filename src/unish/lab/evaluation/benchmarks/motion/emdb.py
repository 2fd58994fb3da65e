"""EMDB (Kaufmann et al. 2023): one person with electromagnetic sensors on, filmed by someone who walks along.

https://eth-ait.github.io/emdb, laid out as its ``dataset.md`` says: ``P*/NN_name/images/NNNNN.jpg`` and
``P*/NN_name/P*_NN_name_data.pkl`` with ``gender``, ``n_frames``, ``emdb1``, ``emdb2``, ``good_frames_mask``, ``smpl``
(``poses_root``, ``poses_body``, ``trans``, ``betas``: in the world) and ``camera`` (``intrinsics``, ``extrinsics``:
world to camera, ``width``, ``height``). 30 pictures a second.

EMDB-1 are the sequences for pose in the camera, EMDB-2 those with long paths for motion in the world; the files say
which a sequence belongs to. Frames outside ``good_frames_mask`` do not count.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unish.body.restricted_pickle import read_pickled_state
from unish.errors import InputError
from unish.lab.evaluation.benchmarks.motion.benchmark import MotionBenchmark
from unish.lab.evaluation.benchmarks.motion.body_files import load_smpl
from unish.lab.evaluation.benchmarks.motion.truth import MotionTruth, View, check_pictures, make_person, pose_smpl

FPS = 30.0
_KEYS = ("gender", "n_frames", "emdb1", "emdb2", "good_frames_mask", "smpl", "camera")
_WANTED = "fetch EMDB again"


def list_emdb(subset: str, data: Path) -> list[str]:
    """Names (``P0_00_mvs_a``) of the sequences whose file says that they belong to ``emdb1`` or ``emdb2``."""
    files = sorted(data.glob("P*/*/*_data.pkl"))
    return [path.name.removesuffix("_data.pkl") for path in files if bool(_read(path)[subset])]


def read_emdb(data: Path, name: str) -> MotionTruth:
    """Bodies of the sequence's gender, posed in its world.

    Raises:
        InputError: pictures, a key or SMPL of that gender is missing.
    """
    subject, _, sequence = name.partition("_")
    folder = data / subject / sequence
    content = _read(folder / f"{name}_data.pkl")
    smpl, camera = content["smpl"], content["camera"]
    try:
        pose = (smpl["betas"], smpl["poses_root"], smpl["poses_body"], smpl["trans"])
        view = View(
            c2w=torch.from_numpy(np.linalg.inv(np.asarray(camera["extrinsics"], np.float64))),
            intrinsics=torch.from_numpy(np.asarray(camera["intrinsics"], np.float64)),
            size=(int(camera["height"]), int(camera["width"])),
        )
    except KeyError as error:
        raise InputError(f"{folder}/{name}_data.pkl: lacks {error}; {_WANTED}") from None
    check_pictures(folder / "images", int(content["n_frames"]))
    body = load_smpl(data, str(content["gender"]))
    joints, vertices = pose_smpl(body, *pose)
    person = make_person(body, joints, vertices, content["good_frames_mask"], view)
    return MotionTruth(images=folder / "images", fps=FPS, c2w=view.c2w, people=(person,))


def _read(path: Path) -> dict[str, Any]:
    content = read_pickled_state(path, wanted=_WANTED)
    missing = [key for key in _KEYS if key not in content]
    if missing:
        raise InputError(f"{path}: lacks {', '.join(missing)}; {_WANTED}")
    return content


_NEEDS = "EMDB's P0 … P9 with images/ and *_data.pkl of each sequence, and body_models/smpl/SMPL_*.pkl"
EMDB1 = MotionBenchmark(needs=_NEEDS, list_sequences=partial(list_emdb, "emdb1"), read_truth=read_emdb, scope="camera")
EMDB2 = MotionBenchmark(needs=_NEEDS, list_sequences=partial(list_emdb, "emdb2"), read_truth=read_emdb, scope="both")
