"""``amass`` and ``smplx``: people as numbers, for programs that have a licensed SMPL-X model of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray
from scipy.spatial.transform import Rotation

from unish.body import Body
from unish.export.options import ExportOptions
from unish.export.sidecar import describe_body, describe_take
from unish.export.take import Take, TakePerson, make_take
from unish.export.timeline import LEAST_FPS
from unish.io import write_npz
from unish.structs import Reconstruction

_SMPLX_JOINTS, _BODY_JOINTS = 55, 22
"""Joints of SMPL-X; the first ones are SMPL's without its hands, which have no fingers."""

_SMPLX_BETAS = 16
_MEAN_HEIGHT_M, _HEIGHT_PER_BETA_M = 1.66, 0.1
"""Retargeting programs (GMR) take a person to be 1.66 + 0.1 · betas[0] metres tall."""

MEAN_PELVIS = np.array([0.003, -0.351, 0.012])
"""About where the pelvis of SMPL-X's mean shape is in its rest pose, metres; ``trans`` is counted from there."""

_BRIDGED = "poses go straight across, and wait at the ends; `valid` of the file is false there"


def write_amass(path: Path, reconstruction: Reconstruction, body: Body, options: ExportOptions) -> dict[str, Any]:
    """An ``Exporter``: ``person-ID.npz`` with the keys of AMASS, both those for SMPL-H and those for SMPL-X.

    ``poses`` (N, 165), ``trans``, ``betas`` (16), ``gender``, ``mocap_framerate`` and ``mocap_frame_rate`` (one
    number), ``root_orient``, ``pose_body`` (N, 63), ``pose_hand``, ``pose_jaw``, ``pose_eye``. Fingers and face
    are at rest.

    ``betas`` give the measured height to readers that take it from ``betas[0]``; they are no measurement of anything
    else. What was measured stands beside them: ``unish_betas`` of the body ``unish_body``, its ``unish_rest_joints``
    and ``pelvis``, the place of the root joint. ``trans`` is the pelvis minus that of SMPL-X's mean shape; with
    another shape, set trans to ``pelvis`` − J0(betas).
    """
    take = make_take(reconstruction, body, options)
    path.mkdir(exist_ok=True)
    for person in take.people:
        known, pose = person.bridged(), _make_pose(person.bridged())
        keys = {
            "poses": pose.reshape(len(pose), -1),
            "trans": known.pelvis - MEAN_PELVIS,
            "betas": _fit_height(person),
            "num_betas": np.array(_SMPLX_BETAS),
            "gender": np.array("neutral"),
            "surface_model_type": np.array("smplx"),
            "mocap_framerate": np.array(take.fps),
            "mocap_frame_rate": np.array(take.fps),
            "mocap_time_length": np.array(take.num_frames / take.fps),
            "root_orient": pose[:, 0],
            "pose_body": pose[:, 1:_BODY_JOINTS].reshape(len(pose), -1),
            "pose_jaw": pose[:, 22],
            "pose_eye": pose[:, 23:25].reshape(len(pose), -1),
            "pose_hand": pose[:, 25:].reshape(len(pose), -1),
        }
        write_npz(path / f"person-{person.person_id}.npz", keys | _describe_measured(take, person, body))
    return _describe(take)


