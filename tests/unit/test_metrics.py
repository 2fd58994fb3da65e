"""The truth scores perfectly on every metric, and each kind of damage moves the metric that is there to see it."""

from __future__ import annotations

import math

import pytest
import torch

from unish.geometry.rigid import make_rigid, transform_points
from unish.geometry.rotation import axis_angle_to_matrix
from unish.lab.evaluation.metrics import (
    acceleration_error,
    foot_sliding,
    jitter,
    joint_error,
    joint_error_procrustes,
    match_people,
    metric_scale_error,
    relative_rotation_errors,
    root_trajectory_error,
    score_camera_path,
    score_depth,
    world_joint_error,
)


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make_depth() -> torch.Tensor:
    return random(0, 2, 3, 20, 30).abs() + 1.0


def make_path() -> torch.Tensor:
    return make_rigid(axis_angle_to_matrix(random(1, 2, 12, 3) * 0.3), random(2, 2, 12, 3).cumsum(1))


def make_walk(num_frames: int = 250) -> torch.Tensor:
    """A body that swings its joints along a winding path."""
    time = torch.arange(num_frames, dtype=torch.float64) / 30
    root = torch.stack([time, torch.sin(time), 0.2 * time], -1)
    return root[:, None] + random(3, 1, 24, 3) * 0.4 + 0.1 * torch.sin(3 * time[:, None, None] + random(4, 1, 24, 3))


def test_true_depth_scores_perfectly_and_each_alignment_forgives_its_own_error() -> None:
    true = make_depth()
    forgiven = {
        "none": true,
        "median": 3.0 * true,
        "scale": 0.2 * true,
        "scale_shift": 0.5 * true + 0.4,
    }
    for alignment, predicted in forgiven.items():
        scores = score_depth(predicted, true, alignment=alignment)
        assert scores.abs_rel.max() < 1e-6 and scores.delta.min() == 1.0
        assert scores.num_pixels.tolist() == [1800.0, 1800.0]
    assert score_depth(2 * true, true, alignment="none").abs_rel.allclose(torch.ones(2).double())
    assert score_depth(2 * true, true, alignment="none").delta.max() == 0.0
    assert score_depth(true + 3, true, alignment="scale").abs_rel.min() > 0.1


def test_one_alignment_serves_the_whole_sequence() -> None:
    true = make_depth()
    wobbling = true * torch.tensor([0.5, 1.0, 2.0]).double()[None, :, None, None]
    assert score_depth(wobbling, true, alignment="scale").abs_rel.min() > 0.2


def test_unknown_truth_does_not_count_and_missing_predictions_do() -> None:
    true = make_depth()
    far = true.clone()
    far[:, :, :5] = 0.0
    far[:, :, 5:10] = 80.0
    scores = score_depth(true, far, alignment="scale")
    assert scores.abs_rel.max() < 1e-9 and scores.num_pixels.tolist() == [900.0, 900.0]
    holes = true.clone()
    holes[:, :, :5] = torch.nan
    holes[:, :, 5:10] = 0.0
    scores = score_depth(holes, true, alignment="scale")
    torch.testing.assert_close(scores.abs_rel, torch.full((2,), 0.5).double())
    torch.testing.assert_close(scores.delta, torch.full((2,), 0.5).double())
    assert score_depth(true, torch.zeros_like(true), alignment="none").abs_rel.isnan().all()


def test_metric_scale_error_is_the_scale() -> None:
    true = make_depth()
    assert metric_scale_error(true, true).max() < 1e-12
    torch.testing.assert_close(metric_scale_error(1.2 * true, true), torch.full((2,), 0.2).double())


def test_true_path_scores_perfectly_in_any_world() -> None:
    true = make_path()
    world = make_rigid(axis_angle_to_matrix(random(5, 3)), random(6, 3))
    scores = score_camera_path(world @ true, true)
    for value in (scores.ate_m, scores.rigid_error_m, scores.rpe_rotation_deg, scores.rpe_translation_m):
        assert value.max() < 1e-6
    torch.testing.assert_close(scores.world_size_ratio, torch.ones(2).double())


def test_a_path_of_the_wrong_size_is_seen_by_the_metric_scores_alone() -> None:
    true = make_path()
    predicted = true.clone()
    predicted[..., :3, 3] *= 1.5
    scores = score_camera_path(predicted, true)
    assert scores.ate_m.max() < 1e-9 and scores.rpe_rotation_deg.max() < 1e-6
    torch.testing.assert_close(scores.world_size_ratio, torch.full((2,), 1.5).double())
    assert scores.rigid_error_m.min() > 0.1


def test_turns_are_measured_in_degrees_and_identity_scores_the_turn_itself() -> None:
    turn = axis_angle_to_matrix(torch.tensor([[0.0, math.radians(5.0) * i, 0.0] for i in range(4)]))
    true = make_rigid(turn, torch.zeros(4, 3))
    assert relative_rotation_errors(true, true).max() < 1e-3
    still = relative_rotation_errors(torch.eye(4).expand(4, 4, 4), true)
    torch.testing.assert_close(still, torch.full((3,), 5.0).double(), atol=1e-4, rtol=0)
    assert relative_rotation_errors(true, true, step=2).shape == (2,)


def test_standing_still_has_no_size() -> None:
    true = torch.eye(4).double().expand(5, 4, 4)
    assert score_camera_path(true, true).world_size_ratio.isnan()


