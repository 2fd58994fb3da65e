"""What leaves a metric alone, what analytic cases say, and what comes of input that hardly is one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation
from torch import Tensor

from unish.body import load_body
from unish.errors import InputError
from unish.geometry.rigid import make_rigid
from unish.geometry.rotation import axis_angle_to_matrix
from unish.lab.evaluation.metrics import (
    absolute_trajectory_error,
    acceleration_error,
    align_camera_path,
    align_depth,
    align_point_maps,
    average_depth_scores,
    estimate_normals,
    find_root,
    foot_floor_gap,
    foot_points,
    foot_sliding,
    human_normals,
    human_scene_distance,
    jitter,
    joint_error_procrustes,
    label_body_parts,
    local_depth_error,
    refine_by_icp,
    regress_joints,
    relative_rotation_errors,
    root_path,
    root_trajectory_error,
    score_camera_path,
    score_depth,
    score_normals,
    score_point_clouds,
    score_point_maps,
    smooth_root,
    world_joint_error,
    world_size_ratio,
)


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def walk(fps: float, seconds: float = 4.0) -> Tensor:
    """(T, 24, 3) a smooth gait along a winding path, sampled at any rate."""
    time = torch.arange(round(fps * seconds), dtype=torch.float64) / fps
    root = torch.stack([1.2 * time, torch.sin(time), 0.1 * time], -1)
    return root[:, None] + 0.4 * random(3, 1, 24, 3) + 0.1 * torch.sin(3 * time[:, None, None] + random(4, 1, 24, 3))


TRUE = walk(30.0)
TURN = axis_angle_to_matrix(torch.tensor([0.4, -1.0, 0.3], dtype=torch.float64))
POSES = make_rigid(axis_angle_to_matrix(0.3 * random(5, 12, 3)), random(6, 12, 3).cumsum(0))


# Invariances.


@pytest.mark.parametrize("first_frames", [2, None])
def test_a_similarity_leaves_world_errors_at_0(first_frames: int | None) -> None:
    moved = 0.6 * TRUE @ TURN.T + random(7, 3)
    assert world_joint_error(moved, TRUE, first_frames=first_frames).max() < 1e-9


def test_a_rigid_motion_leaves_rte_at_0_and_a_scale_does_not() -> None:
    moved = TRUE[:, 0] @ TURN.T + random(8, 3)
    assert root_trajectory_error(moved, TRUE[:, 0]) < 1e-9
    assert root_trajectory_error(1.1 * moved, TRUE[:, 0]) > 1


def test_numbers_in_seconds_do_not_depend_on_the_frame_rate() -> None:
    """The same motion at 30 and at 240 frames per second; finite differences agree to their own error."""
    found: dict[float, list[Tensor]] = {}
    for fps in (30.0, 240.0):
        true, time = walk(fps), torch.arange(round(4 * fps), dtype=torch.float64)[:, None, None] / fps
        shaken = true + 0.02 * torch.sin(5 * time + random(9, 1, 24, 3))
        feet, slid = 0.0 * true[:, :4], 0.05 * time * torch.ones(1, 4, 3)
        found[fps] = [
            acceleration_error(shaken, true, fps=fps),
            jitter(true, fps=fps),
            foot_sliding(slid, feet, fps=fps),
        ]
    torch.testing.assert_close(torch.stack(found[30.0]), torch.stack(found[240.0]), rtol=0.02, atol=0)
    # 5 cm/s along each of three axes: so many millimetres in a thirtieth of a second.
    assert found[240.0][2].item() == pytest.approx(1000 * 0.05 * math.sqrt(3) / 30)


def test_a_foot_rests_by_its_speed_at_any_rate() -> None:
    """0.2 m/s is less than a centimetre per frame at 30 fps, though it is 4 cm per frame at 5."""
    time = torch.arange(20, dtype=torch.float64)[:, None, None]
    for fps, rests in ((30.0, True), (5.0, True), (120.0, True)):
        feet = 0.2 / fps * time * torch.tensor([1.0, 0.0, 0.0])
        assert foot_sliding(feet, feet, fps=fps).isfinite().item() is rests
        assert foot_sliding(2 * feet, 2 * feet, fps=fps).isnan()
    assert foot_sliding(feet, 0 * feet, touching=torch.zeros(20, 1).bool()).isnan()


def test_camera_errors_do_not_depend_on_the_world() -> None:
    predicted = make_rigid(axis_angle_to_matrix(0.1 * random(10, 12, 3)), 0.1 * random(11, 12, 3)) @ POSES
    scores, again = (score_camera_path(world @ predicted, POSES) for world in (torch.eye(4).double(), POSES[3]))
    for name in ("ate_m", "rigid_error_m", "world_size_ratio", "rpe_rotation_deg", "rpe_translation_m"):
        torch.testing.assert_close(getattr(scores, name), getattr(again, name))


def test_depth_and_points_forgive_what_their_alignment_fits() -> None:
    depth = random(12, 2, 6, 7).abs() + 1
    for alignment, factor, shift in (("scale", 3.0, 0.0), ("scale_shift", 3.0, 0.5)):
        scores = score_depth(factor * depth + shift, depth, alignment=alignment)
        assert scores.abs_rel < 1e-6 and scores.log_rmse < 1e-6 and scores.delta == 1
    points, valid = random(13, 2, 6, 7, 3), torch.ones(2, 6, 7).bool()
    moved = 2.5 * points @ TURN.T + 4.0
    assert score_point_maps(moved, points, valid).accuracy_mean_m < 1e-9
    assert score_point_maps(moved, points, valid, with_scale=False).accuracy_mean_m > 0.1


# Analytic cases and SciPy.


def test_procrustes_agrees_with_scipy() -> None:
    predicted, true = random(14, 24, 3), random(15, 24, 3)
    # SciPy allows reflections and works on unit sets: take a pair whose best fit is none.
    predicted = 0.5 * predicted + true
    _, _, disparity = procrustes(true.numpy(), predicted.numpy())
    centred = (true - true.mean(0)).square().sum()
    points, valid = (predicted[None, None], true[None, None]), torch.ones(1, 1, 24).bool()
    fit = align_point_maps(*points, valid)
    left = (fit.apply(predicted) - true).square().sum() / centred
    assert left.item() == pytest.approx(disparity, rel=1e-9)
    rigid, distance = Rotation.align_vectors(true - true.mean(0), predicted - predicted.mean(0))
    kabsch = align_point_maps(*points, valid, with_scale=False)
    np.testing.assert_allclose(kabsch.rotation, rigid.as_matrix(), atol=1e-9)
    rest = kabsch.apply(predicted) - true
    assert rest.norm().item() == pytest.approx(distance, rel=1e-9)


def test_a_reflection_is_never_the_answer() -> None:
    true = random(16, 24, 3)
    mirrored = true * torch.tensor([1.0, 1.0, -1.0])
    fit = align_point_maps(mirrored[None, None], true[None, None], torch.ones(1, 1, 24).bool())
    assert torch.linalg.det(fit.rotation).item() == pytest.approx(1.0)
    assert joint_error_procrustes(mirrored, true) > 100
    flat = true * torch.tensor([1.0, 1.0, 0.0])
    assert joint_error_procrustes(flat * torch.tensor([-1.0, 1.0, 1.0]), flat) < 1e-9  # a turn does it in the plane


def test_points_on_a_line_and_two_frames_have_the_errors_that_geometry_gives_them() -> None:
    line = torch.linspace(0, 3, 10).double()[:, None] * torch.tensor([1.0, 2.0, -1.0])
    straight = make_rigid(torch.eye(3).double().expand(10, 3, 3), line)
    bent = make_rigid(torch.eye(3).double().expand(10, 3, 3), 0.5 * line @ TURN.T)
    assert absolute_trajectory_error(bent, straight) < 1e-9
    assert torch.linalg.det(align_camera_path(bent, straight)[:, :3, :3]).allclose(torch.ones(10).double())
    assert world_size_ratio(bent, straight).item() == pytest.approx(0.5)
    assert joint_error_procrustes(0.3 * line @ TURN.T, line) < 1e-9
    # Two centres: a similarity fits exactly, a rigid fit leaves half of the difference in length at each end.
    pair = make_rigid(torch.eye(3).double().expand(2, 3, 3), torch.tensor([[0.0, 0, 0], [2, 0, 0]]).double())
    short = make_rigid(torch.eye(3).double().expand(2, 3, 3), torch.tensor([[5.0, 1, 0], [5, 2.4, 0]]).double())
    assert absolute_trajectory_error(short, pair) < 1e-9
    assert absolute_trajectory_error(short, pair, alignment="rigid").item() == pytest.approx(0.3)
    assert absolute_trajectory_error(short, pair, alignment="none").item() == pytest.approx(
        math.sqrt((26 + 9 + 2.4**2) / 2)
    )
    assert world_joint_error(TRUE[:2], TRUE[:2] * 2, first_frames=2).max() < 1e-9


def test_size_of_a_noisy_path() -> None:
    """Noise makes a path longer and wider; the alignment's scale does not see it."""
    noisy = POSES.clone()
    noisy[:, :3, 3] = 0.5 * noisy[:, :3, 3] + 0.2 * random(17, 12, 3)
    length, spread, scale = (
        world_size_ratio(noisy, POSES, measure=measure).item() for measure in ("length", "spread", "alignment")
    )
    assert length > spread > scale > 0.45


