"""Cameras between the frames that the scene branch sees, measured by what the pictures show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_between import hand
from textured_room import see_room
from torch import Tensor

from unish.geometry.camera import unproject
from unish.geometry.rigid import invert_rigid, make_rigid, transform_points
from unish.geometry.rotation import axis_angle_to_matrix, rotation_angle
from unish.passes.between import BetweenReader
from unish.passes.network_pass import DenseFrames
from unish.passes.run_folder import RunFolder
from unish.reconstruction import CamerasBetween, Window, describe_window, fill_between, stitch_windows
from unish.reconstruction.stitch import Shot
from unish.structs import Camera, Clip, FrameArray, Landmarks, Prediction, Tracks

SIZE, FOCAL, UNIT = (192, 256), 210.0, 1.7
DENSE = [0, 5, 10, 15]
TIMES_S = torch.arange(16).double() / 30
CAMERA = Camera(matrix=torch.tensor([[FOCAL, 0, 128], [0, FOCAL, 96], [0, 0, 1]]), size=SIZE, focal_source="given")


def look(c2w: Tensor) -> tuple[Clip, Tensor]:
    """Pictures of a room, of which the first camera is the world, and their depth."""
    start = make_rigid(torch.eye(3), torch.tensor([0.0, 0.0, -1.5]))
    pictures, log_depth = see_room(start @ c2w, CAMERA.matrix.expand(len(c2w), 3, 3), SIZE)
    images = (pictures.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1)
    clip = Clip(
        images=images, timestamps_s=TIMES_S, frame_indices=torch.arange(16), segment=torch.zeros(16).long(),
        source_size=SIZE,
    )  # fmt: skip
    return clip, log_depth.exp()


def make_window(c2w: Tensor, depth: Tensor) -> Window:
    """The dense frames as a window that knows the truth, in a unit of its own."""
    cameras = invert_rigid(c2w[:1]) @ c2w[DENSE]
    cameras[:, :3, 3] *= UNIT
    matrices = CAMERA.matrix.expand(len(DENSE), 3, 3)
    prediction = Prediction(
        local_points=unproject(depth[DENSE] * UNIT, matrices)[None],
        point_conf_logits=torch.full((1, len(DENSE), *SIZE), 3.0),
        c2w=cameras[None],
    )
    return describe_window(prediction, range(len(DENSE)), None)


def make_reader(clip: Clip, folder: Path, *, hidden: bool = False) -> BetweenReader:
    count = len(DENSE)
    nobody = Tracks(
        person_ids=torch.zeros(0).long(), valid=torch.zeros(0, count).bool(), boxes_xyxy=torch.zeros(0, count, 4),
        masks=torch.full((count, *SIZE), -1, dtype=torch.int16),
    )  # fmt: skip
    landmarks = Landmarks(
        px=torch.zeros(0, count, 33, 3), world=torch.zeros(0, count, 33, 3), score=torch.zeros(0, count)
    )
    pictures = FrameArray((count, *SIZE, 3), torch.uint8, lambda number: clip.images[DENSE[number]])
    dense = DenseFrames(clip=clip, pictures=pictures, tracks=nobody, landmarks=landmarks)
    return BetweenReader(clip, dense, torch.full((count, *SIZE), hidden), RunFolder(folder))


def measure(clip: Clip, window: Window, folder: Path, *, hidden: bool = False) -> CamerasBetween:
    return make_reader(clip, folder, hidden=hidden).shot(slice(0, 16), DENSE, 0, [window], CAMERA)


def stitch(window: Window) -> Shot:
    return stitch_windows([window], torch.zeros(0, len(DENSE)).bool(), CAMERA)


def fill(shot: Shot, between: CamerasBetween | None) -> Shot:
    return fill_between(shot, torch.tensor(DENSE), TIMES_S.float(), None, None, between)


def errors(found: Shot, true: Tensor) -> tuple[Tensor, Tensor]:
    """Metres and degrees."""
    turned = rotation_angle(found.c2w[:, :3, :3].double().mT @ true[:, :3, :3].double()).rad2deg()
    return (found.c2w[:, :3, 3] / UNIT - true[:, :3, 3]).norm(dim=-1), turned


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_hand_that_trembles_is_followed(seed: int, tmp_path: Path) -> None:
    """Within 1 cm and .2 degrees in every frame; a curve through the dense frames misses more."""
    true = hand(TIMES_S.numpy(), seed)
    true = invert_rigid(true[:1]) @ true
    clip, depth = look(true)
    window = make_window(true, depth)
    between = measure(clip, window, tmp_path)
    assert between.known.any(-1).tolist() == [frame not in DENSE for frame in range(16)]
    shot = stitch(window)
    off_m, off_deg = errors(fill(shot, between), true)
    _, curve_deg = errors(fill(shot, None), true)
    assert float(off_m.max()) < 0.01 and float(off_deg.max()) < 0.2
    assert float(off_deg.max()) < 0.7 * float(curve_deg.max())
    again = measure(replace(clip, images=torch.zeros_like(clip.images)), window, tmp_path)
    assert torch.equal(again.relative, between.relative), "what is kept is not looked at again"


def test_nothing_is_measured_where_there_is_no_scene(tmp_path: Path) -> None:
    true = hand(TIMES_S.numpy(), 0)
    clip, depth = look(true)
    window = make_window(true, depth)
    between = measure(clip, window, tmp_path, hidden=True)
    filled = fill(stitch(window), between)
    assert filled.measured is not None and not filled.measured.any()
    assert torch.equal(filled.c2w, fill(stitch(window), None).c2w)


def told_exactly(true: Tensor, units: Sequence[float] = (1.0,)) -> CamerasBetween:
    """What both dense frames of each other frame would say, in the unit of a window, by turns."""
    between = CamerasBetween.unknown(16)
    for frame in set(range(16)) - set(DENSE):
        after = int(np.searchsorted(DENSE, frame))
        for side, end in enumerate((after - 1, after)):
            relative = invert_rigid(true[DENSE[end]]) @ true[frame]
            relative[:3, 3] *= UNIT / units[after % len(units)]
            between.window[frame] = after % len(units)
            between.relative[frame, side] = relative
            between.known[frame, side] = True
    return between


def test_each_window_speaks_in_its_unit() -> None:
    true = hand(TIMES_S.numpy(), 1)
    true = invert_rigid(true[:1]) @ true
    shot = stitch(make_window(true, torch.ones(16, *SIZE)))
    units = (1.0, 1.5)
    between = told_exactly(true, units)
    off_m, off_deg = errors(fill(replace(shot, units=units), between), true)
    assert float(off_m.max()) < 1e-5 and float(off_deg.max()) < 0.01
    assert float(errors(fill(replace(shot, units=(1.0, 1.0)), between), true)[0].max()) > 1e-3


def test_the_nearer_dense_frame_counts_more_and_one_alone_is_enough() -> None:
    true = make_rigid(torch.eye(3).expand(16, 3, 3), torch.arange(16)[:, None] * torch.tensor([0.01, 0.0, 0.0]))
    shot = stitch(make_window(true, torch.ones(16, *SIZE)))
    between = told_exactly(true)
    between.relative[:, 1, 1, 3] += 0.1 * UNIT
    place = fill(shot, between).c2w[:, 1, 3] / UNIT
    np.testing.assert_allclose(place[1:5], [0.02, 0.04, 0.06, 0.08], atol=1e-5)
    between.known[:, 0] = False
    np.testing.assert_allclose(fill(shot, between).c2w[[1, 4], 1, 3] / UNIT, [0.1, 0.1], atol=1e-5)


def test_a_camera_that_only_turns_goes_nowhere_between_and_one_that_stands_stays() -> None:
    turns = axis_angle_to_matrix(torch.arange(16)[:, None] * torch.tensor([0.0, 0.01, 0.0]))
    true = make_rigid(turns, torch.zeros(16, 3))
    shot = stitch(make_window(true, torch.ones(16, *SIZE)))
    between = told_exactly(true)
    between.relative[..., :3, 3] += 0.01
    filled = fill(shot, between)
    assert not filled.c2w[:, :3, 3].any() and float(errors(filled, true)[1].max()) < 0.01
    still = fill(replace(shot, still=True), between)
    assert torch.equal(still.c2w, torch.eye(4).repeat(16, 1, 1)) and still.measured is None
    points = transform_points(filled.c2w, torch.tensor([[0.0, 0.0, 2.0]]).expand(16, 1, 3))
    assert torch.isfinite(points).all()
