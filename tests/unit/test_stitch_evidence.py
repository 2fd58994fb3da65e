"""Stitching with evidence that is doubtful, contradictory or missing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_stitch import CAMERA, cut, make_world

from joined import join, own_depth
from unish.geometry.camera import unproject
from unish.geometry.rigid import make_rigid
from unish.geometry.rotation import axis_angle_to_matrix
from unish.reconstruction.stitch import _average_motion, choose_owner
from unish.reconstruction.window import plan_windows
from unish.structs import Camera, Prediction


def test_confident_points_alone_say_how_large_the_unit_is() -> None:
    """The network's scale is a mean distance over the points that it is sure of; doubtful ones are ten times off."""
    world = make_world(6, num_people=1)
    logits, points = world.point_conf_logits.clone(), world.local_points.clone()
    logits[:, :, :3], points[:, :, :3] = -2.3, 10 * points[:, :, :3]  # confidence 0.091
    mean = world.local_points[:, :, 3:].norm(dim=-1).mean()
    doubtful = replace(world, point_conf_logits=logits, local_points=points, scale=(2.0 * mean)[None])
    valid = torch.ones(1, 6, dtype=torch.bool)
    assert join([doubtful], [range(6)], valid, CAMERA).network_scale == pytest.approx(2.0, rel=1e-5)
    nowhere = replace(doubtful, point_conf_logits=torch.full_like(logits, -4.0))
    assert join([nowhere], [range(6)], valid, CAMERA).network_scale is None
    silent = replace(doubtful, scale=None)
    assert join([silent], [range(6)], valid, CAMERA).network_scale is None


def test_most_windows_decide_what_the_network_says_of_the_scale() -> None:
    world, windows = make_world(14), plan_windows(14, 6, 2)
    pieces = [cut(world, frames, scale=1.0) for frames in windows]
    assert len(pieces) == 3
    pieces[1] = replace(pieces[1], scale=7 * pieces[1].scale)
    shot = join(pieces, windows, torch.ones(2, 14, dtype=torch.bool), CAMERA)
    assert shot.network_scale == pytest.approx(2.0, rel=1e-4)


def test_windows_are_joined_by_what_the_first_is_sure_of() -> None:
    """Pixels that it doubts, the larger part, disagree by a factor of three; so does a minority of the others."""
    world, windows = make_world(10), plan_windows(10, 6, 2)
    pieces = [cut(world, frames, scale=1.0 + i) for i, frames in enumerate(windows)]
    logits, points = pieces[0].point_conf_logits.clone(), pieces[1].local_points.clone()
    logits[:, :, :4] = -4.0
    points[:, :, :4] *= 3.0
    points[:, :, 4, :3] *= 5.0
    pieces = [replace(pieces[0], point_conf_logits=logits), replace(pieces[1], local_points=points)]
    shot = join(pieces, windows, torch.ones(2, 10, dtype=torch.bool), CAMERA)
    torch.testing.assert_close(own_depth(shot)[-1, 5], world.local_points[0, -1, 5, :, 2], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(shot.c2w, world.c2w[0], rtol=0, atol=1e-5)
    assert shot.unjoined == 0 and shot.residual < 1e-6


def test_windows_without_evidence_are_counted_and_keep_their_unit() -> None:
    world, windows = make_world(14), plan_windows(14, 6, 2)
    pieces = [cut(world, frames, scale=1.0) for frames in windows]
    pieces[0] = replace(pieces[0], point_conf_logits=torch.full_like(pieces[0].point_conf_logits, -4.0))
    shot = join(pieces, windows, torch.ones(2, 14, dtype=torch.bool), CAMERA)
    assert shot.unjoined == 1 and shot.seen.tolist() == [14, 14]
    torch.testing.assert_close(own_depth(shot), world.local_points[0, ..., 2], rtol=1e-5, atol=1e-5)
    behind = replace(pieces[1], local_points=-pieces[1].local_points)
    again = join([pieces[1], behind], [range(6), range(4, 10)], torch.ones(2, 10, dtype=torch.bool), CAMERA)
    assert again.unjoined == 1, "depth that is not positive has no logarithm"


def test_the_residual_is_a_distance_in_depths() -> None:
    """Both shared cameras of the new window stand one unit apart from where they should, in opposite directions."""
    world, windows = make_world(10), plan_windows(10, 6, 2)
    pieces = [cut(world, frames, scale=1.0) for frames in windows]
    bent = pieces[1].c2w.clone()
    bent[0, 0, 0, 3] -= 1.0
    bent[0, 1, 0, 3] += 1.0
    shot = join([pieces[0], replace(pieces[1], c2w=bent)], windows, torch.ones(2, 10).bool(), CAMERA)
    depth = world.local_points[0, 4:6, ..., 2].median()
    assert shot.residual == pytest.approx(1.0 / float(depth), rel=0.05)
    assert shot.unjoined == 0


def test_motions_are_averaged_on_the_rotations() -> None:
    turns = axis_angle_to_matrix(torch.tensor([[0.0, 0.4, 0.0], [0.0, -0.2, 0.0], [0.0, 0.1, 0.0]]))
    places = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 6.0]])
    found = _average_motion(make_rigid(turns, places))
    # The chordal mean of turns about one axis is the direction of the mean of (cos, sin).
    angle = torch.atan2(torch.tensor([0.4, -0.2, 0.1]).sin().sum(), torch.tensor([0.4, -0.2, 0.1]).cos().sum())
    wanted = axis_angle_to_matrix(angle * torch.tensor([0.0, 1.0, 0.0]))
    torch.testing.assert_close(found, make_rigid(wanted, torch.tensor([1 / 3, 2 / 3, 2.0])), rtol=0, atol=1e-6)


