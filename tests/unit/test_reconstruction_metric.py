"""One scale from the people, and the correction of each person's own depth, against answers that were written down."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from placed_bodies import BODY, make_placed, pelvis_of
from unish.geometry.camera import pixel_grid, thin_intrinsics
from unish.reconstruction import metric
from unish.reconstruction.metric import (
    MAX_RELIEF,
    MIN_PIXELS,
    NETWORK_SIGMA,
    DepthComparison,
    _fit_surface,
    compare_depths,
    correct_people,
    estimate_scale,
)
from unish.reconstruction.shot import ShotEvidence, _stand_in_boxes, _support_weak_rulers
from unish.render.plain import rasterize

SIZE = (96, 64)
INTRINSICS = torch.tensor([[110.0, 0, 32], [0, 100, 48], [0, 0, 1]])

ALL = torch.tensor([0])


def draw(pelvis: Tensor) -> tuple[Tensor, Tensor]:
    """(H, W) depth of the body alone, 0 elsewhere, and its mask (0 there, −1 elsewhere)."""
    placed = make_placed(pelvis[None, None])
    hit = rasterize(BODY.vertices(placed.params)[0, 0].numpy(), BODY.faces.numpy(), INTRINSICS.numpy(), SIZE)
    depth = torch.from_numpy(hit.depth)
    return depth, torch.where(depth > 0, 0, -1).to(torch.int16)


PELVIS = torch.tensor([0.1, 0.05, 2.6])
DEPTH, MASK = draw(PELVIS)
PLACED = make_placed(PELVIS[None, None])


@pytest.mark.parametrize("long_side", [256, 48, 32], ids=["every pixel", "every second", "every third"])
def test_a_body_explains_its_own_depth(long_side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where only some pixels are compared: they are pixels of the picture, not of a shrunken one."""
    monkeypatch.setattr(metric, "COMPARE_LONG_SIDE", long_side)
    found = compare_depths(BODY, PLACED, DEPTH[None] / 3.0, MASK[None], INTRINSICS[None], ALL)
    assert float(found.level) == pytest.approx(math.log(3.0), abs=1e-6)
    assert float(found.tilt.abs().max()) < 1e-5 and float(found.relief) == pytest.approx(1.0, abs=1e-5)
    assert float(found.scene_level) == pytest.approx(float((DEPTH[MASK == 0] / 3).log().median()), abs=0.02)
    rows, columns = (MASK == 0).nonzero().T
    # In pixels of the whole picture, whatever was compared: within a stride.
    stride = -(-SIZE[0] // long_side)
    assert float(found.centre[0, 0, 1]) == pytest.approx(float(rows.float().mean()) + 0.5, abs=0.5 * stride)
    assert float(found.centre[0, 0, 0]) == pytest.approx(float(columns.float().mean()) + 0.5, abs=0.5 * stride)
    assert float(found.extent) == pytest.approx(float(rows.amax() - rows.amin()), abs=2 * stride)


def test_thinned_pixels_see_what_they_saw_before() -> None:
    small = thin_intrinsics(INTRINSICS, 1, 3)
    whole, thin = pixel_grid(*SIZE, like=INTRINSICS)[1::3, 1::3], pixel_grid(32, 21, like=INTRINSICS)
    rays, again = (
        torch.nn.functional.pad(pixels, (0, 1), value=1.0) @ torch.linalg.inv(k).T
        for pixels, k in ((whole, INTRINSICS), (thin, small))
    )
    torch.testing.assert_close(rays, again, rtol=0, atol=1e-6)


def test_too_few_pixels_say_nothing() -> None:
    rows, columns = (MASK == 0).nonzero().T
    for count, known in ((MIN_PIXELS, True), (MIN_PIXELS - 1, False)):
        few = torch.full_like(MASK, -1)
        few[rows[:count], columns[:count]] = 0
        found = compare_depths(BODY, PLACED, DEPTH[None], few[None], INTRINSICS[None], ALL)
        assert bool(torch.isfinite(found.level).all()) == known
    undefined = DEPTH.clone()
    undefined[rows[MIN_PIXELS - 1 :], columns[MIN_PIXELS - 1 :]] = 0.0
    assert bool(compare_depths(BODY, PLACED, undefined[None], MASK[None], INTRINSICS[None], ALL).level.isnan().all())


def test_a_wrong_relief_and_a_tilt_are_found_and_taken_back() -> None:
    grid = pixel_grid(*SIZE, like=DEPTH)
    mine = MASK == 0
    extent = float(grid[mine].amax(0)[1] - grid[mine].amin(0)[1])
    lean = (grid[..., 1] - grid[mine][:, 1].mean()) / extent * 0.2
    bent = torch.where(mine, DEPTH * lean.exp() / 2.0, 0.0)
    found = compare_depths(BODY, PLACED, bent[None], MASK[None], INTRINSICS[None], ALL)
    assert float(found.tilt[0, 0, 1]) == pytest.approx(-0.2, abs=0.03)
    after = correct_people(bent[None], MASK[None], found, ALL)[0]
    # Measured 0.8 % at most: the prior draws the tilt a little towards none.
    assert float((after[mine] / DEPTH[mine]).log().abs().max()) < 0.016


def test_people_whose_frame_is_unknown_take_their_usual_level_and_nobody_elses_pixels_move() -> None:
    depth = torch.full((3, 8, 8), 2.0)
    masks = torch.full((3, 8, 8), -1, dtype=torch.int16)
    masks[:, 2:6, 2:4], masks[:, 2:6, 5:7] = 0, 1
    comparison = DepthComparison(
        level=torch.tensor([[0.1, torch.nan, 0.3], [torch.nan] * 3]),
        scene_level=torch.full((2, 3), math.log(2.0)),
        tilt=torch.zeros(2, 3, 2),
        relief=torch.ones(2, 3),
        centre=torch.full((2, 3, 2), 4.0),
        extent=torch.full((2, 3), 4.0),
    )
    after = correct_people(depth, masks, comparison, torch.arange(len(depth)))
    for frame, level in enumerate((0.1, 0.1, 0.3)):
        torch.testing.assert_close(after[frame][masks[frame] == 0], torch.full((8,), 2 * math.exp(level)))
    assert torch.equal(after[masks != 0], depth[masks != 0])


def test_the_correction_is_its_formula_with_its_limits() -> None:
    depth = torch.full((1, 8, 8), 2.0)
    depth[0, 2, 2], depth[0, 5, 2] = 2.0 * math.exp(0.2), 2.0 * math.exp(5 * MAX_RELIEF)
    masks = torch.full((1, 8, 8), -1, dtype=torch.int16)
    masks[0, 2:6, 2:6] = 0
    one = torch.ones(1, 1)
    comparison = DepthComparison(
        level=0.3 * one, scene_level=math.log(2.0) * one, tilt=torch.tensor([[[0.1, -0.2]]]), relief=0.5 * one,
        centre=torch.tensor([[[4.5, 3.5]]]), extent=2.0 * one,
    )  # fmt: skip
    after = correct_people(depth, masks, comparison, torch.arange(len(depth)))[0]

    def expected(row: int, column: int, own: float) -> float:
        offset = [max(-0.75, min(0.75, (place + 0.5 - middle) / 2)) for place, middle in ((column, 4.5), (row, 3.5))]
        return 2 * math.exp(0.3 + 0.1 * offset[0] - 0.2 * offset[1] + 0.5 * max(-MAX_RELIEF, min(MAX_RELIEF, own)))

    for row, column, own in ((2, 2, 0.2), (5, 2, 5 * MAX_RELIEF), (3, 4, 0.0), (5, 5, 0.0)):
        assert float(after[row, column]) == pytest.approx(expected(row, column, own), rel=1e-5)
    table = comparison.as_table()[0, 0]
    torch.testing.assert_close(table, torch.tensor([math.exp(0.3), 0.1, -0.2, 0.5, 2.0, 4.5, 3.5, 2.0]))
    assert bool(replace(comparison, level=torch.nan * one).as_table().isnan().all())
    metres = comparison.in_metres(3.0)
    assert float(metres.level) == pytest.approx(0.3 - math.log(3.0)) and float(
        metres.scene_level.exp()
    ) == pytest.approx(6.0)


def test_surfaces_are_fitted_in_spite_of_a_minority() -> None:
    generator = torch.Generator().manual_seed(0)
    offsets = torch.rand(200, 2, generator=generator) - 0.5
    scene = 0.1 * torch.randn(200, generator=generator)
    body = offsets @ torch.tensor([0.15, -0.1]) + 0.6 * scene
    body[:40] += 0.8
    tilt, relief = _fit_surface(offsets, scene, body - body.median())
    # Measured: 0.004 and 0.05, which the ridge towards full relief makes.
    torch.testing.assert_close(tilt, torch.tensor([0.15, -0.1]), rtol=0, atol=0.01)
    assert float(relief) == pytest.approx(0.6, abs=0.1)
    tilt, relief = _fit_surface(offsets, scene, offsets @ torch.tensor([3.0, 0.0]) - 2 * scene)
    assert float(tilt[0]) == 0.5 and float(relief) == 0.0, "within the limits"


def test_the_surface_is_the_fifth_of_its_weighted_fits() -> None:
    """Least absolute residuals (none counts for less than a hundredth), drawn a little to no tilt and full relief."""
    rng = np.random.default_rng(1)
    offsets, scene = rng.uniform(-0.5, 0.5, (60, 2)), rng.normal(0, 0.1, 60)
    body = offsets @ [0.3, -0.2] + 0.4 * scene + rng.standard_cauchy(60) * 0.05
    scene, body = scene - np.median(scene), body - np.median(body)
    found = _fit_surface(*(torch.from_numpy(values).float() for values in (offsets, scene, body)))
    design, start = np.column_stack([offsets, scene, np.ones(60)]), np.array([0.0, 0, 1, 0])
    ridge, weights = np.diag([0.002, 0.002, 0.002, 1e-6]), np.ones(60)
    rounds = []
    for _ in range(10):
        left = (design.T * weights) @ design / weights.sum() + ridge
        rounds.append(np.linalg.solve(left, (design.T * weights) @ body / weights.sum() + ridge @ start))
        weights = 1 / np.maximum(np.abs(body - design @ rounds[-1]), 0.01)
    np.testing.assert_allclose(torch.cat([found[0], found[1][None]]).numpy(), rounds[4][:3], atol=1e-6)
    assert all(np.abs(rounds[4] - rounds[index])[:3].max() > 1e-4 for index in (3, 5))


def test_scale_is_the_median_of_people_who_measure_well_each_with_their_weight() -> None:
    pelvis = torch.ones(2, 3, 3)
    ratios = torch.tensor([[2.0, 2.0, 2.0], [3.0, 3.0, 3.0]]).log()
    sure_first = torch.tensor([[0.05] * 3, [0.15] * 3])
    for sigma, expected in ((sure_first, 2.0), (sure_first.flip(0), 3.0)):
        scale = estimate_scale(ratios, make_placed(pelvis, sigma), 7.0)
        assert (scale.factor, scale.source) == (pytest.approx(expected), "people") and scale.uncertainty < 0.2
    hidden = make_placed(pelvis, torch.full((2, 3), 0.5))
    assert estimate_scale(ratios, hidden, 7.0).factor == 7.0
    assert (
        estimate_scale(ratios, hidden, 7.0).source == "network"
        and estimate_scale(ratios, hidden, None).source == "none"
    )
    assert estimate_scale(ratios, hidden, None).factor == 1.0
    for nonsense in (0.0, float("nan")):
        assert (estimate_scale(ratios, hidden, nonsense).source, estimate_scale(ratios, hidden, nonsense).factor) == (
            "none",
            1.0,
        )
    unknown = torch.full((2, 3), torch.nan)
    assert estimate_scale(unknown, make_placed(pelvis), 7.0).source == "network"


def test_people_who_are_seen_badly_draw_the_scale_of_the_network_to_theirs_by_their_errors() -> None:
    """Means of logarithms by inverse variances; frames of one person err alike and count once."""
    pelvis = torch.ones(2, 3, 3)
    ratios = torch.tensor([[3.0, 3.0, torch.nan], [5.0, 5.0, 5.0]]).log()
    sigma = torch.tensor([[0.4] * 3, [0.5] * 3])
    share = 0.4**-2 / (0.4**-2 + NETWORK_SIGMA**-2)
    scale = estimate_scale(ratios, make_placed(pelvis, sigma), 7.0)
    assert (scale.factor, scale.source) == (pytest.approx(7.0 ** (1 - share) * 3.0**share, rel=1e-5), "network")
    sigma[1] = 0.35
    both = np.array([0.4**-2, 0.35**-2, NETWORK_SIGMA**-2])
    expected = np.exp((both / both.sum()) @ np.log([3.0, 5.0, 7.0]))
    assert estimate_scale(ratios, make_placed(pelvis, sigma), 7.0).factor == pytest.approx(expected, rel=1e-5)


def test_weak_rulers_go_to_where_the_scene_sees_them_by_their_errors() -> None:
    sigma = torch.tensor([[0.05, 0.5, 0.5]])
    valid = torch.tensor([[True, True, False]])
    pelvis = torch.tensor([[[0.0, 0.0, 4.0]] * 3])
    placed = make_placed(pelvis, sigma, valid)
    times = torch.arange(3) / 6
    moved, log_moves = _support_weak_rulers(BODY, placed, torch.full((1, 3), math.log(2.0)), times)
    trust = 0.3**-2 / (0.3**-2 + 0.5**-2)  # the scene's own error is 30 %
    expected = torch.tensor([[0.0, -math.log(2.0) * trust, 0.0]])
    torch.testing.assert_close(log_moves, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(pelvis_of(moved), pelvis * expected.exp()[..., None], rtol=0, atol=1e-5)
    unknown, none = _support_weak_rulers(BODY, placed, torch.full((1, 3), torch.nan), times)
    assert not none.any() and torch.equal(unknown.params.transl, placed.params.transl)


def test_a_frame_whose_depth_is_wrong_moves_nobody() -> None:
    """The scene is four times too near in one frame and not to be seen in another; the frames around tell both."""
    pelvis = torch.tensor([[[0.0, 0.0, 10.0]] * 9] * 2)
    placed = make_placed(pelvis, torch.tensor([[0.5] * 9, [0.05] * 4 + [0.5] + [0.05] * 4]))
    ratios = torch.full((2, 9), math.log(1.25))
    ratios[:, 4], ratios[0, 6] = math.log(4.0), torch.nan
    moved, log_moves = _support_weak_rulers(BODY, placed, ratios, torch.arange(9) / 6)
    trust = 0.3**-2 / (0.3**-2 + 0.5**-2)
    # Without it, the fifth frame of both would be at 3.6 m.
    torch.testing.assert_close(log_moves[0], torch.full((9,), -math.log(1.25) * trust), rtol=0, atol=0.03)
    assert pelvis_of(moved)[1, 4, 2] == pytest.approx(10.0, rel=0.03)
    assert not log_moves[1, [0, 1, 2, 3, 5, 6, 7, 8]].any(), "who is seen well stays"


def test_frames_far_apart_in_time_move_by_themselves() -> None:
    placed = make_placed(torch.tensor([[[0.0, 0.0, 10.0]] * 7]), torch.full((1, 7), 0.5))
    ratios = torch.tensor([[0.1, 0.1, 0.1, 0.1, 2.0, 2.0, 2.0]])
    trust = 0.3**-2 / (0.3**-2 + 0.5**-2)
    _, apart = _support_weak_rulers(BODY, placed, ratios, torch.tensor([0, 0.2, 0.4, 0.6, 2.0, 2.2, 2.4]))
    torch.testing.assert_close(apart, -ratios * trust, rtol=0, atol=1e-5)
    _, joined = _support_weak_rulers(BODY, placed, ratios, torch.arange(7) / 5)
    assert (joined + ratios * trust).abs().max() > 0.05


def test_a_box_alone_stands_at_its_centre_where_the_scene_is() -> None:
    depth = torch.full((2, *SIZE), 5.0)
    masks = torch.full((2, *SIZE), -1, dtype=torch.int16)
    masks[0, 20:60, 10:30], masks[1, 20:23, 10:13] = 0, 0
    depth[0, 20:30, 10:30] = 9.0
    depth[0, 55:60, 10:30] = 0.0
    valid = torch.ones(1, 2, dtype=torch.bool)
    evidence = ShotEvidence(
        timestamps_s=torch.arange(2) / 6, valid=valid, masks=masks, landmarks_px=torch.full((1, 2, 33, 3), torch.nan),
        boxes_xyxy=torch.tensor([[[10.0, 20, 30, 60]] * 2]), box_only=valid,
    )  # fmt: skip
    unknown = torch.full((1, 2), torch.nan)
    comparison = DepthComparison(
        level=unknown, scene_level=unknown, tilt=torch.zeros(1, 2, 2), relief=torch.ones(1, 2),
        centre=torch.zeros(1, 2, 2), extent=torch.ones(1, 2),
    )  # fmt: skip
    placed = make_placed(torch.tensor([[[0.0, 0.0, 1.0]] * 2]))
    moved, after = _stand_in_boxes(
        BODY, placed, comparison, depth, evidence, INTRINSICS.expand(2, 3, 3), torch.arange(2)
    )
    ray = torch.tensor([(20 - 32) / 110.0, (40 - 48) / 100.0, 1.0])
    torch.testing.assert_close(pelvis_of(moved)[0, 0], 5.0 * ray, rtol=0, atol=1e-5)
    assert float(after.level[0, 0]) == 0.0 and float(after.scene_level[0, 0]) == pytest.approx(math.log(5.0))
    assert comparison.level.isnan().all() and comparison.scene_level.isnan().all(), "what was given stays as it was"
    torch.testing.assert_close(pelvis_of(moved)[0, 1], torch.tensor([0.0, 0.0, 1.0]), rtol=0, atol=1e-6)
    assert bool(after.level[0, 1].isnan()), "nine pixels say nothing"


def _see_boxes(depth: Tensor, box_only: Tensor, dense: Tensor, pelvis: Tensor) -> Tensor:
    """Depth (T,) of one person's pelvis after ``_stand_in_boxes``; the scene is ``depth`` (D,) all over."""
    num_frames = len(box_only)
    masks = torch.full((len(depth), *SIZE), -1, dtype=torch.int16)
    masks[:, 20:60, 10:30] = 0
    evidence = ShotEvidence(
        timestamps_s=torch.arange(num_frames) / 6, valid=torch.ones(1, num_frames, dtype=torch.bool), masks=masks,
        landmarks_px=torch.full((1, num_frames, 33, 3), torch.nan),
        boxes_xyxy=torch.tensor([[[10.0, 20, 30, 60]] * num_frames]), box_only=box_only[None],
    )  # fmt: skip
    unknown = torch.full((1, num_frames), torch.nan)
    comparison = DepthComparison(
        level=unknown, scene_level=unknown, tilt=torch.zeros(1, num_frames, 2), relief=torch.ones(1, num_frames),
        centre=torch.zeros(1, num_frames, 2), extent=torch.ones(1, num_frames),
    )  # fmt: skip
    placed = make_placed(pelvis[None, :, None] * torch.tensor([0.0, 0.0, 1.0]))
    maps = depth[:, None, None].expand(-1, *SIZE)
    cameras = INTRINSICS.expand(num_frames, 3, 3)
    return pelvis_of(_stand_in_boxes(BODY, placed, comparison, maps, evidence, cameras, dense)[0])[0, :, 2]


def test_a_box_between_frames_with_depth_is_as_far_away_as_they_tell() -> None:
    boxes = torch.ones(3, dtype=torch.bool)
    found = _see_boxes(torch.tensor([5.0, 5.2]), boxes, torch.tensor([0, 2]), torch.ones(3))
    torch.testing.assert_close(found, torch.tensor([5.0, 5.1, 5.2]), rtol=0, atol=1e-3)


def test_the_depth_of_one_box_moves_nobody_and_no_box_moves_who_was_measured() -> None:
    """Boxes a second and more after the last frame with landmarks, in one of which the scene is twice as far away."""
    depth = torch.full((18,), 10.0)
    depth[13] = 20.0
    boxes = torch.arange(18) >= 3
    pelvis = torch.tensor([9.8, 10.1, 9.9, *[1.0] * 15])
    found = _see_boxes(depth, boxes, torch.arange(18), pelvis)
    assert torch.equal(found[:3], pelvis[:3])
    torch.testing.assert_close(found[3:9], torch.full((6,), 9.9), rtol=0, atol=1e-5)
    torch.testing.assert_close(found[9:], torch.full((9,), 10.0), rtol=0.02, atol=0)


def test_boxes_begin_where_the_person_was_and_come_to_where_the_scene_is() -> None:
    """The scene is at 14 m, the person was at 9.9 m; a second after the last landmarks the scene begins to tell."""
    boxes = torch.arange(30) >= 3
    found = _see_boxes(torch.full((30,), 14.0), boxes, torch.arange(30), torch.tensor([9.8, 10.1, 9.9, *[1.0] * 27]))
    assert float(found[9]) < 11.5 and float(found[-1]) == pytest.approx(14.0, rel=0.05)
    assert found[9:].diff().abs().max() < 1.0