def test_a_line_of_points_beside_another() -> None:
    true = torch.stack([torch.linspace(0, 1, 50), torch.zeros(50), torch.zeros(50)], -1).double()
    scores = score_point_clouds(true[:25] + torch.tensor([0.0, 0.02, 0.0]), true)
    assert scores.accuracy_mean_m == pytest.approx(0.02) == scores.accuracy_median_m
    assert scores.completeness_mean_m > 0.1 > scores.accuracy_mean_m


def test_icp_moves_a_cloud_onto_its_surface() -> None:
    grid = torch.cartesian_prod(torch.linspace(0, 2, 25), torch.linspace(0, 2, 25)).double()
    surface = torch.cat([grid, 0.2 * torch.sin(3 * grid).sum(-1, keepdim=True)], -1)
    small_turn = axis_angle_to_matrix(torch.tensor([0.01, -0.015, 0.01], dtype=torch.float64))
    moved = surface @ small_turn.T + 0.01
    fit = refine_by_icp(moved, surface)
    assert fit.scale == 1 and (fit.apply(moved) - surface).norm(dim=-1).max() < 1e-6
    far = refine_by_icp(moved + 50, surface)
    assert far.rotation.allclose(torch.eye(3).double()) and far.translation.norm() == 0


def test_normals_of_a_sphere() -> None:
    directions = torch.nn.functional.normalize(random(18, 4000, 3), dim=-1)
    cosine = (estimate_normals(directions) * directions).sum(-1).abs()
    assert cosine.min() > 0.97 and cosine.mean() > 0.998


