"""A known distance: read from the depth of two pixels, spread over shots that share people, applied to everything."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from standing_shots import CAMERA_HEIGHT_M, FLOOR, INTRINSICS, UP, make_shot
from unish.body import load_body
from unish.reconstruction import Ground, measure_span, resize_world, spread_factors
from unish.reconstruction.depth_curve import DepthCurve

PIXELS = torch.tensor([[20.5, 45.5], [60.5, 50.5]])
"""(x, y) of two places on the floor."""


def test_a_span_is_the_distance_between_the_points_behind_two_pixels() -> None:
    shot = make_shot()
    rays = torch.nn.functional.pad(PIXELS, (0, 1), value=1.0) @ torch.linalg.inv(INTRINSICS).mT
    on_floor = rays * (CAMERA_HEIGHT_M / -(rays @ UP))[:, None]
    # The median over 3 × 3 pixels of a plane is nearly its middle.
    assert measure_span(shot, 0, PIXELS) == pytest.approx(float((on_floor[0] - on_floor[1]).norm()), rel=0.01)


def test_a_span_is_unknown_where_one_end_is() -> None:
    shot = make_shot()
    doubtful = shot.conf.clone()
    doubtful[0, 44:48, 18:23] = 0.05
    assert measure_span(replace(shot, conf=doubtful), 0, PIXELS) is None
    assert measure_span(replace(shot, conf=doubtful), 1, PIXELS) is not None, "another frame"
    sky = torch.tensor([[40.5, 1.5], [60.5, 50.5]])
    assert measure_span(shot, 0, sky) is None
    assert measure_span(shot, 0, torch.tensor([[0.1, 59.9], [79.9, 59.9]])) is not None, "at the edge of the picture"


def test_shots_that_share_people_share_their_factor() -> None:
    seen = torch.tensor(
        [
            [True, False, False, False],
            [True, True, False, False],
            [False, True, False, False],
            [False, False, True, False],
        ]
    )
    # Shot 0 and 2 have nobody in common but are joined by shot 1; nobody of shot 3 is elsewhere.
    assert spread_factors([[2.0], [], [], []], seen) == pytest.approx([2.0, 2.0, 2.0, None])
    assert spread_factors([[2.0], [], [8.0], []], seen) == pytest.approx([4.0, 4.0, 4.0, None])
    assert spread_factors([[], [], [], [3.0]], seen) == [None, None, None, pytest.approx(3.0)]
    alone = torch.zeros(2, 0, dtype=torch.bool)
    assert spread_factors([[2.0], []], alone) == [pytest.approx(2.0), None], "scene only"


def test_a_world_is_resized_as_a_whole() -> None:
    shot, body = make_shot(num_people=2), load_body("free")
    curve = DepthCurve(knots=torch.tensor([0.0, 1.0, 2.0]), offsets=torch.tensor([0.0, 0.1, 0.1]))
    shot = replace(shot, curve=curve)
    ground = Ground(gravity=-UP, floor=FLOOR, source="scene")
    larger, floor = resize_world(shot, ground, 1.1, body)
    torch.testing.assert_close(larger.depth[1], 1.1 * shot.depth[1])
    torch.testing.assert_close(larger.depth_before[1], 1.1 * shot.depth_before[1])
    torch.testing.assert_close(larger.c2w[:, :3, 3], 1.1 * shot.c2w[:, :3, 3])
    torch.testing.assert_close(larger.c2w[:, :3, :3], shot.c2w[:, :3, :3])
    torch.testing.assert_close(larger.joints, 1.1 * shot.joints, rtol=0, atol=0.015)
    torch.testing.assert_close(larger.joints, body.joints(larger.params))
    torch.testing.assert_close(floor.floor, FLOOR * torch.tensor([1.0, 1.0, 1.0, 1.1]))
    assert (larger.scale.factor, larger.scale.source) == (pytest.approx(1.1 * shot.scale.factor), "distance")
    assert larger.curve is not None
    depth = torch.tensor([1.0, 2.5, 6.0, 20.0])
    torch.testing.assert_close(larger.curve.apply(1.1 * depth), 1.1 * curve.apply(depth))
    assert resize_world(replace(shot, curve=None), ground, 1.1, body)[0].curve is None
    height = body.standing_height(larger.params.betas[:, 0]) / body.standing_height(shot.params.betas[:, 0])
    assert height.tolist() == pytest.approx([1.1] * 2, rel=0.01)
