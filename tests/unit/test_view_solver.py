"""Cameras from what frames show alike: on pictures of a room whose every number is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from furnished_room import RoomClip, bend, film_room, turn_errors, walk
from unish.geometry.bundle import Bundle, Observations, adjust_bundle
from unish.geometry.camera import make_intrinsics, project, unproject
from unish.geometry.rigid import invert_rigid, make_rigid, transform_points
from unish.geometry.rotation import axis_angle_to_matrix
from unish.network.matching.records import SparseMatches
from unish.network.outputs import SceneOutput
from unish.network.view_config import ViewSolverConfig
from unish.network.view_scene import refine_scene
from unish.network.view_solver import SolvedViews, _list_pairs, arrange_observations, solve_views
from unish.network.view_start import ViewStart, _judge, find_start

CONFIG = ViewSolverConfig(num_keypoints=512, num_anchors=200)


def solve(clip: RoomClip, *, focal: float = 1.0, known: bool = False, **options: object) -> SolvedViews:
    """Args: focal: how wrong the first guess is."""
    guess = clip.intrinsics * torch.tensor([focal, focal, 1.0])[:, None]
    return solve_views(
        clip.images[None], bend(clip.depth).log()[None], guess[None], known_camera=known,
        **{"config": CONFIG} | options,
    )  # fmt: skip


def direction_error(found: torch.Tensor, true: torch.Tensor) -> float:
    """Degrees between the moves from the first to the last camera."""
    ours, wanted = (torch.nn.functional.normalize(invert_rigid(w2c)[-1, :3, 3], dim=0) for w2c in (found, true))
    return float(torch.arccos((ours @ wanted).clamp(-1, 1)).rad2deg())


def test_a_walk_is_found_although_the_depth_is_bent() -> None:
    clip = film_room(walk(6))
    found = solve(clip, known=True)
    assert found.moves.all() and found.joined.all()
    assert turn_errors(found.bundle.w2c[0], clip.w2c).max() < 0.15
    assert direction_error(found.bundle.w2c[0], clip.w2c) < 2.0


def test_anchors_are_where_the_room_is_up_to_one_scale() -> None:
    clip = film_room(walk(6))
    found = solve(clip, known=True)
    columns, rows = (found.anchors_px[0].long()[..., axis].clamp(0, side - 1) for axis, side in ((0, 320), (1, 240)))
    true = clip.depth[torch.arange(6)[:, None], rows, columns].log()
    sure = found.bundle.information[0] > 400
    assert sure.float().mean() > 0.3
    error = (found.bundle.log_depth[0] - true)[sure]
    assert (error - error.median()).abs().median() < 0.012


def test_a_wrong_focal_length_is_mended_by_a_camera_that_turns_and_a_given_one_is_kept() -> None:
    clip = film_room(walk(6, turn=0.05))
    found = solve(clip, focal=1.12)
    assert found.solves_focal.all()
    assert abs(float(found.intrinsics[0, 0, 0, 0] / clip.intrinsics[0, 0, 0]) - 1) < 0.03
    given = solve(clip, focal=1.12, known=True)
    assert not given.solves_focal.any()
    torch.testing.assert_close(given.intrinsics[0], clip.intrinsics * torch.tensor([1.12, 1.12, 1.0])[:, None])


def test_a_camera_at_rest_does_not_move_by_a_bit() -> None:
    clip = film_room(torch.zeros(5, 6))
    found = solve(clip)
    assert (found.bundle.w2c == torch.eye(4)).all()
    assert not found.moves.any() and not found.solves_focal.any()


@pytest.mark.parametrize("kind", ["turn", "zoom"])
def test_a_camera_that_turns_or_zooms_stays_in_its_place(kind: str) -> None:
    turning = torch.zeros(5, 6)
    turning[:, 4] = 0.035 * torch.arange(5) * (kind == "turn")
    clip = film_room(turning, focal=[270.0 * 1.05**k for k in range(5)] if kind == "zoom" else 270.0)
    found = solve(replace(clip, intrinsics=clip.intrinsics[:1].expand(5, 3, 3)))
    assert not found.moves.any()
    assert (found.bundle.w2c[..., :3, 3] == 0).all()
    assert turn_errors(found.bundle.w2c[0], clip.w2c).max() < 0.2
    focal, true = found.intrinsics[0, :, 0, 0], clip.intrinsics[:, 0, 0]
    torch.testing.assert_close(focal / focal[0], true / true[0], rtol=2e-3, atol=0)
    torch.testing.assert_close(focal.log().mean(), clip.intrinsics[0, 0, 0].log())


def test_a_thing_that_fills_two_fifths_does_not_pull_a_camera_at_rest() -> None:
    clip = film_room(torch.zeros(5, 6))
    passing = film_room(walk(5, step=(0.15, 0.0, 0.0), turn=0.0))
    images = clip.images.clone()
    images[..., :128] = passing.images[..., :128]
    found = solve(replace(clip, images=images))
    assert (found.bundle.w2c == torch.eye(4)).all()


def test_what_is_not_usable_does_not_count() -> None:
    """Three quarters of the picture go another way, and are said to be people."""
    clip = film_room(walk(5))
    other = film_room(walk(5, step=(-0.2, 0.0, 0.0), turn=-0.05))
    images = clip.images.clone()
    images[..., :240] = other.images[..., :240]
    usable = torch.zeros(1, 5, 240, 320, dtype=torch.bool)
    usable[..., 250:] = True
    mixed = replace(clip, images=images)
    assert turn_errors(solve(mixed, known=True, usable=usable).bundle.w2c[0], clip.w2c).max() < 1.0
    assert turn_errors(solve(mixed, known=True).bundle.w2c[0], clip.w2c).max() > 3.0


def test_views_far_apart_are_joined_without_help_of_the_depth() -> None:
    clip = film_room(walk(3, step=(0.5, 0.0, 0.2), turn=0.2))
    found = solve(clip, known=True)
    assert found.joined.all()
    assert turn_errors(found.bundle.w2c[0], clip.w2c).max() < 0.5
    assert direction_error(found.bundle.w2c[0], clip.w2c) < 2.0


def test_a_frame_of_another_place_is_named_and_does_no_harm() -> None:
    clip = film_room(walk(5))
    images = clip.images.clone()
    images[4] = torch.rand(3, 240, 320, generator=torch.Generator().manual_seed(0))
    found = solve(replace(clip, images=images), known=True)
    assert found.joined[0].tolist() == [True] * 4 + [False]
    assert turn_errors(found.bundle.w2c[0, :4], clip.w2c[:4]).max() < 0.15
    assert torch.isfinite(found.bundle.w2c).all()


@pytest.mark.parametrize(("off_deg", "beyond_doubt"), [(1.0, True), (25.0, False)])
def test_few_matches_are_not_beyond_doubt_against_more(off_deg: float, beyond_doubt: bool) -> None:
    """A wrong pose may explain nearly all of few matches; two pairs with more of them turn otherwise then."""
    turns = axis_angle_to_matrix(
        torch.deg2rad(torch.tensor([[0.0, 9.0, 0.0], [0.0, 15.0, 0.0], [0.0, 24 + off_deg, 0.0]]))
    )
    relative = make_rigid(turns, torch.tensor([1.0, 0.0, 0.0]).expand(3, 3))
    sure, support = _judge(
        relative[None], torch.tensor([[295, 50, 35]]), torch.tensor([[330, 68, 39]]), [(0, 1), (1, 2), (0, 2)],
        ViewSolverConfig(),
    )  # fmt: skip
    assert sure.tolist() == [[True, False, beyond_doubt]] and (support > 0).all()


def test_all_frames_alike_and_grey_are_no_error() -> None:
    clip = film_room(torch.zeros(3, 6))
    found = solve(replace(clip, images=torch.full_like(clip.images, 0.5)))
    assert (found.bundle.w2c == torch.eye(4)).all()
    assert not found.moves.any()


def test_the_scene_has_the_cameras_and_points_of_the_given_pixels() -> None:
    clip = film_room(walk(6, turn=0.05))
    guess = make_intrinsics(torch.full((6,), 300.0), 240, 320)[None]
    scene = SceneOutput(
        local_points=unproject(bend(clip.depth)[None], guess),
        point_conf_logits=torch.full((1, 6, 240, 320), 2.0),
        c2w=torch.eye(4).expand(1, 6, 4, 4),
        intrinsics=guess,
        hidden=torch.zeros(1, 6, 5, 8),
    )
    found = refine_scene(clip.images[None], scene, config=CONFIG)
    assert turn_errors(invert_rigid(found.c2w)[0], clip.w2c).max() < 0.3
    # Points lie on the rays of the camera that was found.
    depth = found.local_points[..., 2]
    torch.testing.assert_close(found.local_points, unproject(depth, found.intrinsics), atol=1e-4, rtol=1e-4)
    assert found.hidden is scene.hidden


def test_people_are_not_usable_though_nobody_says_so() -> None:
    """The same pictures as above: who covers three quarters and goes another way is masked by the layers themselves."""
    clip, other = film_room(walk(5)), film_room(walk(5, step=(-0.2, 0.0, 0.0), turn=-0.05))
    images = clip.images.clone()
    images[..., :240] = other.images[..., :240]
    people = torch.full((1, 5, 240, 320), -1)
    people[..., :246] = 0
    scene = SceneOutput(
        local_points=unproject(bend(clip.depth)[None], clip.intrinsics[None]),
        point_conf_logits=torch.full((1, 5, 240, 320), 2.0),
        c2w=torch.eye(4).expand(1, 5, 4, 4),
        intrinsics=clip.intrinsics[None],
        hidden=torch.zeros(1, 5, 5, 8),
    )
    found = refine_scene(images[None], scene, people=people, known_camera=True, config=CONFIG)
    assert turn_errors(invert_rigid(found.c2w)[0], clip.w2c).max() < 1.0
    torch.testing.assert_close(found.intrinsics, scene.intrinsics)


def test_frames_that_are_not_joined_keep_their_depth_and_say_so() -> None:
    clip = film_room(walk(5))
    images = clip.images.clone()
    images[4] = torch.rand(3, 240, 320, generator=torch.Generator().manual_seed(0))
    prior = bend(clip.depth)
    scene = SceneOutput(
        local_points=unproject(prior[None], clip.intrinsics[None]),
        point_conf_logits=torch.full((1, 5, 240, 320), 2.0),
        c2w=torch.eye(4).expand(1, 5, 4, 4),
        intrinsics=clip.intrinsics[None],
        hidden=torch.zeros(1, 5, 5, 8),
    )
    found = refine_scene(images[None], scene, known_camera=True, config=CONFIG)
    assert found.joined is not None and found.joined[0].tolist() == [True] * 4 + [False]
    change = (found.local_points[0, ..., 2] / prior).log()
    assert float(change[4].std()) < 1e-4, "one factor for the whole frame"
    error = (found.local_points[0, :4, ..., 2] / clip.depth[:4]).log()
    before = (prior[:4] / clip.depth[:4]).log()
    assert (error - error.median()).abs().median() < 0.4 * (before - before.median()).abs().median()


def test_observations_are_the_matches_frame_by_frame() -> None:
    """Three frames of which the first has one pair more: what fills the others' second slot carries no weight."""
    generator = torch.Generator().manual_seed(4)
    pairs = [(0, 1), (0, 2), (1, 0), (2, 0)]
    matches = SparseMatches(
        pairs=pairs,
        anchors_px=torch.rand(1, 3, 5, 2, generator=generator),
        anchor_valid=torch.rand(1, 3, 5, generator=generator) < 0.8,
        targets_px=torch.rand(1, 4, 5, 2, generator=generator),
        weights=0.1 + torch.rand(1, 4, 5, generator=generator),
    )
    prior = torch.rand(1, 3, 5, generator=generator)
    found = arrange_observations(matches, prior)
    assert found.seen_by.tolist() == [[1, 2], [0, 1], [0, 2]]
    for number, (first, slot) in enumerate([(0, 0), (0, 1), (1, 0), (2, 0)]):
        assert torch.equal(found.targets_px[0, first, slot], matches.targets_px[0, number])
        assert torch.equal(found.weights[0, first, slot], matches.weights[0, number])
    assert not found.weights[0, 1, 1].any() and not found.weights[0, 2, 1].any()
    assert torch.equal(found.prior_weights, matches.anchor_valid.float()) and found.prior_log_depth is prior


