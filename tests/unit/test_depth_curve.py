"""The curve of the scene's depth, what asks for it, and what it does to people's own pixels."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from standing_shots import FLOOR, HEIGHT, WIDTH, find_standing, make_evidence, make_shot
from unish.geometry.camera import project
from unish.reconstruction.depth_curve import DepthCurve, DepthEvidence, fit_depth_curve, hat_weights
from unish.reconstruction.ground_strips import collect_depth_evidence, find_depth_range, read_strips
from unish.reconstruction.metric import DepthComparison, correct_people

CURVE = DepthCurve(knots=torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0]), offsets=torch.tensor([0.1, 0.05, 0.0, 0.1, 0.1]))


def ask(log_depth: torch.Tensor, offset: torch.Tensor, weight: float = 1.0) -> DepthEvidence:
    full = torch.ones_like(log_depth)
    return DepthEvidence(log_depth=log_depth, offset=offset, sigma=0.08 * full, weights=weight * full)


def test_a_curve_goes_through_its_knots_and_is_flat_beyond() -> None:
    torch.testing.assert_close(CURVE.offset(CURVE.knots), CURVE.offsets)
    torch.testing.assert_close(CURVE.offset(torch.tensor([-3.0, 0.25, 9.0])), torch.tensor([0.1, 0.075, 0.1]))
    torch.testing.assert_close(CURVE.as_table()[:, 1], CURVE.knots + CURVE.offsets)
    depth = torch.tensor([[0.0, math.exp(0.5)], [-1.0, math.exp(2.0)]])
    expected = torch.tensor([[0.0, math.exp(0.55)], [-1.0, math.exp(2.1)]])
    torch.testing.assert_close(CURVE.apply(depth), expected)
    assert CURVE.offset(torch.tensor([torch.nan])).isnan().all()
    inside = torch.tensor([0.2, 0.7, 1.3, -1.0, 3.0])
    step = 1e-3
    numeric = (CURVE.offset(inside + step) - CURVE.offset(inside - step)) / (2 * step)
    torch.testing.assert_close(CURVE.slope(inside), numeric, rtol=0, atol=1e-3)


def test_hats_sum_to_one_and_interpolate() -> None:
    values = torch.linspace(-1, 3, 41)
    hats = hat_weights(values, CURVE.knots)
    torch.testing.assert_close(hats.sum(1), torch.ones(41))
    torch.testing.assert_close(hats @ CURVE.offsets, CURVE.offset(values))


def test_one_factor_is_found_and_held_by_its_prior() -> None:
    where = torch.linspace(0.5, 2.0, 40)
    many = fit_depth_curve(ask(where, torch.full((40,), 0.2)), 0.0, 2.5)
    torch.testing.assert_close(many.offsets, torch.full((5,), 0.2), rtol=0, atol=0.015)
    few = fit_depth_curve(ask(where[:1], torch.full((1,), 0.2)), 0.0, 2.5)
    assert 0.05 < few.mean < 0.12
    nothing = fit_depth_curve(ask(where[:0], where[:0]), 0.0, 2.5)
    torch.testing.assert_close(nothing.offsets, torch.zeros(5))


def test_most_strips_decide_and_a_slope_is_followed_with_reserve() -> None:
    where = torch.linspace(0.5, 2.0, 40)
    wild = torch.where(torch.arange(40) % 4 == 0, 1.5, 0.1)
    assert abs(fit_depth_curve(ask(where, wild), 0.0, 2.5).mean - 0.1) < 0.03
    leaning = fit_depth_curve(ask(where, 0.1 * (where - 1.2), weight=4.0), 0.0, 2.5)
    slope = leaning.slope(torch.tensor([1.2])).item()
    assert 0.03 < slope < 0.1


def test_a_curve_always_rises() -> None:
    mad = fit_depth_curve(ask(torch.linspace(0, 2, 4000), 3 * torch.linspace(1, -1, 4000), weight=100.0), 0.0, 2.0)
    assert (mad.as_table()[:, 1].diff() > 0).all()
    flat = fit_depth_curve(ask(torch.ones(10), torch.full((10,), 0.1)), 1.0, 1.0)
    assert flat.offsets.isfinite().all() and (flat.knots.diff() > 0).all()


def test_strips_say_by_how_much_the_ground_is_off() -> None:
    shot = make_shot(num_people=2)
    evidence = make_evidence(shot)
    contacts = find_standing(shot, evidence)
    right = read_strips(contacts, FLOOR, shot, evidence)
    assert len(right.offset) > 8 and right.offset.abs().max() < 0.02
    far = read_strips(contacts, FLOOR, replace(shot, depth_before=1.2 * shot.depth_before), evidence)
    torch.testing.assert_close(far.offset, right.offset - math.log(1.2), rtol=0, atol=1e-4)
    torch.testing.assert_close(far.log_depth, right.log_depth + math.log(1.2), rtol=0, atol=1e-4)
    covered = torch.zeros(len(shot.dense), HEIGHT, WIDTH, dtype=torch.int16)
    assert len(read_strips(contacts, FLOOR, shot, replace(evidence, masks=covered)).offset) == 0, "people are no ground"
    doubted = replace(shot, conf=torch.full_like(shot.conf, 0.05))
    assert len(read_strips(contacts, FLOOR, doubted, evidence).offset) == 0
    every_other = replace(
        shot,
        dense=torch.tensor([0, 2]),
        depth=shot.depth[::2],
        depth_before=shot.depth_before[::2],
        conf=shot.conf[::2],
        unplaced=shot.unplaced[::2],
        doubtful=shot.doubtful[::2],
    )
    half = read_strips(contacts, FLOOR, every_other, replace(evidence, masks=evidence.masks[::2]))
    torch.testing.assert_close(
        half.offset, right.offset[torch.isin(contacts.frame, torch.tensor([0, 2]))][: len(half.offset)]
    )
    assert find_depth_range(shot)[0] < find_depth_range(shot)[1]


def test_the_strip_is_one_to_six_percent_of_the_box_under_the_foot() -> None:
    shot = make_shot()
    evidence = make_evidence(shot)
    found = find_standing(shot, evidence)
    one = torch.searchsorted(found.frame, found.frame.unique())  # of each frame
    contacts = replace(found, **{name: value[one] for name, value in vars(found).items()})
    boxes = evidence.boxes_xyxy.clone()
    boxes[..., 1] = boxes[..., 3] - 80.0  # so that the strip is some pixels high
    evidence = replace(evidence, boxes_xyxy=boxes)
    whole = read_strips(contacts, FLOOR, shot, evidence)
    local = torch.einsum("kji,kj->ki", shot.c2w[contacts.frame, :3, :3], contacts.points - contacts.camera)
    feet = project(local[:, None], shot.intrinsics[contacts.frame])[:, 0, 1]
    for first, last, same in ((0.8, 4.8, True), (2.8, 4.8, False), (0.8, 2.8, False)):
        covered = torch.ones_like(evidence.masks, dtype=torch.bool)
        for frame, y in zip(contacts.frame.tolist(), feet.tolist(), strict=True):
            covered[frame, int(y + first) : int(y + last) + 1] = False
        only = read_strips(
            contacts, FLOOR, shot, replace(evidence, masks=torch.where(covered, 0, evidence.masks).short())
        )
        assert torch.equal(only.log_depth, whole.log_depth) == same


def test_bodies_against_their_own_pixels_count_a_little() -> None:
    shot = make_shot()
    evidence = make_evidence(shot)
    contacts = find_standing(shot, evidence)
    level = torch.full_like(shot.distance_sigma, 0.3)
    compared = replace(shot.correction, level=level, scene_level=torch.full_like(level, 1.4))
    both = collect_depth_evidence(contacts, FLOOR, replace(shot, correction=compared), evidence)
    strips = read_strips(contacts, FLOOR, shot, evidence)
    assert len(both.offset) == len(strips.offset) + 4
    curve = fit_depth_curve(both, *find_depth_range(shot))
    assert 0.0 < curve.mean < 0.08


def test_people_keep_their_place_when_the_scene_goes_along_a_curve() -> None:
    """Their own pixels are brought to the same body from wherever the scene has them."""
    depth = 3.0 + 0.2 * torch.rand(1, 20, 30, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 20, 30, dtype=torch.int16)
    one = torch.ones(1, 1)
    comparison = DepthComparison(
        level=0.1 * one, scene_level=math.log(3.1) * one, tilt=torch.tensor([[[0.1, -0.2]]]), relief=0.6 * one,
        centre=torch.tensor([[[15.0, 10.0]]]), extent=30.0 * one,
    )  # fmt: skip
    before = correct_people(depth, mask, comparison, torch.tensor([0]))[0]
    for offsets in (torch.full((5,), 0.15), torch.tensor([0.0, 0.0, 0.05, 0.1, 0.15])):
        curve = replace(CURVE, offsets=offsets)
        bent = curve.apply(depth)
        after = correct_people(bent, mask, comparison.along(curve), torch.tensor([0]))[0]
        torch.testing.assert_close(after, before, rtol=5e-3, atol=0)
    larger = comparison.of_larger_people(torch.tensor([0.05]))
    after = correct_people(depth, mask, larger, torch.tensor([0]))[0]
    torch.testing.assert_close(after, before * math.exp(0.05), rtol=1e-5, atol=0)
