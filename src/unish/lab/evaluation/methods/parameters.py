"""SMPL parameters that other methods wrote: WHAM, TRAM, GVHMR, and a plain layout for everybody else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from unish.body import Body
from unish.errors import InputError
from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from unish.lab.evaluation.methods.files import find_file
from unish.lab.evaluation.methods.stored_arrays import read_arrays

SMPL_PELVIS = (-0.0022, -0.2408, 0.0286)
"""Rest pelvis of SMPL's neutral mean shape, metres: what its root turns about."""
SMPLX_PELVIS = (0.0031, -0.3514, 0.0120)
"""The same of SMPL-X, whose rest frame has another origin."""


@dataclass(frozen=True, kw_only=True)
class Track:
    """One person as a method wrote them: F frames that need not follow one another.

    Attributes:
        frames: index of each in the source video.
        betas: SMPL's; ``None`` where they belong to another model, such as SMPL-X.
        body_pose_aa: axis-angle, SMPL order.
        camera_orient_aa, camera_transl: root in each frame's camera, metres; ``None`` where only the world is given.
        world_orient_aa, world_transl: root in a world, metres; ``None`` where only the camera is given.
        pelvis: rest pelvis that root and ``transl`` refer to when it is not that of the body at hand.
    """

    frames: Int[ndarray, "F"]
    betas: Float[ndarray, "10"] | None
    body_pose_aa: Float[ndarray, "F 69"]
    camera_orient_aa: Float[ndarray, "F 3"] | None = None
    camera_transl: Float[ndarray, "F 3"] | None = None
    world_orient_aa: Float[ndarray, "F 3"] | None = None
    world_transl: Float[ndarray, "F 3"] | None = None
    pelvis: tuple[float, float, float] = SMPL_PELVIS


@dataclass(frozen=True, kw_only=True)
class ParameterFile:
    """All that a method says about one sequence.

    Attributes:
        tracks: the people.
        c2w: of every frame of the source video from 0 on, metres; ``None`` where it follows from the people.
        intrinsics: (fx, fy, cx, cy) in pixels of the source; ``None`` where the method names none.
    """

    tracks: list[Track]
    c2w: Float[ndarray, "N 4 4"] | None = None
    intrinsics: tuple[float, float, float, float] | None = None


def read_wham(folder: Path, sequence: str) -> ParameterFile:
    """``SEQUENCE/wham_output.pkl`` or ``SEQUENCE.pkl``: by person, ``pose`` (F, 72), ``trans`` (F, 3) in the camera,
    ``pose_world``, ``trans_world``, ``betas`` (F, 10) or (10,), ``frame_ids`` (F,).
    """
    path = find_file(folder, sequence, [("wham_output.pkl", ".pkl")])
    people = read_arrays(path)
    tracks = []
    for person in people.values():
        pose, world = (_take(person, key, path, 72) for key in ("pose", "pose_world"))
        tracks.append(
            Track(
                frames=_take(person, "frame_ids", path).reshape(-1).astype(np.int64),
                betas=_take(person, "betas", path).reshape(-1, 10).mean(0),
                body_pose_aa=pose[:, 3:],
                camera_orient_aa=pose[:, :3],
                camera_transl=_take(person, "trans", path, 3),
                world_orient_aa=world[:, :3],
                world_transl=_take(person, "trans_world", path, 3),
            )
        )
    return ParameterFile(tracks=tracks)


