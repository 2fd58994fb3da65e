"""Bodies and cameras of a result against those of a motion dataset, at the dataset's frame rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64
from torch import Tensor

from unish.errors import InputError
from unish.geometry.rigid import invert_rigid, transform_points
from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from unish.lab.evaluation.benchmarks.depth.video import score_cameras
from unish.lab.evaluation.benchmarks.landmark_truth import source_pixels
from unish.lab.evaluation.benchmarks.motion.resampling import (
    bracket_times,
    resample_points,
    resample_poses,
    resample_rotations,
)
from unish.lab.evaluation.benchmarks.motion.truth import MotionTruth, TruePerson, pose_smpl
from unish.lab.evaluation.metrics import (
    JointSetName,
    acceleration_error,
    find_root,
    foot_points,
    foot_sliding,
    jitter,
    joint_error,
    joint_error_procrustes,
    match_people,
    regress_joints,
    root_path,
    root_trajectory_error,
    world_joint_error,
)
from unish.lab.evaluation.predictor import Answer
from unish.lab.evaluation.results import Row
from unish.structs import Reconstruction

MAX_GAP_S = 0.5
"""Where a person or the camera is unknown for longer than this, nothing is filled in and nothing is scored."""

Scope = Literal["camera", "world", "both"]
"""camera: pose as the camera sees it (MPJPE, PA-MPJPE, PVE, Accel). world: paths (WA, W, RTE, jitter, foot sliding) and
the camera."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Joints:
    """Which joints are scored, and how they are found.

    Attributes:
        name: the set; ``smpl24`` or ``h36m14``.
        regressor: vertices of SMPL → joints. The published scores of SMPL's 24 joints regress them from posed vertices;
            so it is done here where both meshes are SMPL's. Else the joints of the skeleton stand in.
    """

    name: JointSetName = "smpl24"
    regressor: Float[Tensor, "J V"] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion:
    """One predicted person at the T times of the truth, in the predicted world, metres.

    Attributes:
        known: where the person is; elsewhere the rest is meaningless.
        feet: ``metrics.foot_points``.
    """

    known: Bool[Tensor, "T"]
    joints: Float64[Tensor, "T 24 3"]
    vertices: Float32[Tensor, "T V 3"]
    feet: Float64[Tensor, "T 4 3"]


def score_motion(answer: Answer, truth: MotionTruth, *, scope: Scope, joints: Joints) -> Row:
    """One row of scores; NaN where nobody was matched.

    People are matched by their boxes in the used frames (``match_people``). Each is brought to the times of the truth
    (``resampling``) and scored where both sides know it; ``people_matched`` is the share of the true person-frames for
    which that is so. Errors are means over these frames of all people; RTE and the qualities of motion are means over
    people, weighted by the number of their frames.

    Raises:
        InputError: 14 joints are asked for and the answer's body is not SMPL's.
    """
    found = answer.reconstruction
    camera = bracket_times(
        torch.from_numpy(found.timestamps_s).double(),
        truth.times_s,
        max_gap_s=MAX_GAP_S,
        segment=torch.from_numpy(found.segment).long(),
    )
    c2w = resample_poses(torch.from_numpy(found.c2w).double(), camera)
    pairs = [
        _Pair(
            found=resample_person(answer, person, truth.times_s),
            true=truth.people[whom],
            found_c2w=c2w,
            true_c2w=truth.c2w,
            camera_known=camera.inside,
            fps=truth.fps,
            joints=joints,
        )
        for person, whom in _match(found, truth)
    ]
    frames = [int(pair.valid.sum()) for pair in pairs]
    total = sum(int(person.valid.sum()) for person in truth.people)
    row: Row = {"frames": sum(frames), "people_matched": sum(frames) / total if total else float("nan")}
    if scope != "world":
        row |= _average([pair.score_in_camera() for pair in pairs], frames, IN_CAMERA)
    if scope != "camera":
        row |= _average([pair.score_in_world() for pair in pairs], frames, IN_WORLD)
        # A camera that stands still has no path to be compared with.
        if _extent(truth.c2w) > 1e-3 and int(camera.inside.sum()) > 1:
            row |= score_cameras(c2w[camera.inside], truth.c2w[camera.inside], is_metric=True)
    return row


def resample_person(answer: Answer, person: int, times_s: Float64[Tensor, "T"]) -> Motion:
    """A predicted person at other times: joint rotations by slerp, the place of the pelvis on a straight line.

    The shape does not change, so that ``transl``, which SMPL adds after turning the body about its pelvis, moves as
    the pelvis does.
    """
    found = answer.reconstruction
    seen = (found.person_valid | found.person_filled)[person] & np.isfinite(found.transl[person]).all(-1)
    frames = np.flatnonzero(seen)
    bracket = bracket_times(
        torch.from_numpy(found.timestamps_s[frames]).double(),
        times_s,
        max_gap_s=MAX_GAP_S,
        segment=torch.from_numpy(found.segment[frames]).long(),
    )
    angles = np.concatenate([found.global_orient_aa[person], found.body_pose_aa[person]], axis=-1)[frames]
    rotations = axis_angle_to_matrix(torch.from_numpy(angles).double().unflatten(-1, (24, 3)))
    pose = matrix_to_axis_angle(resample_rotations(rotations, bracket)).flatten(-2).numpy()
    transl = resample_points(torch.from_numpy(found.transl[person, frames]).double(), bracket).numpy()
    joints, vertices = pose_smpl(answer.body, found.betas[person], pose[:, :3], pose[:, 3:], transl)
    return Motion(
        known=bracket.inside, joints=joints, vertices=vertices, feet=foot_points(vertices, answer.body).double()
    )