@pytest.mark.parametrize("num_frames", [20, 40, 80])
def test_observations_grow_with_the_frames_alone(num_frames: int) -> None:
    """Memory is linear: of each frame at most two for each gap, and one of the first with the last."""
    pairs = _list_pairs(num_frames, CONFIG)
    both = pairs + [(second, first) for first, second in pairs]
    matches = SparseMatches(
        pairs=both,
        anchors_px=torch.zeros(1, num_frames, 3, 2),
        anchor_valid=torch.ones(1, num_frames, 3, dtype=torch.bool),
        targets_px=torch.zeros(1, len(both), 3, 2),
        weights=torch.ones(1, len(both), 3),
    )
    found = arrange_observations(matches, torch.zeros(1, num_frames, 3))
    assert len(pairs) <= len(CONFIG.gaps) * num_frames
    assert found.weights.shape == (1, num_frames, 2 * len(CONFIG.gaps), 3)


def test_pairs_that_are_not_believed_take_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Observations] = []

    def doubt(*arguments: object) -> ViewStart:
        start = find_start(*arguments)
        believed = start.believed.clone()
        believed[:, 1] = False
        return replace(start, believed=believed)

    def adjust(observations: Observations, *rest: object, **options: object) -> Bundle:
        given.append(observations)
        return adjust_bundle(observations, *rest, **options)

    monkeypatch.setattr("unish.network.view_solver.find_start", doubt)
    monkeypatch.setattr("unish.network.view_solver.adjust_bundle", adjust)
    solve(film_room(walk(4)), known=True)
    # The second pair of consecutive frames is (1, 2), in both directions.
    between = {(first, int(second)) for first in range(4) for second in given[0].seen_by[first]}
    empty = {
        (first, int(second))
        for first in range(4)
        for slot, second in enumerate(given[0].seen_by[first])
        if not given[0].weights[0, first, slot].any()
    }
    assert empty == {(1, 2), (2, 1)} < between


