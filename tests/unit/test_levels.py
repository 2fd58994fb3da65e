"""Feet on several levels, supports of stances, and the local height of the ground."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from standing_shots import CAMERA_HEIGHT_M, FLOOR, UP, make_evidence, make_shot
from unish.body import load_body
from unish.geometry.plane import level_axes, span_tangents
from unish.reconstruction import Ground, MetricShot, survey_terrain
from unish.reconstruction.contacts import Contacts, measure_contact, pose_feet
from unish.reconstruction.height_map import BOTH_CONFIDENCE, FOOT_CONFIDENCE, HeightMap, map_heights
from unish.reconstruction.levels import find_ground_level, group_heights
from unish.reconstruction.static_points import StaticPoints, sample_static
from unish.reconstruction.supports import Stances, find_stances, find_supports, spread_supports
from unish.reconstruction.terrain import trusts_map

GROUND = Ground(gravity=-UP, floor=FLOOR, source="scene")
NUM_FRAMES = 9


def raise_people(shot: MetricShot, heights: Tensor) -> MetricShot:
    """By heights (P, T) along up."""
    shift = heights[..., None] * UP
    params = replace(shot.params, transl=shot.params.transl + shift)
    return replace(shot, params=params, joints=shot.joints + shift[:, :, None])


def make_contacts(height: Tensor, place: Tensor) -> Contacts:
    """Feet at heights over ``FLOOR`` and places along it, seen from the world's origin."""
    points = place @ span_tangents(UP) + (height - CAMERA_HEIGHT_M)[:, None] * UP
    count = len(height)
    return Contacts(
        person=torch.zeros(count, dtype=torch.long), frame=torch.arange(count), points=points,
        camera=torch.zeros(count, 3), depth=points[:, 2], weights=torch.full((count,), 1 / 3),
    )  # fmt: skip


def make_plane_points(height: float, count: int, *, reach: float = 4.0) -> Tensor:
    """Points of a level surface at a height over ``FLOOR``."""
    generator = torch.Generator().manual_seed(1)
    place = torch.rand(count, 2, generator=generator) * 2 * reach - reach
    return place @ span_tangents(UP) + (height - CAMERA_HEIGHT_M) * UP


def make_static(points: Tensor) -> StaticPoints:
    count = len(points)
    return StaticPoints(
        points=points, normals=UP.expand(count, 3), conf=torch.full((count,), 0.9), depth=torch.full((count,), 4.0),
        frame=torch.zeros(count, dtype=torch.long), cameras=torch.eye(4)[None],
    )  # fmt: skip


def test_the_ground_is_where_feet_were_at_more_places_than_on_the_wall() -> None:
    """Somebody stands on a wall for long, somebody walks over the lawn."""
    walk = torch.stack([torch.linspace(-2, 2, 24), torch.zeros(24)], 1)
    wall = torch.tensor([[1.0, 1.0]]).expand(60, 2)
    contacts = make_contacts(torch.cat([torch.zeros(24) + 0.02, torch.full((60,), 0.9)]), torch.cat([walk, wall]))
    level = group_heights(contacts, FLOOR)
    assert (level[24:] == 0).all() and (level[:24] == 1).all(), "the one with the most weight is the first"
    on_ground = find_ground_level(contacts, FLOOR, make_plane_points(0.0, 500))
    assert on_ground is not None and on_ground[:24].all() and not on_ground[24:].any()


def test_of_two_levels_with_as_many_places_the_scene_chooses() -> None:
    walk = torch.stack([torch.linspace(-2, 2, 24), torch.zeros(24)], 1)
    contacts = make_contacts(torch.cat([torch.zeros(24), torch.full((24,), 0.8)]), torch.cat([walk, walk]))
    for height, lower in ((0.0, True), (0.8, False)):
        on_ground = find_ground_level(contacts, FLOOR, make_plane_points(height, 500))
        assert on_ground is not None and bool(on_ground[0]) == lower and bool(on_ground[-1]) != lower


def test_one_level_or_feet_all_over_the_place_are_not_several_levels() -> None:
    walk = torch.stack([torch.linspace(-2, 2, 40), torch.zeros(40)], 1)
    scene = make_plane_points(0.0, 100)
    assert find_ground_level(make_contacts(torch.zeros(40), walk), FLOOR, scene) is None
    assert find_ground_level(make_contacts(torch.zeros(0), walk[:0]), FLOOR, scene) is None
    scattered = make_contacts(torch.linspace(-20, 1, 40), walk)
    assert find_ground_level(scattered, FLOOR, scene) is None