def test_human_normals_of_a_plane_stop_at_the_outline() -> None:
    """A person at 2 m before a wall at 4 m: the outline has the person's normals and no slope to the wall."""
    depth, people = torch.full((10, 12), 4.0).double(), torch.full((10, 12), -1)
    depth[:, 4:8], people[:, 4:8] = 2.0, 0
    intrinsics = torch.tensor([[20.0, 0, 6], [0, 20, 5], [0, 0, 1]]).double()
    normals, exist = human_normals(depth, intrinsics, people)
    assert (exist == (people == 0)).all()
    assert normals[exist].allclose(torch.tensor([0.0, 0.0, -1.0]).double())
    tilted = normals.clone()
    tilted[..., 1], tilted[..., 2] = math.sin(0.2) * exist, -math.cos(0.2) * exist
    scores = score_normals(tilted[None], normals[None], exist[None])
    assert scores.mean_angle_deg.item() == pytest.approx(math.degrees(0.2)) and scores.fine_percent == 0


def test_relief_that_is_missing_is_measured_in_millimetres() -> None:
    slope = torch.linspace(2.0, 2.2, 40).double().expand(10, 40)
    bumps = 0.01 * (torch.arange(40) % 2 * 2 - 1) * torch.ones(10, 40)
    parts = torch.zeros(10, 40, dtype=torch.long)
    assert local_depth_error(3 * slope + 1, slope, parts) < 1e-6
    assert local_depth_error(slope, slope + bumps, parts).item() == pytest.approx(10.0, rel=0.02)
    assert local_depth_error(0 * slope, slope, parts).item() == pytest.approx(50.0, rel=0.03)


