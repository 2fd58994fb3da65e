"""Find and read body models: the free one that ships with the package, and licensed SMPL files of the user."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from unish.body.joints import NUM_BETAS, PARENTS
from unish.body.model import Body
from unish.body.restricted_pickle import read_pickled_arrays
from unish.body.template_landmarks import find_contacts, find_landmarks
from unish.errors import InputError
from unish.values import check_path

_LICENSED_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")


def load_body(name_or_path: str | Path = "free") -> Body:
    """Load a body model, float32 on the CPU.

    Args:
        name_or_path: ``free`` (the body that ships with the package), or the path of a licensed SMPL model, ``.pkl``
            (read without running anything in it) or ``.npz`` with the keys v_template, shapedirs, posedirs,
            J_regressor, weights, kintree_table and f. The first 10 shape directions are used. The 33 landmarks and
            the contact vertices of a licensed model are found on its template, see ``template_landmarks``.

    Raises:
        InputError: no such file, unknown kind of file, missing keys, wrong shapes, or a pickle that wants to run code.
    """
    if str(name_or_path) == "free":
        return _load_free()
    path = check_path("body", name_or_path)
    if not path.is_file():
        raise InputError(f"{path}: no such body model; use 'free' or the path of an SMPL .pkl or .npz file")
    return build_licensed_body(path.name, _read_licensed(path), path)


@lru_cache(maxsize=1)
def _load_free() -> Body:
    with files("unish.body").joinpath("assets/free.npz").open("rb") as file, np.load(file) as arrays:
        return build_free_body({key: arrays[key] for key in arrays.files})


def build_free_body(arrays: dict[str, ndarray]) -> Body:
    """A body from the arrays that ``tools/build_body.py`` writes (format ``unish-body/1``)."""
    weights = np.zeros((len(arrays["v_template"]), len(PARENTS)), np.float32)
    np.put_along_axis(weights, arrays["weight_joints"].astype(int), arrays["weight_values"].astype(np.float32), axis=1)
    return Body(
        name="free",
        faces=_integers(arrays["faces"]),
        template=_floats(arrays["v_template"]),
        shape_directions=_floats(arrays["shapedirs"]),
        joint_template=_floats(arrays["joint_template"]),
        joint_directions=_floats(arrays["joint_shapedirs"]),
        landmark_template=_floats(arrays["landmark_template"]),
        landmark_directions=_floats(arrays["landmark_shapedirs"]),
        landmark_weights=torch.eye(len(PARENTS))[_integers(arrays["landmark_joints"])],
        skin_weights=_floats(weights / weights.sum(1, keepdims=True)),
        contact_vertices={
            key.removeprefix("contact_"): _integers(value)
            for key, value in arrays.items()
            if key.startswith("contact_")
        },
    )


def _read_licensed(path: Path) -> dict[str, Any]:
    if path.suffix == ".pkl":
        return read_pickled_arrays(path)
    if path.suffix != ".npz":
        raise InputError(f"{path}: unknown kind of body model; give an SMPL model as .pkl or .npz")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files if key in _LICENSED_KEYS}
    except Exception as error:
        raise InputError(f"{path}: not a readable npz ({error}); give an SMPL model as .pkl or .npz") from None


def build_licensed_body(name: str, arrays: dict[str, Any], source: Path) -> Body:
    """A body from the arrays of a published SMPL file.

    Raises:
        InputError: a key is missing or has the wrong shape; the message names ``source``.
    """
    missing = [key for key in _LICENSED_KEYS if key not in arrays]
    if missing:
        raise InputError(f"{source}: no SMPL model, {', '.join(missing)} missing; give an SMPL .pkl or .npz file")
    values = {key: np.asarray(arrays[key]) for key in _LICENSED_KEYS}
    _check_shapes(values, source)
    template, regressor = values["v_template"].astype(np.float64), values["J_regressor"].astype(np.float64)
    directions = values["shapedirs"][..., :NUM_BETAS].astype(np.float64)
    joints, joint_directions = regressor @ template, np.einsum("jv,vcs->jcs", regressor, directions)
    weights = values["weights"].astype(np.float64)
    landmarks = find_landmarks(template, weights, joints)
    from_vertices, from_joints = landmarks.vertex_weights, landmarks.joint_weights
    return Body(
        name=name,
        faces=_integers(values["f"]),
        template=_floats(template),
        shape_directions=_floats(directions),
        joint_template=_floats(joints),
        joint_directions=_floats(joint_directions),
        landmark_template=_floats(from_vertices @ template + from_joints @ joints),
        landmark_directions=_floats(
            np.einsum("lv,vcs->lcs", from_vertices, directions)
            + np.einsum("lj,jcs->lcs", from_joints, joint_directions)
        ),
        landmark_weights=_floats(landmarks.carriers),
        skin_weights=_floats(weights / weights.sum(1, keepdims=True)),
        pose_directions=_floats(values["posedirs"].reshape(-1, 207).T),
        contact_vertices={k: _integers(v) for k, v in find_contacts(template, weights, joints).items()},
    )


def _check_shapes(values: dict[str, ndarray], source: Path) -> None:
    num = len(values["v_template"])
    expected = {
        "v_template": (num, 3),
        "shapedirs": (num, 3, max(NUM_BETAS, values["shapedirs"].shape[-1] if values["shapedirs"].ndim else 0)),
        "posedirs": (num, 3, 207),
        "J_regressor": (24, num),
        "weights": (num, 24),
        "kintree_table": (2, 24),
        "f": (len(values["f"]) if values["f"].ndim else 0, 3),
    }
    for key, shape in expected.items():
        if values[key].shape != shape:
            raise InputError(
                f"{source}: {key} has shape {values[key].shape}, an SMPL model with {num} vertices has {shape}"
            )
    parents = values["kintree_table"][0].astype(np.int64)
    if tuple(parents[1:]) != PARENTS[1:]:
        raise InputError(f"{source}: its joints are not those of SMPL; SMPL-H and SMPL-X files are not supported")


def _floats(array: ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _integers(array: ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.int64))
