"""Frames that pairs join, and pairs that agree with one another."""

from __future__ import annotations

import torch

from unish.geometry.rigid import exp_twist, invert_rigid, make_rigid
from unish.geometry.rotation import axis_angle_to_matrix
from unish.geometry.view_graph import find_contradicted, find_cycles, join_frames

TRIANGLE = [(0, 1), (1, 2), (0, 2)]


def pose_pairs(*, turned_deg: float = 0.0, translations: list[list[float]] | None = None) -> torch.Tensor:
    """Poses of a triangle of frames that agree, but for a turn of the last one and given translations."""
    rotations = axis_angle_to_matrix(torch.tensor([[0.0, 0.3, 0.0], [0.2, 0.0, 0.1], [0.0, 0.0, 0.0]]))
    step = axis_angle_to_matrix(torch.tensor([torch.pi / 180 * turned_deg, 0.0, 0.0]))
    rotations[2] = step @ rotations[1] @ rotations[0]
    first, second = torch.tensor([[1.0, 0.0, 0.2], [0.3, 0.1, 1.0]])
    moves = torch.stack([first, second, rotations[1] @ first + 0.7 * second])
    if translations is not None:
        moves = torch.tensor(translations)
    return make_rigid(rotations, moves)


def test_three_pairs_that_agree_close_a_cycle() -> None:
    """If rotations agree to 3° and the translations make a triangle."""
    assert closes(turned_deg=2.0)
    assert not closes(turned_deg=5.0)
    mirrored = [[1.0, 0.0, 0.2], [0.3, 0.1, 1.0], [-1.0, 0.5, -1.0]]
    assert not closes(translations=mirrored)
    out_of_plane = [[1.0, 0.0, 0.2], [0.3, 0.1, 1.0], [0.0, 1.0, 0.0]]
    assert not closes(translations=out_of_plane)


def test_a_straight_path_closes_too() -> None:
    """All translations the same but for noise: shares of the sides are arbitrary there."""
    rotation = pose_pairs()[:, :3, :3]
    first = torch.tensor([0.1, 0.0, 1.0])
    straight = [first.tolist(), (rotation[1] @ first + 0.02).tolist(), (rotation[1] @ first - 0.02).tolist()]
    assert closes(translations=straight)


def closes(**options: object) -> bool:
    found = find_cycles(pose_pairs(**options), torch.ones(3, dtype=torch.bool), TRIANGLE)
    assert found.all() or not found.any()
    return bool(found.all())


def test_a_pair_that_may_not_take_part_closes_nothing() -> None:
    usable = torch.tensor([True, False, True])
    assert not find_cycles(pose_pairs(), usable, TRIANGLE).any()


def test_the_pair_with_the_least_support_is_contradicted() -> None:
    """Of three that do not close; a small rest, or a pair that may not take part, contradicts nothing."""
    support, every = torch.tensor([300.0, 35.0, 50.0]), torch.ones(3, dtype=torch.bool)
    wrong = pose_pairs(turned_deg=20.0)
    assert find_contradicted(wrong, support, every, TRIANGLE).tolist() == [False, True, False]
    assert not find_contradicted(pose_pairs(turned_deg=5.0), support, every, TRIANGLE).any()
    assert not find_contradicted(wrong, support, torch.tensor([True, True, False]), TRIANGLE).any()


def path(num_frames: int) -> torch.Tensor:
    w2c = exp_twist(0.3 * torch.randn(num_frames, 6, generator=torch.Generator().manual_seed(0)))
    return w2c @ invert_rigid(w2c[:1])


def relative(w2c: torch.Tensor, pairs: list[tuple[int, int]]) -> torch.Tensor:
    return torch.stack([w2c[second] @ invert_rigid(w2c[first]) for first, second in pairs])


def test_true_pairs_give_the_true_path_whichever_way_they_point() -> None:
    w2c, pairs = path(5), [(0, 2), (1, 2), (1, 4), (3, 4)]
    found, joined, joins = join_frames(relative(w2c, pairs), torch.ones(4), pairs, 5)
    torch.testing.assert_close(found, w2c, atol=1e-5, rtol=0)
    assert joined.all() and joins.all()


def test_the_strongest_pairs_decide() -> None:
    """A false pair with less support than the way around it is not used."""
    w2c, pairs = path(4), [(0, 1), (1, 2), (2, 3), (0, 3)]
    poses = relative(w2c, pairs)
    poses[3] = exp_twist(torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]))
    found, joined, joins = join_frames(poses, torch.tensor([90.0, 80.0, 70.0, 60.0]), pairs, 4)
    torch.testing.assert_close(found, w2c, atol=1e-5, rtol=0)
    assert joined.all() and joins.tolist() == [True, True, True, False]


def test_frames_that_nothing_joins_stand_where_their_neighbour_in_time_stands() -> None:
    w2c, pairs = path(5), [(0, 1), (1, 2), (2, 3), (3, 4)]
    found, joined, _ = join_frames(relative(w2c, pairs), torch.tensor([1.0, 1.0, 0.0, 0.0]), pairs, 5)
    assert joined.tolist() == [True, True, True, False, False]
    torch.testing.assert_close(found[:3], w2c[:3], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[3:], found[2:3].expand(2, 4, 4))


def test_the_first_frame_is_the_world_even_if_nothing_joins_it() -> None:
    w2c, pairs = path(4), [(0, 1), (1, 2), (2, 3)]
    found, joined, _ = join_frames(relative(w2c, pairs), torch.tensor([0.0, 1.0, 1.0]), pairs, 4)
    assert joined.tolist() == [False, True, True, True]
    assert (found[0] == torch.eye(4)).all()
    torch.testing.assert_close(found[3] @ invert_rigid(found[1]), w2c[3] @ invert_rigid(w2c[1]), atol=1e-5, rtol=0)


def test_without_any_pair_all_frames_are_one_place() -> None:
    found, joined, joins = join_frames(torch.eye(4).expand(2, 4, 4), torch.zeros(2), [(0, 1), (1, 2)], 3)
    assert (found == torch.eye(4)).all()
    assert joined.sum() == 1 and not joins.any()