def test_the_lowest_vertex_stands_on_the_floor() -> None:
    points = torch.tensor([[0.0, 0.0, 0.0], [0.0, -1.5, 0.2]]).double()
    assert foot_floor_gap(points, torch.tensor([0.0, -2.0, 0.0, 1.0]).double()).item() == pytest.approx(50.0)
    assert foot_floor_gap(-points, torch.tensor([0.0, -1.0, 0.0, 0.0]).double()).item() == pytest.approx(-150.0)


def test_parts_are_named_by_the_joint_that_carries_them() -> None:
    body = load_body("free")
    found = label_body_parts(body.joint_template[[15, 20, 8, 0]], body.template, body.skin_weights)
    assert found.tolist() == [0, 4, 9, 1]  # head, left forearm, right shin, torso


def test_tram_smooths_its_root_first() -> None:
    noisy = TRUE + 0.05 * random(19, len(TRUE), 1, 3)
    smooth = smooth_root(noisy, root_path(noisy))
    assert jitter(smooth, fps=30) < 0.1 * jitter(noisy, fps=30)
    torch.testing.assert_close(smooth - smooth[:, :1], noisy - noisy[:, :1])
    assert root_trajectory_error(root_path(smooth), root_path(TRUE)) < root_trajectory_error(
        root_path(noisy), root_path(TRUE)
    )


# Input that hardly is one.


def test_one_frame() -> None:
    one = TRUE[:1]
    assert acceleration_error(one, one, fps=30).isnan() and jitter(one, fps=30).isnan()
    assert foot_sliding(one[:, :4], one[:, :4]).isnan()
    assert root_trajectory_error(one[:, 0], one[:, 0]).isnan()
    assert world_joint_error(one, one, first_frames=2).max() < 1e-9
    with pytest.raises(InputError, match="at least two"):
        score_camera_path(POSES[:1], POSES[:1])


def test_nobody_valid() -> None:
    nobody = torch.zeros(len(TRUE)).bool()
    assert acceleration_error(TRUE, TRUE, fps=30, valid=nobody).isnan()
    assert world_joint_error(TRUE, TRUE, first_frames=None, valid=nobody).isnan().all()
    assert root_trajectory_error(TRUE[:, 0], TRUE[:, 0], valid=nobody).isnan()
    assert world_joint_error(TRUE[:0], TRUE[:0], first_frames=2).shape == (0,)
    assert world_joint_error(TRUE[None, :5][:0], TRUE[None, :5][:0], first_frames=2).shape == (0, 5)
    scores = score_camera_path(POSES, POSES, valid=torch.zeros(12).bool())
    assert scores.ate_m.isnan() and scores.rpe_rotation_deg.isnan() and scores.world_size_error.isnan()
    assert score_depth(torch.ones(1, 2, 2), torch.zeros(1, 2, 2), alignment="scale").log_rmse.isnan()
    assert local_depth_error(torch.ones(3, 4, 4), torch.ones(3, 4, 4), torch.full((3, 4, 4), -1)).isnan().all()
    square = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), torch.tensor([[0, 1, 2]])
    assert human_scene_distance(torch.full((2, 3), torch.nan), *square).isnan()


