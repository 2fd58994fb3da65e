"""A clip of which the scene branch sees a few frames, as a window that knows the truth: for cameras between these."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from unish.geometry.camera import unproject
from unish.geometry.rigid import invert_rigid
from unish.geometry.rotation import rotation_angle
from unish.passes.between import BetweenReader
from unish.passes.network_pass import DenseFrames
from unish.passes.run_folder import RunFolder
from unish.reconstruction import CamerasBetween, Window, describe_window, fill_between, stitch_windows
from unish.reconstruction.stitch import Shot
from unish.structs import Camera, Clip, FrameArray, Landmarks, Prediction, Tracks

UNIT = 1.7
"""Of the window, in metres⁻¹."""


@dataclass(frozen=True, kw_only=True)
class SceneGaps:
    """T frames whose cameras are known, the first as world.

    Attributes:
        depth: metres.
        dense: frames that the scene branch sees.
    """

    clip: Clip
    c2w: Tensor
    depth: Tensor
    camera: Camera
    dense: list[int]

    def window(self) -> Window:
        """The dense frames, in a unit of their own."""
        cameras, count = invert_rigid(self.c2w[:1]) @ self.c2w[self.dense], len(self.dense)
        cameras[:, :3, 3] *= UNIT
        points = unproject(self.depth[self.dense] * UNIT, self.camera.matrix.expand(count, 3, 3))
        logits = torch.full((1, count, *self.depth.shape[1:]), 3.0)
        prediction = Prediction(local_points=points[None], point_conf_logits=logits, c2w=cameras[None])
        return describe_window(prediction, range(count), None)

    def measure(self, folder: Path, *, hidden: bool = False) -> CamerasBetween:
        """What the pictures say. ``hidden``: none of them shows any scene."""
        count, size = len(self.dense), tuple(self.depth.shape[1:])
        nobody = Tracks(
            person_ids=torch.zeros(0).long(), valid=torch.zeros(0, count).bool(), boxes_xyxy=torch.zeros(0, count, 4),
            masks=torch.full((count, *size), -1, dtype=torch.int16),
        )  # fmt: skip
        landmarks = Landmarks(
            px=torch.zeros(0, count, 33, 3), world=torch.zeros(0, count, 33, 3), score=torch.zeros(0, count)
        )
        pictures = FrameArray((count, *size, 3), torch.uint8, lambda number: self.clip.images[self.dense[number]])
        dense = DenseFrames(clip=self.clip, pictures=pictures, tracks=nobody, landmarks=landmarks)
        reader = BetweenReader(self.clip, dense, torch.full((count, *size), hidden), RunFolder(folder))
        return reader.shot(slice(0, len(self.c2w)), self.dense, 0, [self.window()], self.camera)

    def stitch(self) -> Shot:
        """Of the dense frames."""
        return stitch_windows([self.window()], torch.zeros(0, len(self.dense)).bool(), self.camera)

    def fill(self, shot: Shot, between: CamerasBetween | None) -> Shot:
        """With the cameras of all frames."""
        times = (self.clip.timestamps_s - self.clip.timestamps_s[0]).float()
        return fill_between(shot, torch.tensor(self.dense), times, None, None, between)

    def errors(self, found: Shot) -> tuple[Tensor, Tensor]:
        """Of the cameras of all frames, metres and degrees."""
        turned = rotation_angle(found.c2w[:, :3, :3].double().mT @ self.c2w[:, :3, :3].double()).rad2deg()
        return (found.c2w[:, :3, 3] / UNIT - self.c2w[:, :3, 3]).norm(dim=-1), turned