def read_tram(folder: Path, sequence: str) -> ParameterFile:
    """``SEQUENCE/camera.npy``: ``pred_cam_R`` (N, 3, 3) and ``pred_cam_T`` (N, 3), camera to world, ``img_focal``,
    ``img_center``; ``SEQUENCE/hps/hps_track_K.npy``: ``pred_rotmat`` (F, 24, 3, 3), ``pred_shape`` (F, 10),
    ``pred_trans`` (F, 1, 3) in the camera, ``frame`` (F,).
    """
    path = find_file(folder, sequence, [("camera.npy", ".npy")])
    camera = read_arrays(path)
    rotations = _take(camera, "pred_cam_R", path).reshape(-1, 3, 3)
    c2w = np.tile(np.eye(4), (len(rotations), 1, 1))
    c2w[:, :3, :3], c2w[:, :3, 3] = rotations, _take(camera, "pred_cam_T", path, 3)
    focal = float(_take(camera, "img_focal", path).reshape(-1)[0])
    cx, cy = _take(camera, "img_center", path).reshape(-1)[:2]
    tracks = []
    for file in sorted((path.parent / "hps").glob("hps_track_*.npy")):
        person = read_arrays(file)
        turns = _take(person, "pred_rotmat", file).reshape(-1, 24, 3, 3)
        pose = matrix_to_axis_angle(torch.from_numpy(turns.astype(np.float64))).numpy()
        tracks.append(
            Track(
                frames=_take(person, "frame", file).reshape(-1).astype(np.int64),
                betas=_take(person, "pred_shape", file).reshape(-1, 10).mean(0),
                body_pose_aa=pose[:, 1:].reshape(-1, 69),
                camera_orient_aa=pose[:, 0],
                camera_transl=_take(person, "pred_trans", file, 3),
            )
        )
    return ParameterFile(tracks=tracks, c2w=c2w, intrinsics=(focal, focal, float(cx), float(cy)))


def read_gvhmr(folder: Path, sequence: str) -> ParameterFile:
    """``SEQUENCE/hmr4d_results*.pt`` (one for each person) or ``SEQUENCE.pt``: ``smpl_params_incam`` and
    ``smpl_params_global`` with ``global_orient`` (F, 3), ``body_pose`` (F, 63) and ``transl`` (F, 3) of SMPL-X for the
    frames 0 … F − 1 of the video; ``K_fullimg`` (F, 3, 3).

    SMPL-X has its own shape space and no two hand joints like SMPL's: people get the mean shape and straight hands.
    """
    first = find_file(folder, sequence, [("hmr4d_results.pt", ".pt")])
    paths = sorted(first.parent.glob("hmr4d_results*.pt")) if first.name == "hmr4d_results.pt" else [first]
    tracks = []
    for path in paths:
        content = read_arrays(path)
        camera, world = (_take_part(content, f"smpl_params_{where}", path) for where in ("incam", "global"))
        pose = _take(camera, "body_pose", path, 63)
        tracks.append(
            Track(
                frames=np.arange(len(pose)),
                betas=None,
                body_pose_aa=np.concatenate([pose, np.zeros((len(pose), 6))], 1),
                camera_orient_aa=_take(camera, "global_orient", path, 3),
                camera_transl=_take(camera, "transl", path, 3),
                world_orient_aa=_take(world, "global_orient", path, 3),
                world_transl=_take(world, "transl", path, 3),
                pelvis=SMPLX_PELVIS,
            )
        )
    k = _take(content, "K_fullimg", path).reshape(-1, 3, 3)[0]
    return ParameterFile(tracks=tracks, intrinsics=(float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2])))


def read_smpl(folder: Path, sequence: str) -> ParameterFile:
    """``SEQUENCE.npz`` or ``SEQUENCE/smpl.npz``, the layout for a method of one's own: P people, F frames.

    ``frame_indices`` (F,) in the source video; ``betas`` (P, 10); ``body_pose_aa`` (P, F, 69);
    ``world_orient_aa`` and ``world_transl`` (P, F, 3), NaN where a person is absent; ``c2w`` (F, 4, 4); optional
    ``intrinsics`` (fx, fy, cx, cy) in source pixels.
    """
    path = find_file(folder, sequence, [("smpl.npz", ".npz")])
    content = read_arrays(path)
    frames = _take(content, "frame_indices", path).reshape(-1).astype(np.int64)
    c2w = np.full((int(frames.max(initial=-1)) + 1, 4, 4), np.nan)
    c2w[frames] = _take(content, "c2w", path).reshape(-1, 4, 4)
    tracks = []
    for person, betas in enumerate(_take(content, "betas", path).reshape(-1, 10)):
        transl = _take(content, "world_transl", path)[person].reshape(-1, 3)
        seen = np.isfinite(transl).all(-1)
        tracks.append(
            Track(
                frames=frames[seen],
                betas=betas,
                body_pose_aa=_take(content, "body_pose_aa", path)[person].reshape(-1, 69)[seen],
                world_orient_aa=_take(content, "world_orient_aa", path)[person].reshape(-1, 3)[seen],
                world_transl=transl[seen],
            )
        )
    known = tuple(float(x) for x in content["intrinsics"].reshape(-1)) if "intrinsics" in content else None
    if known is not None and len(known) != 4:
        raise InputError(f"{path}: intrinsics are {len(known)} numbers; give fx, fy, cx, cy in source pixels")
    return ParameterFile(tracks=tracks, c2w=c2w, intrinsics=known)  # type: ignore[arg-type]