def test_few_feet_are_not_parted_into_levels() -> None:
    walk = torch.stack([torch.linspace(-2, 2, 11), torch.zeros(11)], 1)
    contacts = make_contacts(torch.cat([torch.zeros(7), torch.full((4,), 0.8)]), walk)
    assert find_ground_level(contacts, FLOOR, make_plane_points(0.0, 500)) is None
    enough = make_contacts(torch.cat([torch.zeros(8), torch.full((3,), 0.8)]), walk)
    on_ground = find_ground_level(enough, FLOOR, make_plane_points(0.0, 500))
    assert on_ground is not None and on_ground.tolist() == [True] * 8 + [False] * 3


def look_for_supports(heights: Tensor) -> tuple[Stances, Tensor]:
    shot = raise_people(make_shot(num_people=len(heights), num_frames=NUM_FRAMES), heights)
    stances = find_stances(shot, make_evidence(shot), FLOOR, load_body("free"))
    return stances, spread_supports(stances, find_supports(stances))


def test_who_stands_on_something_is_carried_by_it_and_who_stands_on_the_floor_by_that() -> None:
    heights = torch.zeros(2, NUM_FRAMES)
    heights[1] = 0.5
    stances, support = look_for_supports(heights)
    assert (support[0] == 0).all() and support.shape == (2, NUM_FRAMES, 4)
    torch.testing.assert_close(support[1], torch.full((NUM_FRAMES, 4), 0.5), atol=0.01, rtol=0)
    assert stances.long.all() and (stances.number >= 0).all()


def test_a_foot_a_little_over_the_floor_is_on_it_and_one_under_it_is_no_pit() -> None:
    heights = torch.zeros(2, NUM_FRAMES)
    heights[0], heights[1] = 0.03, -0.12
    assert (look_for_supports(heights)[1] == 0).all()


def test_the_top_of_a_jump_is_no_support() -> None:
    """A free fall from the top, frames at 6 per second on both sides of it: as still as somebody who stands."""
    heights = torch.zeros(1, NUM_FRAMES)
    fall = (torch.arange(NUM_FRAMES) - 4.5).abs() / 6
    heights[0] = (0.3 - 4.9 * fall**2).clamp_min(0.0)
    assert heights.max() > 0.25
    assert (look_for_supports(heights)[1] == 0).all()


def test_two_frames_tell_no_support_however_long_they_are_apart() -> None:
    heights = torch.zeros(1, NUM_FRAMES)
    for frames, tells in ((2, False), (3, True)):
        heights[0, :frames] = 0.5
        shot = raise_people(make_shot(num_people=1, num_frames=NUM_FRAMES), heights)
        stances = find_stances(shot, make_evidence(shot, fps=2.0), FLOOR, load_body("free"))
        assert bool((find_supports(stances) > 0.4).any()) == tells


def test_between_wall_and_floor_the_lower_one_counts() -> None:
    heights = torch.zeros(1, NUM_FRAMES)
    heights[0, :4], heights[0, 4] = 0.8, 0.5
    _, support = look_for_supports(heights)
    torch.testing.assert_close(support[0, :4], torch.full((4, 4), 0.8), atol=0.01, rtol=0)
    assert (support[0, 4:] == 0).all()


def test_who_has_left_the_wall_is_not_lifted_back_onto_it() -> None:
    """The last frames are too few to tell what is there, or in the air."""
    for end in ([0.4, -0.1, -0.1], [0.5, 0.3, 0.1]):
        heights = torch.full((1, NUM_FRAMES), 0.8)
        heights[0, -3:] = torch.tensor(end)
        assert (look_for_supports(heights)[1][0, -3:] == 0).all()


def test_who_lands_a_little_lower_is_still_on_the_wall() -> None:
    """After a jump, too briefly to tell what is there."""
    heights = torch.full((1, NUM_FRAMES), 0.8)
    heights[0, -3:] = torch.tensor([1.1, 0.78, 0.78])
    support = look_for_supports(heights)[1]
    torch.testing.assert_close(support[0, -2:], torch.full((2, 4), 0.8), atol=0.01, rtol=0)


def test_contact_is_told_against_the_support() -> None:
    shot = raise_people(make_shot(num_frames=4), torch.full((1, 4), 0.5))
    feet, evidence = pose_feet(shot, load_body("free"), UP), make_evidence(shot)
    assert measure_contact(feet, FLOOR, shot, evidence).max() < 0.01
    assert measure_contact(feet, FLOOR, shot, evidence, torch.full((1, 4, 4), 0.5)).min() > 0.5


def test_the_map_shows_steps_where_they_are_and_is_empty_where_nothing_was_seen() -> None:
    points = make_plane_points(0.0, 100_000, reach=2.0)
    axes = level_axes(-UP)
    x = points @ axes[0]
    stepped = points + ((x > 0.5).float() * 0.17)[:, None] * UP
    found = map_heights(make_static(stepped), GROUND, around=torch.zeros(1, 3))
    assert max(found.height.shape) <= 128 and found.grid[3] == -FLOOR[3]
    height, confidence = found.sample(torch.stack([axes[0] * -1.0, axes[0] * 1.2, axes[0] * 2.9]))
    torch.testing.assert_close(height[:2], torch.tensor([0.0, 0.17]), atol=0.005, rtol=0)
    assert (confidence[:2] > 0.4).all() and confidence[2] == 0 and height[2].isnan()


