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

from scene_gaps import UNIT, SceneGaps
from unish.geometry.rigid import invert_rigid, make_rigid
from unish.geometry.rotation import axis_angle_to_matrix
from unish.reconstruction import CamerasBetween
from unish.structs import Camera, Clip

SIZE, FOCAL = (192, 256), 210.0
DENSE = [0, 5, 10, 15]
TIMES_S = torch.arange(16).double() / 30
CAMERA = Camera(matrix=torch.tensor([[FOCAL, 0, 128], [0, FOCAL, 96], [0, 0, 1]]), size=SIZE, focal_source="given")


def look(true: Tensor) -> SceneGaps:
    """Pictures of a room, of which the first camera is the world, and their depth."""
    start = make_rigid(torch.eye(3), torch.tensor([0.0, 0.0, -1.5]))
    pictures, log_depth = see_room(start @ true, CAMERA.matrix.expand(len(true), 3, 3), SIZE)
    images = (pictures.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1)
    return make(true, images, log_depth.exp())


def make(true: Tensor, images: Tensor | None = None, depth: Tensor | None = None) -> SceneGaps:
    clip = Clip(
        images=torch.zeros(16, *SIZE, 3).byte() if images is None else images, timestamps_s=TIMES_S,
        frame_indices=torch.arange(16), segment=torch.zeros(16).long(), source_size=SIZE,
    )  # fmt: skip
    return SceneGaps(
        clip=clip, c2w=true, depth=torch.ones(16, *SIZE) if depth is None else depth, camera=CAMERA, dense=DENSE
    )


def hand_of(seed: int) -> Tensor:
    true = hand(TIMES_S.numpy(), seed)
    return invert_rigid(true[:1]) @ true


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_hand_that_trembles_is_followed(seed: int, tmp_path: Path) -> None:
    """Within 1 cm and .2 degrees in every frame; a curve through the dense frames misses more."""
    gaps = look(hand_of(seed))
    between, shot = gaps.measure(tmp_path), gaps.stitch()
    assert between.known.any(-1).tolist() == [frame not in DENSE for frame in range(16)]
    off_m, off_deg = gaps.errors(gaps.fill(shot, between))
    _, curve_deg = gaps.errors(gaps.fill(shot, None))
    assert float(off_m.max()) < 0.01 and float(off_deg.max()) < 0.2
    assert float(off_deg.max()) < 0.5 * float(curve_deg.max())
    blind = replace(gaps, clip=replace(gaps.clip, images=torch.zeros_like(gaps.clip.images)))
    assert torch.equal(blind.measure(tmp_path).relative, between.relative), "what is kept is not looked at again"


def test_nothing_is_measured_where_there_is_no_scene(tmp_path: Path) -> None:
    gaps = look(hand_of(0))
    filled = gaps.fill(gaps.stitch(), gaps.measure(tmp_path, hidden=True))
    assert filled.measured is not None and not filled.measured.any()
    assert torch.equal(filled.c2w, gaps.fill(gaps.stitch(), None).c2w)


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
    gaps, units = make(hand_of(1)), (1.0, 1.5)
    shot, between = gaps.stitch(), told_exactly(gaps.c2w, units)
    off_m, off_deg = gaps.errors(gaps.fill(replace(shot, units=units), between))
    assert float(off_m.max()) < 1e-5 and float(off_deg.max()) < 0.01
    assert float(gaps.errors(gaps.fill(replace(shot, units=(1.0, 1.0)), between))[0].max()) > 1e-3


def test_the_nearer_dense_frame_counts_more_and_one_alone_is_enough() -> None:
    true = make_rigid(torch.eye(3).expand(16, 3, 3), torch.arange(16)[:, None] * torch.tensor([0.01, 0.0, 0.0]))
    gaps = make(true)
    shot, between = gaps.stitch(), told_exactly(true)
    between.relative[:, 1, 1, 3] += 0.1 * UNIT
    place = gaps.fill(shot, between).c2w[:, 1, 3] / UNIT
    np.testing.assert_allclose(place[1:5], [0.02, 0.04, 0.06, 0.08], atol=1e-5)
    between.known[:, 0] = False
    np.testing.assert_allclose(gaps.fill(shot, between).c2w[[1, 4], 1, 3] / UNIT, [0.1, 0.1], atol=1e-5)


def test_a_camera_that_only_turns_goes_nowhere_between_and_one_that_stands_stays() -> None:
    turns = axis_angle_to_matrix(torch.arange(16)[:, None] * torch.tensor([0.0, 0.01, 0.0]))
    gaps = make(make_rigid(turns, torch.zeros(16, 3)))
    shot, between = gaps.stitch(), told_exactly(gaps.c2w)
    between.relative[..., :3, 3] += 0.01
    filled = gaps.fill(shot, between)
    assert not filled.c2w[:, :3, 3].any() and float(gaps.errors(filled)[1].max()) < 0.01
    still = gaps.fill(replace(shot, still=True), between)
    assert torch.equal(still.c2w, torch.eye(4).repeat(16, 1, 1)) and still.measured is None