def test_a_nan_spoils_its_own_frame_and_no_other() -> None:
    holed = TRUE.clone()
    holed[7, 3, 1] = torch.nan
    assert joint_error_procrustes(holed, TRUE).isnan().nonzero().flatten().tolist() == [7]
    errors = world_joint_error(holed, TRUE, first_frames=None)
    assert errors.isnan().nonzero().flatten().tolist() == [7] and errors.nan_to_num(0).max() < 1e-9
    assert acceleration_error(holed, TRUE, fps=30) == 0 and jitter(holed, fps=30).isfinite()
    assert root_trajectory_error(holed[:, 3], TRUE[:, 3]) < 1e-9
    poses = POSES.clone()
    poses[4] = torch.nan
    scores = score_camera_path(poses, POSES)
    assert scores.ate_m < 1e-9 and scores.rpe_translation_m < 1e-9 and scores.world_size_error < 1e-9
    assert relative_rotation_errors(poses, POSES).isnan().nonzero().flatten().tolist() == [3, 4]


def test_differences_never_reach_across_a_gap() -> None:
    jumped, valid = TRUE.clone(), torch.ones(len(TRUE)).bool()
    jumped[50:] += 10.0
    valid[49:51] = False
    torch.testing.assert_close(jitter(jumped, fps=30, valid=valid), jitter(TRUE, fps=30), rtol=0.1, atol=0)
    assert acceleration_error(jumped, TRUE, fps=30, valid=valid) < 1e-9


@pytest.fixture
def without_shape_checks() -> Iterator[None]:
    """As users call: the tests' run-time check of shapes and options would see the mistake first."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: jitter(TRUE, fps=0), "frame rate"),
        (lambda: acceleration_error(TRUE, TRUE, fps=math.nan), "frame rate"),
        (lambda: world_joint_error(TRUE, TRUE, first_frames=2, chunk_frames=0), "at least one"),
        (lambda: smooth_root(TRUE, TRUE[:, 0], sigma=0), "sigma"),
        (lambda: root_path(TRUE, reference="transl"), "transl"),
        (lambda: regress_joints(TRUE, torch.zeros(17, 23).double()), "23 vertices"),
        (lambda: regress_joints(TRUE, torch.zeros(17, 24).double(), joint_set="smpl24"), "body's own"),
        (lambda: foot_points(TRUE, load_body("free")), "24 vertices"),
        (lambda: relative_rotation_errors(POSES, POSES, step=12), "1 to 11"),
        (lambda: average_depth_scores([]), "at least one"),
        (lambda: estimate_normals(TRUE[0, :2]), "at least three"),
        (lambda: score_point_clouds(TRUE[0] * torch.nan, TRUE[0]), "NaN"),
        (lambda: refine_by_icp(TRUE[0], TRUE[0, :0]), "empty"),
        (lambda: align_point_maps(*[torch.ones(1, 2, 2, 3)] * 2, torch.zeros(1, 2, 2).bool()), "at least three"),
        (lambda: label_body_parts(TRUE[0] * torch.nan, TRUE[0], torch.ones(24, 24)), "NaN"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_one_line(call: Any, message: str, without_shape_checks: None) -> None:
    with pytest.raises(InputError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("function", "args", "options"),
    [
        (align_depth, (torch.ones(4), torch.ones(4), torch.ones(4).bool(), "least squares"), {}),
        (world_joint_error, (TRUE, TRUE), {"first_frames": 2, "leftover": "halved"}),
        (absolute_trajectory_error, (POSES, POSES), {"alignment": "affine"}),
        (world_size_ratio, (POSES, POSES), {"measure": "volume"}),
        (find_root, (TRUE,), {"joint_set": "coco"}),
        (root_path, (TRUE,), {"reference": "head"}),
    ],
)  # fmt: skip
def test_unknown_options_are_refused(
    function: Any, args: tuple[Any, ...], options: dict[str, Any], without_shape_checks: None
) -> None:
    with pytest.raises(InputError, match="choose"):
        function(*args, **options)
