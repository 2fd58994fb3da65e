"""Shots become one record: in order, in the file's types, with nothing in it that nobody measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from standing_shots import HEIGHT, WIDTH, make_shot
from unish.body import load_body
from unish.reconstruction.assemble import assemble
from unish.reconstruction.ground import Ground
from unish.structs import Clip, Landmarks, Reconstruction, Tracks

BODY = load_body("free")
GROUNDS = [
    Ground(gravity=torch.tensor([0.0, 1, 0]), floor=torch.tensor([0.0, -1, 0, 1.5]), source="scene"),
    Ground(gravity=torch.full((3,), torch.nan), floor=torch.full((4,), torch.nan), source="none"),
]


def assemble_two(
    *, sky: torch.Tensor | None = None, landmarks: Landmarks | None = None, **changes: object
) -> Reconstruction:
    """Two shots of two and three frames; the second person is absent in the second shot. ``changes`` of the first."""
    first = replace(make_shot(num_people=2, num_frames=2), **changes)
    second = make_shot(num_people=2, num_frames=3)
    second = replace(second, valid=torch.tensor([[True] * 3, [False] * 3]), depth=second.depth + 20)
    clip = Clip(
        images=torch.zeros(5, 2 * HEIGHT, 2 * WIDTH, 3, dtype=torch.uint8),
        timestamps_s=torch.arange(5, dtype=torch.float64) / 6, frame_indices=5 * torch.arange(5),
        segment=torch.tensor([0, 0, 1, 1, 1]), source_size=(4 * HEIGHT, 4 * WIDTH), name="clip",
    )  # fmt: skip
    valid = torch.cat([first.valid, second.valid], dim=1)
    tracks = Tracks(
        person_ids=torch.tensor([4, 7]), valid=valid, boxes_xyxy=torch.arange(40.0).reshape(2, 5, 4),
        masks=torch.full((5, HEIGHT, WIDTH), -1, dtype=torch.int16),
    )  # fmt: skip
    landmarks = landmarks or Landmarks(
        px=torch.ones(2, 5, 33, 3), world=torch.zeros(2, 5, 33, 3), score=torch.ones(2, 5)
    )
    images = np.zeros((5, HEIGHT, WIDTH, 3), np.uint8)
    betas = torch.arange(20.0).reshape(2, 10)
    return assemble(
        clip, images, tracks.masks, tracks, landmarks, [first, second], GROUNDS, betas, BODY, "a model", sky
    )


def test_depth_is_zero_where_it_is_unknown_and_only_there() -> None:
    """Not confident, not finite, behind the camera; a nose that touches the lens is near, not unknown."""
    depth, conf = torch.full((2, HEIGHT, WIDTH), 3.0), torch.full((2, HEIGHT, WIDTH), 0.9)
    depth[0, 0, :6] = torch.tensor([0.01, 0.0, -1.0, torch.nan, torch.inf, 90.0])
    conf[0, 1, :3] = torch.tensor([0.09, 0.1, 0.11])
    record = assemble_two(depth=depth, conf=conf)
    assert record.depth[0, 0, :6].tolist() == [np.float32(0.01), 0, 0, 0, 0, 90]
    assert record.depth[0, 1, :3].tolist() == [0, 3, 3]
    assert (record.depth[1] == 3).all() and (record.depth[2:] >= 20).all()
    assert record.depth.dtype == np.float32 and record.point_conf.dtype == np.float16


def test_shots_follow_one_another_and_absent_people_have_no_numbers() -> None:
    record = assemble_two()
    first, second = make_shot(num_people=2, num_frames=2), make_shot(num_people=2, num_frames=3)
    np.testing.assert_array_equal(record.c2w, torch.cat([first.c2w, second.c2w]))
    np.testing.assert_array_equal(record.joints[0], torch.cat([first.joints, second.joints], 1)[0])
    np.testing.assert_array_equal(record.gravity, np.float32([[0, 1, 0], [np.nan] * 3]))
    np.testing.assert_array_equal(record.floor, np.float32([[0, -1, 0, 1.5], [np.nan] * 4]))
    assert record.person_valid.tolist() == [[True] * 5, [True, True, False, False, False]]
    assert not record.person_filled.any() and record.person_ids.tolist() == [4, 7]
    for name in (
        "boxes_xyxy",
        "landmarks_px",
        "global_orient_aa",
        "body_pose_aa",
        "transl",
        "joints",
        "joint_certainty",
    ):
        values = getattr(record, name)
        assert np.isnan(values[1, 2:]).all() and np.isfinite(values[0]).all() and np.isfinite(values[1, :2]).all(), name
    assert record.source_size.tolist() == [4 * HEIGHT, 4 * WIDTH] and record.image_size.tolist() == [HEIGHT, WIDTH]
    assert (record.frame_indices.tolist(), record.segment.tolist()) == ([0, 5, 10, 15, 20], [0, 0, 1, 1, 1])
    assert (record.model, record.betas[1, 0]) == ("a model", 10.0)


def test_joints_are_as_certain_as_their_landmarks_were_seen() -> None:
    """Not beyond the border, not where only a box was seen; doubt is in metres at the person."""
    px = torch.ones(2, 5, 33, 3)
    px[0, 0, 25, 1] = HEIGHT + 1  # left knee
    px[0, 1] = torch.nan
    sigma = torch.zeros(2, 5, 33)
    shot = make_shot(num_people=2, num_frames=2)
    w2c = torch.linalg.inv(shot.c2w)
    depth = (w2c[:, 2, :3] * shot.joints[..., 0, :]).sum(-1) + w2c[:, 2, 3]
    sigma[0, 0, 15] = 0.05 * shot.intrinsics[0, 0, 0] / depth[0, 0]  # left wrist, five centimetres
    landmarks = Landmarks(px=px, world=torch.zeros(2, 5, 33, 3), score=torch.ones(2, 5), sigma_px=sigma)
    certainty = assemble_two(landmarks=landmarks).joint_certainty
    assert certainty is not None and certainty.shape == (2, 5, 24) and certainty.dtype == np.float32
    expected = np.ones(24)
    expected[4], expected[20] = 0.0, 0.5
    np.testing.assert_allclose(certainty[0, 0], expected, atol=1e-5)
    assert not certainty[0, 1].any() and (certainty[0, 2:] == 1).all()