def _match(found: Reconstruction, truth: MotionTruth) -> list[tuple[int, int]]:
    """(predicted, true) people."""
    used = np.flatnonzero(found.frame_indices < len(truth.c2w))
    if not truth.people or not found.num_people or not len(used):
        return []
    to_source = np.tile(source_pixels(found), 2).astype(np.float32)
    pictures = torch.from_numpy(found.frame_indices[used]).long()
    return match_people(
        torch.from_numpy(found.boxes_xyxy[:, used] * to_source),
        torch.stack([person.boxes_xyxy for person in truth.people])[:, pictures],
        torch.from_numpy(found.person_valid[:, used]),
        torch.stack([person.valid for person in truth.people])[:, pictures],
    )


IN_CAMERA = ("mpjpe_mm", "pa_mpjpe_mm", "pve_mm", "accel_m_s2", "person_distance_error")
IN_WORLD = ("wa_mpjpe_mm", "w_mpjpe_mm", "root_trajectory_percent", "jitter", "foot_sliding_mm")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pair:
    """A predicted person and the true one, both at the times of the truth."""

    found: Motion
    true: TruePerson
    found_c2w: Float64[Tensor, "T 4 4"]
    true_c2w: Float64[Tensor, "T 4 4"]
    camera_known: Bool[Tensor, "T"]
    fps: float
    joints: Joints

    @property
    def valid(self) -> Bool[Tensor, "T"]:
        """Frames in which both sides know the person and the camera."""
        return self.true.valid & self.found.known & self.camera_known

    def score_in_camera(self) -> dict[str, float]:
        """Errors as the camera sees them, roots at the origin."""
        found, true = self._find_joints()
        found = transform_points(invert_rigid(self.found_c2w), found)
        true = transform_points(invert_rigid(self.true_c2w), true)
        root, true_root = (find_root(x, joint_set=self.joints.name) for x in (found, true))
        centred, true_centred = found - root[:, None], true - true_root[:, None]
        return {
            "mpjpe_mm": self._mean(joint_error(found, true, root, true_root)),
            "pa_mpjpe_mm": self._mean(joint_error_procrustes(found, true)),
            "pve_mm": self._score_vertices(root, true_root),
            "accel_m_s2": float(acceleration_error(centred, true_centred, fps=self.fps, valid=self.valid)),
            "person_distance_error": self._mean((root.norm(dim=-1) / true_root.norm(dim=-1) - 1).abs()),
        }

    def score_in_world(self) -> dict[str, float]:
        """Errors along the whole sequence, and how the result moves by itself."""
        (found, true), valid = self._find_joints(), self.valid
        w, wa = (world_joint_error(found, true, first_frames=first, valid=valid) for first in (2, None))
        return {
            "wa_mpjpe_mm": self._mean(wa),
            "w_mpjpe_mm": self._mean(w),
            "root_trajectory_percent": float(root_trajectory_error(root_path(found), root_path(true), valid=valid)),
            "jitter": float(jitter(found, fps=self.fps, valid=valid)),
            "foot_sliding_mm": float(foot_sliding(self.found.feet, self.true.feet, fps=self.fps, valid=valid)),
        }

    @property
    def _same_mesh(self) -> bool:
        return self.found.vertices.shape[1] == self.true.vertices.shape[1]

    def _find_joints(self) -> tuple[Float64[Tensor, "T J 3"], Float64[Tensor, "T J 3"]]:
        """Joints of both in their worlds."""
        regressor = self.joints.regressor
        sides = self.found.vertices.double(), self.true.vertices.double()
        if self.joints.name != "smpl24" and regressor is not None:
            if not self._same_mesh:
                raise InputError(
                    f"the answer's body has {sides[0].shape[1]} vertices, these joints need SMPL's "
                    f"{sides[1].shape[1]}; give the method an SMPL file as its body"
                )
            found, true = (regress_joints(side, regressor, joint_set=self.joints.name) for side in sides)
            return found, true
        if regressor is not None and self._same_mesh:
            return regressor @ sides[0], regressor @ sides[1]
        return self.found.joints, self.true.joints

    def _score_vertices(self, root: Float64[Tensor, "T 3"], true_root: Float64[Tensor, "T 3"]) -> float:
        """PVE, in blocks so that memory stays bounded; NaN where the two meshes are not the same."""
        if not self._same_mesh:
            return float("nan")
        found_w2c, true_w2c = invert_rigid(self.found_c2w), invert_rigid(self.true_c2w)
        errors = [
            joint_error(
                transform_points(found_w2c[some], self.found.vertices[some].double()),
                transform_points(true_w2c[some], self.true.vertices[some].double()),
                root[some],
                true_root[some],
            )
            for some in torch.arange(len(root)).split(64)
        ]
        return self._mean(torch.cat(errors))

    def _mean(self, errors: Float[Tensor, "T"]) -> float:
        kept = errors[self.valid & errors.isfinite()]
        return float(kept.mean()) if len(kept) else float("nan")


def _average(scores: list[dict[str, float]], frames: list[int], columns: tuple[str, ...]) -> Row:
    """Means over people, weighted by their frames; NaN without anybody."""
    row: Row = {}
    for column in columns:
        pairs = [(one[column], count) for one, count in zip(scores, frames, strict=True) if np.isfinite(one[column])]
        total = sum(count for _, count in pairs)
        row[column] = sum(value * count for value, count in pairs) / total if total else float("nan")
    return row


def _extent(c2w: Float64[Tensor, "T 4 4"]) -> float:
    """How far the camera gets from where it began, metres."""
    return float((c2w[:, :3, 3] - c2w[:1, :3, 3]).norm(dim=-1).max())