PARAMETER_KINDS: dict[str, Callable[[Path, str], ParameterFile]] = {
    "wham": read_wham,
    "tram": read_tram,
    "gvhmr": read_gvhmr,
    "smpl": read_smpl,
}


def settle_shape(track: Track, body: Body) -> tuple[Float[ndarray, "10"], Float[ndarray, "3"]]:
    """Betas for ``body``, and the rest pelvis that the track's own root turns about.

    A licensed SMPL body takes SMPL's betas. For the free body they mean something else: the person gets its mean shape.
    """
    if track.betas is None or body.name == "free":
        return np.zeros(10), np.asarray(track.pelvis)
    betas = np.asarray(track.betas, np.float64)
    return betas, find_pelvis(body, betas)


def find_pelvis(body: Body, betas: Float[ndarray, "10"]) -> Float[ndarray, "3"]:
    """Rest pelvis of a shape, metres."""
    return body.rest_joints(torch.from_numpy(betas).float())[0].double().numpy()


def find_cameras(track: Track, pelvis: Float[ndarray, "3"]) -> Float[ndarray, "F 4 4"]:
    """Camera to world that takes the person in the camera to the same person in the world.

    R = R_world · R_cameraᵀ; t takes one pelvis to the other. Methods refine the two apart, so this is the camera that
    their world implies, not the one that they started from.
    """
    if track.camera_orient_aa is None or track.world_orient_aa is None:
        raise InputError("neither cameras nor people in both camera and world; nothing says where the camera is")
    assert track.camera_transl is not None and track.world_transl is not None
    in_camera, in_world = (
        axis_angle_to_matrix(torch.from_numpy(np.asarray(angles, np.float64))).numpy()
        for angles in (track.camera_orient_aa, track.world_orient_aa)
    )
    c2w = np.tile(np.eye(4), (len(track.frames), 1, 1))
    c2w[:, :3, :3] = in_world @ in_camera.transpose(0, 2, 1)
    from_camera = c2w[:, :3, :3] @ (track.camera_transl + pelvis)[..., None]
    c2w[:, :3, 3] = track.world_transl + pelvis - from_camera[..., 0]
    return c2w


def _take(content: Mapping[Any, Any], key: str, path: Path, width: int | None = None) -> ndarray:
    """An array of numbers, as (F, width) where a width is asked for."""
    if not isinstance(content, Mapping) or key not in content:
        raise InputError(f"{path}: no {key} in it; docs/evaluation.md lists what each kind of file must hold")
    values = np.asarray(content[key])
    if values.dtype.kind not in "fiub" or (width is not None and values.size % width):
        raise InputError(f"{path}: {key} has shape {values.shape} and type {values.dtype}; see docs/evaluation.md")
    return values if width is None else values.reshape(-1, width)


def _take_part(content: Mapping[Any, Any], key: str, path: Path) -> Mapping[Any, Any]:
    if not isinstance(content.get(key), Mapping):
        raise InputError(f"{path}: no {key} in it; docs/evaluation.md lists what each kind of file must hold")
    return content[key]