def test_true_bodies_score_perfectly() -> None:
    true = make_walk()
    root = true[:, 0]
    assert joint_error(true, true, root, root).max() == 0
    assert joint_error_procrustes(true, true).max() < 1e-6
    assert world_joint_error(true, true, first_frames=2).max() < 1e-6
    assert world_joint_error(true, true, first_frames=None).max() < 1e-6
    assert root_trajectory_error(root, root) < 1e-6
    assert acceleration_error(true, true, fps=30) == 0


def test_joint_error_forgives_place_and_procrustes_also_turn_and_size() -> None:
    true = make_walk(20)
    moved = true + torch.tensor([1.0, 2.0, 3.0])
    assert joint_error(moved, true, moved[:, 0], true[:, 0]).max() < 1e-9
    turned = 1.3 * true @ axis_angle_to_matrix(torch.tensor([0.0, 0.5, 0.0]).double()).T
    assert joint_error(turned, true, turned[:, 0], true[:, 0]).min() > 50
    assert joint_error_procrustes(turned, true).max() < 1e-6
    mirrored = true * torch.tensor([-1.0, 1.0, 1.0])
    assert joint_error_procrustes(mirrored, true).min() > 50


def test_ten_millimetres_are_ten_millimetres() -> None:
    true = make_walk(5)
    offset = torch.nn.functional.normalize(random(9, 5, 24, 3), dim=-1) * 0.010
    root = true[:, 0]
    torch.testing.assert_close(joint_error(true + offset, true, root, root), torch.full((5,), 10.0).double())


def test_drift_moves_w_more_than_wa_and_a_similarity_moves_neither() -> None:
    true = make_walk()
    moved = 0.7 * true @ axis_angle_to_matrix(torch.tensor([0.3, 0.5, 0.1]).double()).T + 2.0
    assert world_joint_error(moved, true, first_frames=2).max() < 1e-6
    time = torch.arange(len(true), dtype=torch.float64)[:, None, None] / 30
    drifting = true + 0.2 * time * torch.tensor([1.0, 0.0, 0.0])
    w = world_joint_error(drifting, true, first_frames=2).mean()
    wa = world_joint_error(drifting, true, first_frames=None).mean()
    assert w > 1.5 * wa > 10


@pytest.mark.parametrize(("leftover", "num_scored"), [("alone", 250), ("merged", 250), ("dropped", 200)])
def test_leftover_frames(leftover: str, num_scored: int) -> None:
    true = make_walk(250)
    drifting = true.clone()
    drifting[220:] += 0.5
    errors = world_joint_error(drifting, true, first_frames=2, leftover=leftover)
    assert errors.isfinite().sum() == num_scored
    # The leftover chunk starts at frame 200, so alone and merged differ in what the step at 220 is measured against.
    assert errors[:100].max() < 1e-6


def test_a_short_sequence_is_one_chunk_whatever_the_rule() -> None:
    true = make_walk(30)
    for leftover in ("alone", "merged", "dropped"):
        assert world_joint_error(true, true, first_frames=2, leftover=leftover).isfinite().all()


def test_root_trajectory_is_in_percent_of_the_path() -> None:
    true = torch.stack([torch.linspace(0, 10, 101), torch.zeros(101), torch.zeros(101)], -1).double()
    assert root_trajectory_error(true * 1.1, true).item() == pytest.approx(100 * 0.25 * 1.0 / 10, rel=0.02)
    assert root_trajectory_error(true * 0, true * 0).isnan()


def test_motion_quality() -> None:
    time = torch.arange(60, dtype=torch.float64)[:, None, None] / 30
    parabola = 0.5 * 9.81 * time**2 * torch.tensor([0.0, 1.0, 0.0])
    still = torch.zeros_like(parabola)
    assert acceleration_error(parabola, still, fps=30).item() == pytest.approx(9.81)
    assert jitter(parabola, fps=30) < 1e-6
    assert jitter(time**3 * torch.tensor([0.0, 1.0, 0.0]), fps=30).item() == pytest.approx(0.6)


def test_foot_sliding_counts_resting_feet_only() -> None:
    true = torch.zeros(20, 2, 3).double()
    true[:, 1, 0] = torch.arange(20) * 0.05
    predicted = true.clone()
    predicted[:, 0, 0] += torch.arange(20) * 0.003
    predicted[:, 1, 0] *= 4
    assert foot_sliding(predicted, true).item() == pytest.approx(3.0)
    assert foot_sliding(true[:, 1:], true[:, 1:]).isnan()


def test_people_are_matched_by_where_they_are() -> None:
    boxes = torch.tensor([[[0.0, 0, 10, 20]] * 4, [[50.0, 0, 60, 20]] * 4])
    valid = torch.tensor([[True] * 4, [True, True, False, False]])
    swapped = boxes.flip(0) + 1.0
    assert match_people(swapped, boxes, valid.flip(0), valid) == [(0, 1), (1, 0)]
    assert match_people(boxes[:1] + 200, boxes, valid[:1], valid) == []
    assert match_people(boxes[:0], boxes, valid[:0], valid) == []
    unseen = boxes.clone()
    unseen[1, 2:] = torch.nan
    assert match_people(unseen, boxes, valid, valid) == [(0, 0), (1, 1)]


def test_metrics_do_not_depend_on_the_camera() -> None:
    true = make_walk(10)
    w2c = make_rigid(axis_angle_to_matrix(random(7, 10, 3)), random(8, 10, 3))
    moved = transform_points(w2c, true + 0.1 * random(9, 10, 24, 3))
    predicted = true + 0.1 * random(9, 10, 24, 3)
    seen = transform_points(w2c, true)
    torch.testing.assert_close(
        joint_error(moved, seen, moved[:, 0], seen[:, 0]), joint_error(predicted, true, predicted[:, 0], true[:, 0])
    )
