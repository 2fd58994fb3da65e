"""A rendered truth scores perfectly on every column, and each kind of damage moves exactly what it should."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from corruptions import BODY, CORRUPTIONS

from unish.lab.evaluation import compare_with_truth, compared_people, compared_views
from unish.lab.synthetic import SynthConfig, make_clip
from unish.structs import Reconstruction

PERFECT_ONE = {
    "depth_delta", "depth_delta_metric", "world_size_ratio", "people_matched", "points_normal_consistency",
}  # fmt: skip
PERFECT_HUNDRED = {"human_normal_fine_percent"}
OWN_VALUE = {
    "camera_turn_identity_deg", "jitter", "foot_sliding_mm", "foot_floor_gap_cm", "human_scene_distance_cm",
}  # fmt: skip
"""What a camera that never turns scores, and what the truth itself scores: beside them stands an error."""

STILL = {"mm": 0.05, "cm": 0.01, "deg": 0.01, "percent": 0.01, "m": 1e-4, "s2": 0.02}
MOVED = {"mm": 1.0, "cm": 0.1, "deg": 1.0, "percent": 0.5, "m": 5e-3, "s2": 0.5}
"""By the last word of a column; 0.001 and 0.005 for the others, which have no unit."""


@pytest.fixture(scope="module", autouse=True)
def measure_few_points() -> Iterator[None]:
    """Signs need no more; the flipped camera is among the three frames."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compared_views, "MAX_POINTS", 1000)
        patch.setattr(compared_people, "MAX_POINTS", 30)
        patch.setattr(compared_people, "MAX_FRAMES", 3)
        yield


@pytest.fixture(scope="module")
def truth() -> Reconstruction:
    """Two people who walk, both in view all the time, and a camera that walks too."""
    return make_clip(5, 11, SynthConfig(size=(64, 80), num_frames=6, fps=10.0, min_people=2, max_people=2))


@pytest.fixture(scope="module")
def perfect(truth: Reconstruction) -> dict[str, float]:
    return compare_with_truth(truth, truth, BODY)


def distance_from_perfect(column: str, value: float) -> float:
    goal = 1.0 if column in PERFECT_ONE else 100.0 if column in PERFECT_HUNDRED else 0.0
    return abs(value - goal)


@pytest.mark.long
def test_the_truth_scores_0_or_1_on_every_column(perfect: dict[str, float]) -> None:
    assert all(math.isfinite(value) for value in perfect.values()), perfect
    for column in perfect.keys() - OWN_VALUE:
        assert distance_from_perfect(column, perfect[column]) < 1e-6, column
    assert all(perfect[column] > 0 for column in OWN_VALUE)


@pytest.mark.long
@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_damage_moves_exactly_what_it_should(name: str, truth: Reconstruction, perfect: dict[str, float]) -> None:
    damage, moves, may_move = CORRUPTIONS[name]
    scores = compare_with_truth(damage(truth), truth, BODY)
    assert moves | may_move <= scores.keys() == perfect.keys()
    wrong = {}
    for column in scores.keys() - OWN_VALUE - may_move:
        off = distance_from_perfect(column, scores[column])
        unit = column.rsplit("_", 1)[-1]
        if column in moves and not off > MOVED.get(unit, 5e-3):
            wrong[column] = f"should move, is {scores[column]}"
        if column not in moves and not off < STILL.get(unit, 1e-3):
            wrong[column] = f"should not move, is {scores[column]}"
    assert not wrong


@pytest.mark.long
def test_every_column_is_moved_by_some_damage(perfect: dict[str, float]) -> None:
    assert set().union(*(moves for _, moves, _ in CORRUPTIONS.values())) == perfect.keys() - OWN_VALUE
