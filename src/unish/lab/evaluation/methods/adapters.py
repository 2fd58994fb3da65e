"""Other people's outputs as methods: ``adapter:KIND:DIR``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from unish.body import Body, load_body
from unish.errors import InputError
from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from unish.lab.evaluation.methods.cameras import hold_cameras, scale_intrinsics
from unish.lab.evaluation.methods.files import check_folder, hash_folder
from unish.lab.evaluation.methods.parameters import (
    PARAMETER_KINDS,
    ParameterFile,
    Track,
    find_cameras,
    find_pelvis,
    settle_shape,
)
from unish.lab.evaluation.methods.point_maps import POINT_MAP_KINDS, choose_maps
from unish.lab.evaluation.methods.records import RECORD_LONG_SIDE, People, make_record
from unish.lab.evaluation.predictor import Answer, Request
from unish.structs import Clip, Reconstruction
from unish.video import processed_size

ADAPTER_PREFIX = "adapter:"


class AdapterPredictor:
    """Files of another program, read by ``PARAMETER_KINDS`` or ``POINT_MAP_KINDS`` and completed to a record.

    Parameter files say nothing about the scene: every depth is undefined, which depth metrics count as wrong. Point
    maps say nothing about people: none are found.
    """

    def __init__(self, kind: str, folder: Path, *, body: str = "free") -> None:
        if kind not in PARAMETER_KINDS | POINT_MAP_KINDS:
            known = ", ".join([*PARAMETER_KINDS, *POINT_MAP_KINDS])
            raise InputError(f"unknown kind of output {kind!r}; give adapter:KIND:DIR with one of {known}")
        self.kind = kind
        self.folder = check_folder(folder, f"give adapter:{kind}:DIR with outputs of that kind")
        self.body = body
        load_body(body)

    @property
    def fingerprint(self) -> str:
        return f"{ADAPTER_PREFIX}{self.kind}:{hash_folder(self.folder)}"

    def predict(self, request: Request) -> Answer:
        clip, body = request.read(), load_body(request.settings.get("body", self.body))
        if self.kind in PARAMETER_KINDS:
            found = PARAMETER_KINDS[self.kind](self.folder, request.name)
            record = self._from_parameters(found, clip, body, request)
        else:
            record = self._from_point_maps(clip, body, request.name)
        return Answer(reconstruction=record, report={}, body=body)

    def _from_parameters(self, found: ParameterFile, clip: Clip, body: Body, request: Request) -> Reconstruction:
        size = processed_size(clip.size, RECORD_LONG_SIDE)
        height, width = clip.source_size
        diagonal = math.hypot(height, width)
        known = found.intrinsics or request.settings.get("intrinsics") or (diagonal, diagonal, width / 2, height / 2)
        k = scale_intrinsics(known, clip, size).numpy()
        wanted = clip.frame_indices.numpy()
        people = [_Person.of(track, body) for track in found.tracks]
        if found.c2w is None:
            frames, c2w = join_worlds(people)
        else:
            frames, c2w = np.arange(len(found.c2w)), found.c2w
        cameras = hold_cameras(frames, c2w, wanted)
        return make_record(
            clip,
            body,
            size=size,
            c2w=cameras,
            intrinsics=np.tile(k, (clip.num_frames, 1, 1)),
            model=f"{ADAPTER_PREFIX}{self.kind}",
            people=_gather(people, wanted, cameras),
        )

    def _from_point_maps(self, clip: Clip, body: Body, sequence: str) -> Reconstruction:
        maps = POINT_MAP_KINDS[self.kind](self.folder, sequence)
        chosen = choose_maps(maps, clip)
        return make_record(
            clip,
            body,
            size=(maps.depth.shape[1], maps.depth.shape[2]),
            c2w=maps.c2w[chosen],
            intrinsics=maps.intrinsics[chosen],
            model=f"{ADAPTER_PREFIX}{self.kind}",
            depth=maps.depth[chosen],
            conf=maps.conf[chosen],
        )


@dataclass(kw_only=True)
class _Person:
    """A track in terms of the body at hand.

    Attributes:
        source_pelvis, pelvis: rest pelvis of the track's model, and of the body with these betas.
        to_world: from the track's own world to the common one; ``join_worlds`` sets it.
    """

    track: Track
    betas: Float[ndarray, "10"]
    source_pelvis: Float[ndarray, "3"]
    pelvis: Float[ndarray, "3"]
    to_world: Float[ndarray, "4 4"]

    @classmethod
    def of(cls, track: Track, body: Body) -> _Person:
        betas, source = settle_shape(track, body)
        return cls(track=track, betas=betas, source_pelvis=source, pelvis=find_pelvis(body, betas), to_world=np.eye(4))

    def place(
        self, rows: Int[ndarray, "K"], c2w: Float[ndarray, "K 4 4"]
    ) -> tuple[Float[ndarray, "K 3"], Float[ndarray, "K 3"]]:
        """Root (axis-angle) and ``transl`` of these rows of the track in the common world."""
        if self.track.world_orient_aa is not None and self.track.world_transl is not None:
            orient, transl = self.track.world_orient_aa[rows], self.track.world_transl[rows]
            move = np.broadcast_to(self.to_world, (len(rows), 4, 4))
        else:
            assert self.track.camera_orient_aa is not None and self.track.camera_transl is not None
            orient, transl, move = self.track.camera_orient_aa[rows], self.track.camera_transl[rows], c2w
        turned = move[:, :3, :3] @ axis_angle_to_matrix(torch.from_numpy(orient.astype(np.float64))).numpy()
        pelvis = (move[:, :3, :3] @ (transl + self.source_pelvis)[..., None])[..., 0] + move[:, :3, 3]
        return matrix_to_axis_angle(torch.from_numpy(turned)).numpy(), pelvis - self.pelvis


def join_worlds(people: list[_Person]) -> tuple[Int[ndarray, "F"], Float[ndarray, "F 4 4"]]:
    """One world for people who were each given in their own, and the cameras in it.

    The world is that of the person with the most frames. Every other one is turned and moved as a whole so that both
    imply the same camera where they are nearest in time; paths stay as the method made them.

    Raises:
        InputError: there is nobody, so nothing says where the camera is.
    """
    frames, cameras = np.zeros(0, np.int64), np.zeros((0, 4, 4))
    for person in sorted(people, key=lambda one: len(one.track.frames), reverse=True):
        own, track = find_cameras(person.track, person.source_pelvis), person.track.frames
        if len(track) == 0:
            continue
        if len(frames):
            gap = np.abs(frames[:, None] - track[None])
            here, there = np.unravel_index(gap.argmin(), gap.shape)
            person.to_world = cameras[here] @ np.linalg.inv(own[there])
        new = ~np.isin(track, frames)
        frames = np.concatenate([frames, track[new]])
        cameras = np.concatenate([cameras, person.to_world @ own[new]])
    if len(frames) == 0:
        raise InputError("the file holds nobody, and no cameras")
    return frames, cameras


def _gather(people: list[_Person], wanted: Int[ndarray, "T"], c2w: Float[ndarray, "T 4 4"]) -> People:
    """The wanted frames of every person, zeros where absent."""
    shape = (len(people), len(wanted))
    valid = np.zeros(shape, bool)
    orient, pose, transl = (np.zeros((*shape, width)) for width in (3, 69, 3))
    for number, person in enumerate(people):
        _, at, rows = np.intersect1d(wanted, person.track.frames, return_indices=True)
        valid[number, at] = True
        orient[number, at], transl[number, at] = person.place(rows, c2w[at])
        pose[number, at] = person.track.body_pose_aa[rows]
    betas = np.array([person.betas for person in people]).reshape(-1, 10)
    return People(valid=valid, betas=betas, global_orient_aa=orient, body_pose_aa=pose, transl=transl)
