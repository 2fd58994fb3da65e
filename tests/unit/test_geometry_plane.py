"""Floors and directions by weight: a weight of three counts as three of the kind."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from unish.geometry.plane import _score_floors, fit_floor, median_direction

UP = torch.tensor([0.0, -1.0, 0.0])


def degrees(a: Tensor, b: Tensor) -> float:
    return math.degrees(float(torch.atan2(torch.linalg.cross(a, b).norm(), a @ b)))


def test_a_weighted_direction_counts_as_many(rng) -> None:
    directions = torch.nn.functional.normalize(UP + 0.6 * torch.randn(9, 3, generator=rng), dim=-1)
    counts = torch.tensor([5, 1, 1, 2, 1, 3, 1, 1, 4])
    found = median_direction(directions, counts.float())
    repeated = median_direction(directions.repeat_interleave(counts, 0), torch.ones(int(counts.sum())))
    assert degrees(found, repeated) < 1e-3
    assert degrees(found, median_direction(directions, torch.ones(9))) > 2, "the weights must matter here"


def test_the_direction_is_the_geometric_median(rng) -> None:
    """No point of space has less weighted distance to the unit vectors: the gradient there vanishes."""
    directions = torch.nn.functional.normalize(UP + 0.5 * torch.randn(12, 3, generator=rng), dim=-1).double()
    weights = torch.rand(12, generator=rng, dtype=torch.float64) + 0.1
    middle = (directions * weights[:, None]).sum(0) / weights.sum()
    for _ in range(2000):
        pull = weights / (directions - middle).norm(dim=-1)
        middle = (pull[:, None] * directions).sum(0) / pull.sum()
    found = median_direction(3.0 * directions, weights)
    assert degrees(found, middle) < 0.01
    assert abs(float(found.norm()) - 1) < 1e-9


def test_a_direction_of_no_weight_or_no_number_has_no_say() -> None:
    directions = torch.stack([UP, UP, torch.tensor([1.0, 0, 0]), torch.full((3,), torch.nan)])
    assert degrees(median_direction(directions, torch.tensor([1.0, 1.0, 0.0, 1.0])), UP) < 1e-4
    assert median_direction(directions[2:], torch.tensor([0.0, 1.0])).isnan().all()
    assert median_direction(directions[:1], torch.ones(1)).tolist() == UP.tolist()


def level_points(num: int, height: float, rng: torch.Generator, *, slope: float = 0.0, noise: float = 0.0) -> Tensor:
    """A piece of floor, ``height`` above y = 0 with y down, that rises along x."""
    points = 4 * torch.rand(num, 3, generator=rng) - 2
    points[:, 1] = -height - slope * points[:, 0] + noise * torch.randn(num, generator=rng)
    return points


def test_the_plane_is_the_weighted_least_squares_one(rng) -> None:
    points, counts = level_points(60, 0.0, rng, slope=0.1, noise=0.04), torch.randint(1, 6, (60,), generator=rng)
    found = fit_floor(points, counts.float(), UP, tolerance=0.3)
    repeated = points.repeat_interleave(counts, 0).double()
    centre = repeated.mean(0)
    normal = torch.linalg.svd(repeated - centre, full_matrices=False).Vh[2].float()
    normal = normal * torch.sign(normal @ UP)
    assert found is not None and bool(found.inliers.all())
    torch.testing.assert_close(found.plane, torch.cat([normal, -(normal @ centre.float())[None]]), atol=1e-4, rtol=0)
    unweighted = fit_floor(points, torch.ones(60), UP, tolerance=0.3)
    assert unweighted is not None and (unweighted.plane - found.plane).abs().max() > 1e-3, "weights must matter here"


def test_heavy_points_outvote_many_light_ones(rng) -> None:
    high, low = level_points(300, 1.0, rng), level_points(200, 0.0, rng)
    points = torch.cat([high, low])
    for heavy, height in ((0.5, 1.0), (4.0, 0.0)):
        weights = torch.cat([torch.ones(300), torch.full((200,), heavy)])
        found = fit_floor(points, weights, UP, tolerance=0.05, below_penalty=0.0)
        assert found is not None and abs(float(found.plane[3]) + height) < 1e-5
        assert found.inliers.tolist() == ([True] * 300 + [False] * 200 if height else [False] * 300 + [True] * 200)


def test_what_lies_below_counts_against_a_floor(rng) -> None:
    """A table of 400 points over a floor of 300: the floor, unless what is below counts less than a third."""
    points, weights = torch.cat([level_points(400, 0.7, rng), level_points(300, 0.0, rng)]), torch.ones(700)
    for penalty, height in ((1.0, 0.0), (0.4, 0.0), (0.3, 0.7), (0.0, 0.7)):
        found = fit_floor(points, weights, UP, tolerance=0.05, below_penalty=penalty)
        assert found is not None and abs(float(found.plane[3]) + height) < 1e-5, penalty


def test_the_score_of_a_floor_point_by_point() -> None:
    """Within the tolerance it gains, more than twice the tolerance below it loses, elsewhere nothing counts."""
    heights = torch.tensor([0.0, 0.049, -0.049, 0.051, 5.0, -0.051, -0.099, -0.101, -3.0])
    points = torch.stack([torch.arange(9.0), -heights, torch.zeros(9)], dim=-1)
    weights = 2.0 ** torch.arange(9)
    plane = torch.cat([UP, torch.zeros(1)])
    score = _score_floors(points, weights, torch.stack([plane, -plane]), 0.05, 0.5, chunk=4)
    assert score.tolist() == [1 + 2 + 4 - 0.5 * (128 + 256), 1 + 2 + 4 - 0.5 * 16]


@pytest.mark.parametrize(("tilt_deg", "allowed_deg", "is_floor"), [(15, 20, True), (25, 20, False), (28, 30, True)])
def test_a_slope_is_a_floor_up_to_the_tilt_that_is_asked(
    rng, tilt_deg: float, allowed_deg: float, is_floor: bool
) -> None:
    points = level_points(200, 0.3, rng, slope=math.tan(math.radians(tilt_deg)))
    found = fit_floor(points, torch.ones(200), UP, tolerance=0.01, max_tilt=math.radians(allowed_deg))
    assert (found is not None) == is_floor
    if found is not None:
        assert abs(degrees(found.plane[:3], UP) - tilt_deg) < 0.01 and float(found.plane[:3] @ UP) > 0


def test_points_of_no_weight_or_no_number_are_no_floor(rng) -> None:
    points, weights = level_points(100, 0.0, rng), torch.ones(100)
    points[:5], weights[5:20] = torch.nan, 0.0
    points[5:20, 1] = 3.0
    found = fit_floor(points, weights, UP, tolerance=0.01)
    assert found is not None and found.inliers.tolist() == [False] * 20 + [True] * 80
    assert fit_floor(points, (torch.arange(100) < 7).float(), UP, tolerance=0.01) is None, "two points have a weight"
    assert fit_floor(points[:8], torch.ones(8), UP, tolerance=0.01) is not None


def test_points_on_a_line_are_no_floor() -> None:
    line = torch.linspace(0, 1, 50)[:, None] * torch.tensor([1.0, 0.0, 0.0])
    assert fit_floor(line, torch.ones(50), UP, tolerance=0.01) is None


def test_another_seed_draws_other_planes_and_finds_the_same(rng) -> None:
    points = torch.cat([level_points(300, 0.0, rng, noise=0.003), level_points(200, 1.0, rng)])
    found = [fit_floor(points, torch.ones(500), UP, tolerance=0.02, seed=seed) for seed in (0, 1)]
    assert found[0] is not None and found[1] is not None
    torch.testing.assert_close(found[0].plane, found[1].plane, atol=1e-5, rtol=0)


def test_very_many_points_are_scored_in_pieces(rng) -> None:
    """More than one piece of 16,384: the second holds the floor."""
    points = torch.cat([level_points(17_000, 1.0, rng), level_points(16_000, 0.0, rng)])
    found = fit_floor(points, torch.ones(33_000), UP, tolerance=0.02, num_hypotheses=64)
    assert found is not None and abs(float(found.plane[3])) < 1e-5