def test_the_floor_under_a_table_is_the_ground_and_walls_are_none() -> None:
    floor, table = make_plane_points(0.0, 8000, reach=1.0), make_plane_points(0.7, 12_000, reach=1.0)
    static = make_static(torch.cat([floor, table]))
    height, _ = map_heights(static, GROUND, around=torch.zeros(1, 3)).sample(torch.zeros(1, 3))
    assert height.abs() < 0.01
    sideways = replace(static, normals=span_tangents(UP)[:1].expand(20_000, 3))
    assert map_heights(sideways, GROUND, around=torch.zeros(1, 3)).confidence.max() == 0


def test_feet_are_stamped_into_the_map() -> None:
    flat = map_heights(make_static(make_plane_points(0.0, 60_000)), GROUND, around=torch.zeros(1, 3))
    places = torch.stack([torch.zeros(3), level_axes(-UP)[0]])
    told = flat.stamp(places, torch.tensor([0.9, 0.3]), torch.tensor([False, True]))
    height, confidence = told.sample(places)
    assert height.tolist() == pytest.approx([0.9, 0.3])
    assert confidence.tolist() == pytest.approx([FOOT_CONFIDENCE, BOTH_CONFIDENCE])
    assert told.sample(level_axes(-UP)[2:] * 1.5)[0].abs() < 0.01, "elsewhere it is as it was"


def test_without_points_or_gravity_there_is_no_ground() -> None:
    nothing = map_heights(make_static(torch.zeros(0, 3)), GROUND, around=torch.zeros(0, 3))
    assert (nothing.confidence == 0).all() and nothing.height.isnan().all()
    shot = make_shot()
    unknown = Ground(gravity=torch.full((3,), torch.nan), floor=torch.full((4,), torch.nan), source="none")
    terrain = survey_terrain(shot, make_evidence(shot), unknown, load_body("free"))
    assert terrain.map is None and terrain.support is None and len(terrain.levels) == 0


def make_stair_stances(steps: int, heights: Tensor) -> Stances:
    place = torch.arange(steps)[:, None] * 0.6 * level_axes(-UP)[0] - CAMERA_HEIGHT_M * UP + heights[:, None] * UP
    return Stances(
        number=torch.arange(steps)[None, :, None].expand(1, steps, 2), person=torch.zeros(steps, dtype=torch.long),
        place=place, height=heights, camera_height=CAMERA_HEIGHT_M - heights,
        long=torch.ones(steps, dtype=torch.bool),
    )  # fmt: skip


@pytest.mark.parametrize(("rise", "shown", "trusted"), [(0.17, 0.17, True), (0.17, 0.0, False), (0.0, 0.0, False)])
def test_the_scene_holds_feet_only_where_they_confirm_it(rise: float, shown: float, trusted: bool) -> None:
    heights = torch.arange(5) * rise
    points = make_plane_points(0.0, 100_000)
    step = ((points @ level_axes(-UP)[0] + 0.3) / 0.6).floor().clamp(0, 4)
    stepped = points + (step * shown)[:, None] * UP
    heights_map = map_heights(make_static(stepped), GROUND, around=torch.zeros(1, 3))
    assert trusts_map(make_stair_stances(5, heights), heights_map) == trusted


def test_people_and_sky_are_no_static_points() -> None:
    shot = make_shot()
    evidence = make_evidence(shot)
    everything = sample_static(shot, evidence)
    assert torch.allclose(everything.normals @ UP, torch.ones(len(everything.points)), atol=1e-3)
    assert (everything.points @ FLOOR[:3] + FLOOR[3]).abs().max() < 1e-3
    masks = evidence.masks.clone()
    masks[:, 40:, :40] = 0
    sky = torch.zeros(shot.depth.shape, dtype=torch.bool)
    sky[:, 50:] = True
    fewer = sample_static(shot, replace(evidence, masks=masks), sky)
    assert 0 < len(fewer.points) < len(everything.points)
    assert len(fewer.points) < len(sample_static(shot, replace(evidence, masks=masks)).points)


def test_a_map_has_rows_ahead_and_columns_to_the_right() -> None:
    axes = level_axes(-UP)
    torch.testing.assert_close(axes @ axes.mT, torch.eye(3), atol=1e-6, rtol=0)
    assert axes[0, 0] > 0.9 and axes[2, 2] > 0.9
    one = HeightMap(
        height=torch.arange(6.0).view(2, 3), confidence=torch.ones(2, 3), grid=torch.tensor([-1.5, 2.0, 1.0, 0.0]),
        axes=axes,
    )  # fmt: skip
    assert one.sample((1.0 * axes[0] + 3.5 * axes[2])[None])[0] == 5.0
