"""Windows cut from one known world must come back as that world."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from joined import join, own_depth
from unish.geometry.camera import unproject
from unish.geometry.rigid import invert_rigid, make_rigid
from unish.geometry.rotation import axis_angle_to_matrix
from unish.reconstruction.window import plan_windows
from unish.structs import Camera, Prediction

CAMERA = Camera(matrix=torch.tensor([[8.0, 0, 4], [0, 8, 3], [0, 0, 1]]), size=(6, 8), focal_source="given")


def make_world(num_frames: int, num_people: int = 2) -> Prediction:
    generator = torch.Generator().manual_seed(0)
    steps = axis_angle_to_matrix(0.05 * torch.randn(num_frames, 3, generator=generator))
    poses = [torch.eye(4)]
    for step in steps[1:]:
        poses.append(poses[-1] @ make_rigid(step, 0.1 * torch.randn(3, generator=generator)))
    depth = 1 + torch.rand(num_frames, 6, 8, generator=generator)
    return Prediction(
        local_points=unproject(depth, CAMERA.matrix.expand(num_frames, 3, 3))[None],
        point_conf_logits=torch.full((1, num_frames, 6, 8), 3.0),
        c2w=torch.stack(poses)[None],
        scale=torch.tensor([1.7]),
        rotations=torch.eye(3).expand(1, num_people, num_frames, 24, 3, 3)
        * torch.arange(num_frames)[None, None, :, None, None, None],
        betas=torch.randn(1, num_people, 10, generator=generator),
        transl=torch.arange(num_frames)[None, None, :, None].expand(1, num_people, -1, 3).float(),
    )


def cut(world: Prediction, frames: range, scale: float) -> Prediction:
    """What the network would say of a window: first camera as world, a scale of its own, metric scale unchanged."""
    index = list(frames)
    c2w = invert_rigid(world.c2w[0, index[0]]) @ world.c2w[0, index]
    c2w[:, :3, 3] *= scale
    points = world.local_points[:, index] * scale
    mean = points.norm(dim=-1).mean()
    return Prediction(
        local_points=points,
        point_conf_logits=world.point_conf_logits[:, index],
        c2w=c2w[None],
        # metres per unit of the whole world is 2 for every window, whatever the window's own unit
        scale=(mean / scale * 2.0)[None],
        rotations=world.rotations[:, :, index],
        betas=world.betas,
        transl=world.transl[:, :, index],
    )


@pytest.mark.parametrize(
    ("num_frames", "window", "overlap"), [(7, 10, 2), (10, 10, 2), (11, 6, 2), (23, 8, 3), (9, 4, 1)]
)
def test_plan_covers_every_frame_with_full_windows(num_frames: int, window: int, overlap: int) -> None:
    windows = plan_windows(num_frames, window, overlap)
    assert sorted({frame for w in windows for frame in w}) == list(range(num_frames))
    assert all(len(w) == min(window, num_frames) for w in windows)
    assert all(a.stop - b.start >= overlap for a, b in pairwise(windows))


@pytest.mark.parametrize(("window", "overlap"), [(4, 4), (4, -1), (4, 0)])
def test_plan_refuses_windows_that_cannot_be_joined(window: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="overlap"):
        plan_windows(10, window, overlap)


@pytest.mark.parametrize(("window", "overlap"), [(20, 4), (8, 3), (5, 1)])
def test_stitched_windows_equal_the_one_world(window: int, overlap: int) -> None:
    world = make_world(20)
    windows = plan_windows(20, window, overlap)
    pieces = [cut(world, frames, scale=0.3 + 0.4 * i) for i, frames in enumerate(windows)]
    shot = join(pieces, windows, torch.ones(2, 20, dtype=torch.bool), CAMERA)
    first_scale = 0.3
    torch.testing.assert_close(own_depth(shot), world.local_points[0, ..., 2] * first_scale, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(shot.c2w[:, :3, :3], world.c2w[0, :, :3, :3], rtol=0, atol=1e-5)
    torch.testing.assert_close(shot.c2w[:, :3, 3], world.c2w[0, :, :3, 3] * first_scale, rtol=0, atol=1e-5)
    assert torch.equal(shot.transl, world.transl[0])
    assert torch.equal(shot.rotations, world.rotations[0])
    torch.testing.assert_close(shot.betas, world.betas[0])
    assert shot.network_scale == pytest.approx(2.0 / first_scale, rel=1e-3)
    assert shot.residual < 1e-6


def test_residual_tells_when_windows_disagree() -> None:
    world = make_world(12)
    windows = plan_windows(12, 8, 4)
    pieces = [cut(world, frames, scale=1.0) for frames in windows]
    bent = pieces[1].c2w.clone()
    bent[0, 2, 0, 3] += 1.0
    bent[0, 0, 0, 3] -= 1.0
    pieces[1] = Prediction(**{**vars(pieces[1]), "c2w": bent})
    shot = join(pieces, windows, torch.ones(2, 12, dtype=torch.bool), CAMERA)
    assert shot.residual > 0.05


def test_shapes_are_weighted_by_how_often_a_window_saw_the_person() -> None:
    world = make_world(12, num_people=1)
    windows = plan_windows(12, 8, 4)
    pieces = [cut(world, frames, scale=1.0) for frames in windows]
    pieces[1] = Prediction(**{**vars(pieces[1]), "betas": world.betas + 3.0})
    valid = torch.zeros(1, 12, dtype=torch.bool)
    valid[:, 0:6] = True  # six frames of the first window, two of the second
    shot = join(pieces, windows, valid, CAMERA)
    torch.testing.assert_close(shot.betas, world.betas[0] + 3.0 * 2 / 8)


def test_known_cameras_stay_and_windows_take_their_unit() -> None:
    """Windows 0 and 3 are in the unit of the cameras; 1 and 2 show no parallax, and are in units of their own."""
    world = make_world(23)
    given = invert_rigid(world.c2w[0, :1]) @ world.c2w[0]
    given[0] = torch.eye(4)
    planned = plan_windows(23, 8, 3)
    units = [1.0, 0.4, 2.5, 1.0]
    predictions = [
        replace(cut(world, frames, scale), in_given_unit=torch.tensor([scale == 1.0]))
        for frames, scale in zip(planned, units, strict=True)
    ]
    shot = join(predictions, planned, torch.ones(2, 23, dtype=torch.bool), CAMERA, given=given)
    assert torch.equal(shot.c2w, given), "to the bit"
    assert shot.given_unit == 1.0 and shot.residual == 0.0
    torch.testing.assert_close(own_depth(shot), world.local_points[0, ..., 2], rtol=1e-5, atol=1e-5)


def test_without_parallax_the_unit_is_not_that_of_the_cameras() -> None:
    world = make_world(10)
    planned = plan_windows(10, 6, 2)
    predictions = [
        replace(cut(world, frames, scale), in_given_unit=torch.tensor([False]))
        for frames, scale in zip(planned, (0.5, 3.0), strict=True)
    ]
    shot = join(predictions, planned, torch.ones(2, 10, dtype=torch.bool), CAMERA, given=world.c2w[0])
    assert shot.given_unit is None and torch.equal(shot.c2w, world.c2w[0])
    torch.testing.assert_close(own_depth(shot), 0.5 * world.local_points[0, ..., 2], rtol=1e-5, atol=1e-5)


def test_a_zoom_goes_on_from_window_to_window() -> None:
    """Each window tells focal lengths over that of its own first frame."""
    world, zoom = make_world(20), 1.02 ** torch.arange(20.0)
    windows = plan_windows(20, 8, 3)
    pieces = [
        replace(cut(world, frames, 1.0), log_zoom=(zoom[list(frames)] / zoom[frames.start]).log()[None])
        for frames in windows
    ]
    shot = join(pieces, windows, torch.ones(2, 20, dtype=torch.bool), CAMERA)
    torch.testing.assert_close(shot.intrinsics[:, 0, 0], 8.0 * zoom)
    torch.testing.assert_close(shot.intrinsics[:, 1, 1], 8.0 * zoom)
    assert torch.equal(shot.intrinsics[:, :, 2], CAMERA.matrix[:, 2].expand(20, 3))


def test_one_lens_for_all_frames_is_that_of_the_camera_to_the_bit() -> None:
    world, windows = make_world(20), plan_windows(20, 8, 3)
    shot = join([cut(world, frames, 1.0) for frames in windows], windows, torch.ones(2, 20, dtype=torch.bool), CAMERA)
    assert torch.equal(shot.intrinsics, CAMERA.matrix.expand(20, 3, 3))