def test_a_batch_gives_what_its_clips_give_alone() -> None:
    clips = [film_room(walk(4)), film_room(walk(4, step=(0.0, 0.02, 0.15), turn=-0.03))]
    images, depth, guess = (
        torch.stack(part) for part in zip(*((c.images, bend(c.depth).log(), c.intrinsics) for c in clips), strict=True)
    )
    together = solve_views(images, depth, guess, config=CONFIG)
    for index, clip in enumerate(clips):
        alone = solve(clip)
        assert turn_errors(together.bundle.w2c[index], alone.bundle.w2c[0]).max() < 0.02


def test_the_path_does_not_depend_on_where_the_world_begins() -> None:
    """Frames in the opposite order: the same path, walked backwards."""
    clip = film_room(walk(6))
    there, back = (
        solve(replace(clip, **parts), known=True)
        for parts in ({}, {"images": clip.images.flip(0), "depth": clip.depth.flip(0)})
    )
    relative = there.bundle.w2c[0] @ invert_rigid(there.bundle.w2c[0, -1:])
    assert turn_errors(back.bundle.w2c[0].flip(0), relative).max() < 0.1


def test_the_room_is_where_its_numbers_say() -> None:
    """Points of one picture, projected into another camera, have the depth and the colour that it sees there."""
    clip = film_room(walk(2, step=(0.1, 0.0, 0.0), turn=0.0), noise=0.0)
    points = transform_points(clip.w2c[1], unproject(clip.depth[0], clip.intrinsics[0]).flatten(0, 1))
    pixels = project(points, clip.intrinsics[1])
    inside = ((pixels > 1) & (pixels < torch.tensor([319.0, 239.0]))).all(-1)
    column, row = pixels[inside].long().unbind(-1)
    seen = (clip.depth[1][row, column] / points[inside, 2]).log().abs() < 0.02
    assert seen.float().mean() > 0.9
    colours = (clip.images[1][:, row, column] - clip.images[0].flatten(1)[:, inside]).abs().mean(0)
    assert colours[seen].median() < 0.05
