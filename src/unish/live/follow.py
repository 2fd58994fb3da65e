"""Results of one window after the other, while the video is still coming.

Each window is reconstructed alone and put where the frames that it shares with the one before say. So these results
come early and are not the final ones, which see the whole video: scale and people of each window are its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from unish import pipeline
from unish.body import move_body
from unish.geometry.rigid import make_rigid, transform_points
from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle, nearest_rotation
from unish.io import to_json_values
from unish.live.windows import LiveWindow
from unish.passes import Models
from unish.people.boxes import box_iou
from unish.settings import Settings
from unish.structs import BodyParams, Reconstruction

Tell = Callable[[dict[str, Any]], None]
"""Takes what is known of a window, as JSON has it."""

_SAME_PERSON_IOU = 0.3
"""Mean overlap of boxes in shared frames above which two windows show one person."""


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """The frames of the last window in the world of their shot; ``shots`` and ``ids`` are those of the stream."""

    indices: list[int]
    c2w: Float[Tensor, "N 4 4"]
    shots: list[int]
    ids: list[int]
    valid: Bool[ndarray, "P N"]
    boxes_xyxy: Float[ndarray, "P N 4"]


class Follower:
    """Reconstructs windows in order; says of each what is new.

    Args:
        settings: of the run.
    """

    def __init__(self, settings: Settings, models: Models) -> None:
        # Which frames are used was decided when the window was made.
        self._settings = replace(settings, start=None, end=None, max_frames=None)
        self._models = models
        self._before: _Shown | None = None
        self._num_windows = self._num_ids = 0

    def follow(self, window: LiveWindow) -> dict[str, Any]:
        """What is known of the frames that no window before has shown; keys as in ``docs/live.md``."""
        begun = time.monotonic()
        result = pipeline.run(window.clip, settings=self._settings, models=self._models)
        found, before = result.reconstruction, self._before
        rows = [place for place, index in enumerate(found.frame_indices.tolist()) if self._is_shared(index)]
        transforms, shots = self._place(found, rows)
        ids = self._name_people(found, rows)
        c2w = transforms @ torch.from_numpy(found.c2w)
        self._before = _Shown(
            indices=found.frame_indices.tolist(), c2w=c2w, shots=shots, ids=ids, valid=found.person_valid,
            boxes_xyxy=found.boxes_xyxy,
        )  # fmt: skip
        newest = -1 if before is None else before.indices[-1]
        new = [place for place, index in enumerate(found.frame_indices.tolist()) if index > newest]
        moved = _move_people(result, transforms)
        told = {
            "event": "window",
            "window": self._num_windows,
            "final": False,
            "frame_indices": found.frame_indices[new],
            "timestamps_s": found.timestamps_s[new],
            "shots": [shots[place] for place in new],
            "image_size": found.image_size,
            "intrinsics": found.intrinsics[new],
            "c2w": c2w[new].numpy(),
            "people": [
                {"id": identity, "betas": found.betas[row], "valid": found.person_valid[row, new]}
                | {name: values[row, new] for name, values in moved.items()}
                for row, identity in enumerate(ids)
                if found.person_valid[row, new].any()
            ],
            "warnings": result.report["warnings"],
            "seconds": round(time.monotonic() - begun, 3),
            "latency_s": round(time.monotonic() - window.arrived_s, 3),
        }
        self._num_windows += 1
        values: dict[str, Any] = to_json_values(told)
        return values

    def _is_shared(self, index: int) -> bool:
        return self._before is not None and index in self._before.indices

    def _place(self, found: Reconstruction, rows: list[int]) -> tuple[Float[Tensor, "N 4 4"], list[int]]:
        """What takes each frame's world to that of its shot in the stream, and the number of that.

        Args:
            rows: frames of ``found`` that the window before has shown, too.
        """
        before, segment = self._before, found.segment.tolist()
        transforms = torch.eye(4).repeat(len(segment), 1, 1)
        if before is None:
            return transforms, segment
        if not rows:  # nothing says how the two worlds lie
            return transforms, [before.shots[-1] + 1 + one for one in segment]
        last = segment[rows[-1]]
        there = [before.indices.index(int(found.frame_indices[row])) for row in rows if segment[row] == last]
        here = torch.from_numpy(found.c2w)[[row for row in rows if segment[row] == last]]
        shot = before.shots[there[-1]]
        transforms[[place for place, one in enumerate(segment) if one == last]] = _mean_transform(
            here, before.c2w[there]
        )
        return transforms, [shot + one - last for one in segment]

    def _name_people(self, found: Reconstruction, rows: list[int]) -> list[int]:
        """Numbers of people in the stream: that of whom they overlap with most in shared frames, else new ones."""
        before, ids = self._before, [-1] * len(found.person_ids)
        if before is not None and rows:
            there = [before.indices.index(int(found.frame_indices[row])) for row in rows]
            overlap = np.array(
                [
                    [_overlap(found, row, rows, before, earlier, there) for earlier in range(len(before.ids))]
                    for row in range(len(ids))
                ]
            ).reshape(len(ids), len(before.ids))
            while overlap.size and overlap.max() > _SAME_PERSON_IOU:
                best, earlier = divmod(int(overlap.argmax()), overlap.shape[1])
                ids[best] = before.ids[earlier]
                overlap[best], overlap[:, earlier] = 0, 0
        for row, identity in enumerate(ids):
            if identity < 0:
                ids[row], self._num_ids = self._num_ids, self._num_ids + 1
        return ids


def _overlap(found: Reconstruction, row: int, rows: list[int], before: _Shown, earlier: int, there: list[int]) -> float:
    """Mean intersection over union of two people's boxes in shared frames; 0 where they are never both seen."""
    both = [
        float(box_iou(found.boxes_xyxy[row, [now]], before.boxes_xyxy[earlier, [then]])[0, 0])
        for now, then in zip(rows, there, strict=True)
        if found.person_valid[row, now] and before.valid[earlier, then]
    ]
    return float(np.mean(both)) if both else 0.0


def _mean_transform(here: Float[Tensor, "N 4 4"], there: Float[Tensor, "N 4 4"]) -> Float[Tensor, "4 4"]:
    """The rigid transform that takes cameras of one world to those of another, averaged over the frames."""
    rotation = nearest_rotation((there[:, :3, :3] @ here[:, :3, :3].transpose(-1, -2)).mean(0))
    return make_rigid(rotation, (there[:, :3, 3] - here[:, :3, 3] @ rotation.T).mean(0))


def _move_people(result: pipeline.Result, transforms: Float[Tensor, "N 4 4"]) -> dict[str, ndarray]:
    """Parameters and joints of all people, as in ``Reconstruction``, after the transform of each frame."""
    found = result.reconstruction
    pose = torch.from_numpy(found.body_pose_aa).unflatten(-1, (23, 3))
    betas = torch.from_numpy(found.betas)[:, None].expand(*found.transl.shape[:2], -1)
    params = BodyParams(
        betas=betas, global_orient=axis_angle_to_matrix(torch.from_numpy(found.global_orient_aa)),
        body_pose=axis_angle_to_matrix(pose), transl=torch.from_numpy(found.transl),
    )  # fmt: skip
    of_each = transforms.expand(len(found.person_ids), -1, -1, -1)
    moved = move_body(params, of_each, result.body.rest_joints(betas)[..., 0, :])
    return {
        "global_orient_aa": matrix_to_axis_angle(moved.global_orient).numpy(),
        "body_pose_aa": found.body_pose_aa,
        "transl": moved.transl.numpy(),
        "joints": transform_points(of_each, torch.from_numpy(found.joints)).numpy(),
    }