def write_smplx(path: Path, reconstruction: Reconstruction, body: Body, options: ExportOptions) -> dict[str, Any]:
    """An ``Exporter``: ``person-ID.npz`` whose keys are the arguments of ``smplx.SMPLX.forward``, a row for each frame.

    For a licensed SMPL body, whose betas and pelvis are known, ``smpl_betas``, ``smpl_global_orient``,
    ``smpl_body_pose`` and ``smpl_transl`` are those of ``smplx.SMPL.forward``, exactly. What was measured stands beside
    them, as in ``write_amass``.
    """
    take = make_take(reconstruction, body, options)
    path.mkdir(exist_ok=True)
    for person in take.people:
        known, pose = person.bridged(), _make_pose(person.bridged())
        frames = len(pose)
        keys = {
            "betas": np.tile(_fit_height(person), (frames, 1)),
            "global_orient": pose[:, 0],
            "body_pose": pose[:, 1:_BODY_JOINTS].reshape(frames, -1),
            "transl": known.pelvis - MEAN_PELVIS,
            "jaw_pose": pose[:, 22],
            "leye_pose": pose[:, 23],
            "reye_pose": pose[:, 24],
            "left_hand_pose": pose[:, 25:40].reshape(frames, -1),
            "right_hand_pose": pose[:, 40:].reshape(frames, -1),
            "expression": np.zeros((frames, 10), np.float32),
        }
        if body.shape_space == "smpl":
            smpl = _to_axis_angle(known.rotations)
            keys |= {
                "smpl_betas": np.tile(person.betas, (frames, 1)),
                "smpl_global_orient": smpl[:, 0],
                "smpl_body_pose": smpl[:, 1:].reshape(frames, -1),
                "smpl_transl": known.pelvis - person.rest_joints[0],
            }
        keys = {name: values.astype(np.float32) for name, values in keys.items()}
        write_npz(path / f"person-{person.person_id}.npz", keys | _describe_measured(take, person, body))
    return _describe(take)


def _make_pose(person: TakePerson) -> Float64[ndarray, "N 55 3"]:
    """Axis-angle of SMPL-X's joints; the root's brings the rest frame to the world."""
    pose = np.zeros((len(person.rotations), _SMPLX_JOINTS, 3))
    pose[:, :_BODY_JOINTS] = _to_axis_angle(person.rotations[:, :_BODY_JOINTS])
    return pose


def _to_axis_angle(rotations: Float64[ndarray, "N J 3 3"]) -> Float64[ndarray, "N J 3"]:
    return Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_rotvec().reshape(*rotations.shape[:2], 3)


def _fit_height(person: TakePerson) -> Float64[ndarray, "16"]:
    betas = np.zeros(_SMPLX_BETAS)
    betas[0] = (person.height_m - _MEAN_HEIGHT_M) / _HEIGHT_PER_BETA_M
    return betas


def _describe_measured(take: Take, person: TakePerson, body: Body) -> dict[str, ndarray]:
    """What was measured, in our own terms, and what a file must say of its body."""
    about = describe_body(body)
    found: dict[str, ndarray] = {
        "pelvis": person.bridged().pelvis,
        "valid": person.valid,
        "height_m": np.array(person.height_m),
        "person_id": np.array(person.person_id),
        "fps": np.array(take.fps),
        "start_s": np.array(take.start_s),
        "up": np.array(str(take.options.up)),
        "unish_betas": person.betas,
        "unish_body": np.array(about["body"]),
        "unish_rest_joints": person.rest_joints,
        "licence": np.array(about["licence"]),
    }
    if person.contact_prob is not None:
        found |= {"contact_prob": _float32(person.contact_prob), "contact_names": np.array(person.contact_names)}
    return found


def _float32(values: Float64[ndarray, "*shape"]) -> Float32[ndarray, "*shape"]:
    return values.astype(np.float32)


def _describe(take: Take) -> dict[str, Any]:
    reading = (
        "trans is counted from the pelvis of SMPL-X's mean shape: a model of another shape is some centimetres off, "
        "unless trans is set to pelvis - J0(betas). Bones of SMPL-X are not as long as those that were measured "
        "(unish_rest_joints), so its feet are off the floor by as much."
    )
    facts = describe_take(take, unit="metres", gaps=_BRIDGED, reading=reading)
    if take.fps < LEAST_FPS:
        slow = f"{take.fps:.4g} frames a second: add-ons for AMASS and robots want 30 or more, as without --fps."
        facts["notes"].append(slow)
    return facts