def test_a_frame_is_taken_from_where_it_has_most_context() -> None:
    assert choose_owner([range(0, 8), range(4, 12)]).tolist() == [0] * 6 + [1] * 6
    assert choose_owner([range(0, 7), range(4, 11), range(6, 13)]).tolist() == [0] * 5 + [0, 1, 1, 1, 2, 2, 2, 2]
    assert choose_owner([range(3)]).tolist() == [0, 0, 0]


def test_a_camera_that_is_known_to_stand_still_does_to_the_bit() -> None:
    world, windows = make_world(10), plan_windows(10, 6, 2)
    pieces = [cut(world, frames, scale=1.0 + i) for i, frames in enumerate(windows)]
    shot = join(pieces, windows, torch.ones(2, 10, dtype=torch.bool), CAMERA, still=True)
    assert shot.still and torch.equal(shot.c2w, torch.eye(4).expand(10, 4, 4)) and shot.residual == 0
    torch.testing.assert_close(own_depth(shot), world.local_points[0, ..., 2], rtol=1e-4, atol=1e-5)
    moving = join(pieces, windows, torch.ones(2, 10, dtype=torch.bool), CAMERA)
    assert not moving.still


def test_the_camera_is_that_of_the_pixels_and_points_are_shifted_to_fit_it() -> None:
    """Twice as wide and three times as high in the source as what the network saw."""
    height, width = 6, 8
    camera = Camera(
        matrix=torch.tensor([[20.0, 0, 9.0], [0, 24.0, 8.4], [0, 0, 1]]), size=(18, 16), focal_source="given"
    )
    small = torch.tensor([[10.0, 0, 4.5], [0, 8.0, 2.8], [0, 0, 1]])
    depth = 2 + torch.rand(4, height, width, generator=torch.Generator().manual_seed(0))
    points = unproject(depth, small.expand(4, 3, 3)) - torch.tensor([0.0, 0.0, 0.3])
    logits = torch.full((1, 4, height, width), 3.0)
    logits[:, :, :2] = -4.0
    points[:, :2] *= torch.tensor([1.0, 1.0, 4.0])  # in doubt, and wrong
    flat = Prediction(local_points=points[None], point_conf_logits=logits, c2w=torch.eye(4).repeat(1, 4, 1, 1))
    shot = join([flat], [range(4)], torch.zeros(0, 4, dtype=torch.bool), camera)
    torch.testing.assert_close(shot.intrinsics, small.expand(4, 3, 3))
    assert shot.camera is camera and shot.shift == pytest.approx(0.3, abs=1e-4)
    assert shot.betas is None and shot.rotations is None and shot.transl is None


def test_people_nobody_saw_keep_a_shape_of_nothing() -> None:
    world, windows = make_world(10, num_people=2), plan_windows(10, 6, 2)
    pieces = [cut(world, frames, scale=1.0) for frames in windows]
    valid = torch.zeros(2, 10, dtype=torch.bool)
    valid[0, 2] = True
    shot = join(pieces, windows, valid, CAMERA)
    torch.testing.assert_close(shot.betas[0], world.betas[0, 0])
    assert not shot.betas[1].any() and shot.seen.tolist() == [1, 0]
