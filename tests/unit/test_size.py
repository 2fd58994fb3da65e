"""How sure sizes are: what each source of a size and a focal length adds, and what report.json says of it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from standing_shots import make_shot
from unish.body import load_body, resize_to_height
from unish.reconstruction import MetricShot, describe_sizes, describe_statures, measure_scale_interval
from unish.reconstruction.anchor import choose_rulers
from unish.reconstruction.metric import SceneScale
from unish.structs import FocalSource

BODY = load_body("free")


def measure(shot: MetricShot, height_m: float | None = None) -> float:
    """Logarithm of the upper end; the interval is the same on both sides of 1."""
    betas = torch.zeros(len(shot.valid), 10)
    if height_m is not None:
        betas = resize_to_height(BODY, betas, torch.full((len(betas),), height_m))
    low, high = measure_scale_interval(shot, betas, BODY)
    assert low * high == pytest.approx(1.0)
    return math.log(high)


def with_focal(shot: MetricShot, source: FocalSource) -> MetricShot:
    camera = shot.camera
    return replace(shot, camera=type(camera)(matrix=camera.matrix, size=camera.size, focal_source=source))


def with_scale(shot: MetricShot, source: str, uncertainty: float = 0.05) -> MetricShot:
    return replace(shot, scale=SceneScale(factor=1.0, uncertainty=uncertainty, source=source))


def test_the_better_the_focal_length_is_known_the_surer_is_the_size() -> None:
    sources: list[FocalSource] = ["given", "metadata", "solved", "guessed"]
    found = [measure(with_focal(make_shot(), source)) for source in sources]
    assert found == sorted(found) and found[0] < found[-1] - 0.05


def test_more_people_and_people_of_known_height_make_it_surer() -> None:
    one, four = make_shot(), make_shot(num_people=4)
    assert measure(four) < measure(one)
    known = replace(one, known_height=torch.tensor([True]), scale=replace(one.scale, uncertainty=0.01))
    assert measure(known) < measure(one)
    child = measure(one, height_m=1.2)
    assert child > measure(one, height_m=1.7)


def test_people_who_are_badly_seen_make_it_less_sure() -> None:
    shot = make_shot()
    assert measure(replace(shot, distance_sigma=torch.full_like(shot.distance_sigma, 0.17))) > measure(shot) + 0.05
    assert measure(with_scale(shot, "people", 0.2)) > measure(shot) + 0.05, "they disagree"


def test_a_known_distance_is_surer_and_a_network_alone_less_sure_than_people() -> None:
    shot = make_shot()
    assert measure(with_scale(shot, "distance", 0.03)) < measure(shot) < measure(with_scale(shot, "network", math.nan))
    nothing = measure_scale_interval(with_scale(shot, "none", math.nan), torch.zeros(1, 10), BODY)
    assert all(math.isnan(end) for end in nothing)


def test_people_of_known_height_measure_alone_where_they_are_seen() -> None:
    valid, sigma = torch.ones(2, 3, dtype=torch.bool), torch.full((2, 3), 0.05)
    sigma[1, 2] = 0.4
    assert choose_rulers(valid, sigma, None).tolist() == [[True] * 3, [True, True, False]]
    assert choose_rulers(valid, sigma, torch.tensor([False, True])).tolist() == [[False] * 3, [True, True, False]]
    sigma[1] = 0.4
    assert choose_rulers(valid, sigma, torch.tensor([False, True])).tolist() == [[True] * 3, [False] * 3]


def test_the_report_says_it_in_words() -> None:
    shot = with_focal(make_shot(num_people=2), "guessed")
    nothing = with_scale(with_focal(shot, "metadata"), "none", math.nan)
    sure, unknown = describe_sizes([shot, nothing], torch.zeros(2, 10), BODY)
    smallest, largest = sure["scale_interval"]
    assert (smallest, largest) == measure_scale_interval(shot, torch.zeros(2, 10), BODY)
    assert sure["size"] == (
        f"all lengths may be {100 - 100 * smallest:.0f} % smaller to {100 * largest - 100:.0f} % larger; "
        "the focal length is guessed from the pictures"
    )
    low, high = sure["field_of_view_interval_deg"]
    assert low < shot.camera.field_of_view_deg < high
    assert unknown["size"].startswith("the size is unknown") and unknown["size"].endswith("stated by the file")


def test_everybodys_stature_has_an_interval() -> None:
    heights = torch.tensor([1.72, 1.72])
    betas = resize_to_height(BODY, torch.zeros(2, 10), heights)
    shot = replace(make_shot(num_people=2), known_height=torch.tensor([True, False]))
    given, guessed = describe_statures([shot], betas, BODY)
    assert given["size"] == "1.72 m, given"
    assert given["height_interval_m"] == pytest.approx([1.72, 1.72], abs=0.01)
    low, high = guessed["height_interval_m"]
    assert (low, high) == pytest.approx((1.53, 1.93), abs=0.01)
    assert guessed["size"] == "1.72 m, guessed: between 1.53 and 1.93 m"
    badly = replace(shot, distance_sigma=torch.full_like(shot.distance_sigma, 0.3), known_height=None)
    wide = describe_statures([badly], betas, BODY)[1]["height_interval_m"]
    assert wide[0] < low and wide[1] > high
    assert describe_statures([badly, shot], betas, BODY)[1] == guessed, "as sure as where they are seen best"
    assert describe_statures([shot], betas[:0], BODY) == []


def test_a_height_is_met_to_a_millimetre_and_unknown_ones_stay() -> None:
    betas = torch.randn(4, 10, generator=torch.Generator().manual_seed(0))
    wanted = torch.tensor([0.9, 1.5, 2.1, math.nan])
    found = resize_to_height(BODY, betas, wanted)
    torch.testing.assert_close(BODY.standing_height(found)[:3], wanted[:3], rtol=0, atol=1e-3)
    torch.testing.assert_close(found[3], betas[3])
