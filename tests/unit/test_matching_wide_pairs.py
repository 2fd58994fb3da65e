"""Wide pairs: what is believed, and the whole way from pictures to poses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from matching_scenes import HEIGHT, WIDTH, paint, photograph_corner, read

from unish.geometry.camera import make_intrinsics
from unish.geometry.rigid import make_rigid
from unish.geometry.rotation import axis_angle_to_matrix, rotation_angle
from unish.geometry.two_view import TwoViewPose
from unish.network.matching.lighterglue import LighterGlue
from unish.network.matching.pairs import UNREFINED_WEIGHT, describe_frames, match_pairs, place_matches, replace_matches
from unish.network.matching.wide_pairs import SURE_INLIERS, Verdict, judge_pairs, match_wide_pairs, solve_pair_poses
from unish.network.matching.xfeat import XFeat

TRIANGLE = [(0, 1), (1, 2), (0, 2)]


@pytest.fixture(scope="module")
def networks() -> tuple[XFeat, LighterGlue]:
    return XFeat.load(), LighterGlue.load()


def pose_pairs(
    counts: list[int], *, turned_deg: float = 0.0, translations: list[list[float]] | None = None
) -> TwoViewPose:
    """Poses of a triangle of frames that agree, but for a turn of the last one and given translations."""
    rotations = axis_angle_to_matrix(torch.tensor([[0.0, 0.3, 0.0], [0.2, 0.0, 0.1], [0.0, 0.0, 0.0]]))
    step = axis_angle_to_matrix(torch.tensor([torch.pi / 180 * turned_deg, 0.0, 0.0]))
    rotations[2] = step @ rotations[1] @ rotations[0]
    first, second = torch.tensor([[1.0, 0.0, 0.2], [0.3, 0.1, 1.0]])
    moves = torch.stack([first, second, rotations[1] @ first + 0.7 * second])
    if translations is not None:
        moves = torch.tensor(translations)
    return TwoViewPose(
        rotation=rotations,
        translation=torch.nn.functional.normalize(moves, dim=-1),
        inliers=torch.zeros(3, 1, dtype=torch.bool),
        num_inliers=torch.tensor(counts),
        parallax_px=torch.full((3,), 30.0),
    )


def test_many_inliers_are_sure_few_are_left_out() -> None:
    """Without a cycle that could help: the third pair is missing or turned."""
    verdicts = judge_pairs(TRIANGLE, pose_pairs([121, 120, 39]))
    assert verdicts == (Verdict.SURE, Verdict.DOUBTFUL, Verdict.LEFT_OUT)
    assert judge_pairs(TRIANGLE, pose_pairs([50, 60, 70], turned_deg=20.0)) == (Verdict.DOUBTFUL,) * 3


def test_a_cycle_of_three_makes_pairs_sure() -> None:
    """If rotations agree to 3° and the translations make a triangle; a wrong one makes all three doubtful again."""
    assert judge_pairs(TRIANGLE, pose_pairs([40, 60, 70], turned_deg=2.0)) == (Verdict.SURE,) * 3
    mirrored = [[1.0, 0.0, 0.2], [0.3, 0.1, 1.0], [-1.0, 0.5, -1.0]]
    assert judge_pairs(TRIANGLE, pose_pairs([40, 60, 70], translations=mirrored)) == (Verdict.DOUBTFUL,) * 3
    out_of_plane = [[1.0, 0.0, 0.2], [0.3, 0.1, 1.0], [0.0, 1.0, 0.0]]
    assert judge_pairs(TRIANGLE, pose_pairs([40, 60, 70], translations=out_of_plane)) == (Verdict.DOUBTFUL,) * 3


def test_a_straight_path_closes_too() -> None:
    """All translations the same but for noise: shares of the sides are arbitrary there."""
    rotation = pose_pairs([0, 0, 0]).rotation
    first = torch.tensor([0.1, 0.0, 1.0])
    straight = [first.tolist(), (rotation[1] @ first + 0.02).tolist(), (rotation[1] @ first - 0.02).tolist()]
    assert judge_pairs(TRIANGLE, pose_pairs([50, 50, 50], translations=straight)) == (Verdict.SURE,) * 3


@pytest.mark.slow
def test_poses_of_a_corner_of_a_room(networks: tuple[XFeat, LighterGlue]) -> None:
    """A wall and a floor from three places, 160 pixels wide: turns to 3°, directions to 6° (measured 1.9° and 3.0°).
    All of them are sure, one by the cycle."""
    xfeat, glue = networks
    intrinsics = make_intrinsics(torch.tensor(140.0), HEIGHT, WIDTH)
    paintings = paint(0, num=300), paint(1, num=300)
    turns = torch.tensor([[0.25, 0.0, 0.0], [0.25, -0.06, 0.0], [0.3, 0.05, 0.02]])
    places = torch.tensor([[0.0, 0.0, 0.0], [-0.5, 0.0, 0.2], [0.4, 0.3, 0.3]])
    w2c = make_rigid(axis_angle_to_matrix(turns), places)
    images = torch.stack([photograph_corner(paintings, intrinsics, pose) for pose in w2c])[None]
    features = describe_frames(xfeat, images, num_keypoints=1024)
    found = match_wide_pairs(glue, features, TRIANGLE, intrinsics, num_anchors=200)
    assert found.verdicts == (Verdict.SURE,) * 3
    assert found.poses.num_inliers.min() <= SURE_INLIERS
    for number, (first, second) in enumerate(TRIANGLE):
        truth = w2c[second] @ torch.linalg.inv(w2c[first])
        turn = rotation_angle(found.poses.rotation[number].T @ truth[:3, :3]).rad2deg()
        direction = torch.nn.functional.normalize(truth[:3, 3], dim=0)
        cosine = (direction * found.poses.translation[number]).sum().clamp(-1, 1)
        assert turn < 3 and cosine.arccos().rad2deg() < 6
    assert (found.matches.weights > 0).sum(-1).min() > 50


def test_pairs_that_are_left_out_have_no_matches(networks: tuple[XFeat, LighterGlue]) -> None:
    """Two paintings that have nothing to do with one another, and one that has moved."""
    xfeat, glue = networks
    images = torch.stack([paint(0).draw(), paint(0).draw(torch.diag(torch.tensor([1.1, 1.1, 1.0]))), paint(5).draw()])
    features = describe_frames(xfeat, images[None], num_keypoints=512)
    intrinsics = make_intrinsics(torch.tensor(140.0), HEIGHT, WIDTH)
    found = match_wide_pairs(glue, features, TRIANGLE, intrinsics, num_anchors=100)
    assert found.verdicts[1:] == (Verdict.LEFT_OUT,) * 2 and found.verdicts[0] is not Verdict.LEFT_OUT
    of_pair = (found.matches.weights[0] > 0).sum(-1).reshape(2, 3)
    assert (of_pair[:, 0] > 20).all() and (of_pair[:, 1:] == 0).all()


def test_only_weak_pairs_are_matched_anew(networks: tuple[XFeat, LighterGlue]) -> None:
    """In every clip of a batch; the others keep their matches, and so does everything if none is weak."""
    xfeat, glue = networks
    larger = torch.diag(torch.tensor([1.3, 1.3, 1.0]))
    pictures = [paint(seed).draw() for seed in (0, 1, 2)]
    images = torch.stack([*pictures[:2], paint(0).draw(larger), pictures[1], pictures[0], pictures[1]])
    images = images.unflatten(0, (2, 3))
    features = describe_frames(xfeat, images, num_keypoints=128)
    before = match_pairs(features, TRIANGLE)
    after = replace_matches(glue, features, TRIANGLE, before, [(0, 2)])
    assert torch.equal(after.forward[[0, 1, 3, 4]], before.forward[[0, 1, 3, 4]])
    assert not torch.equal(after.forward[2], before.forward[2]) and (after.forward[2] >= 0).sum() > 40
    slots = torch.arange(128)
    assert (after.forward[5] == slots).float().mean() > 0.9, "the same picture twice"
    for forward, backward in zip(after.forward, after.backward, strict=True):
        assert torch.equal(backward[forward[forward >= 0]], slots[forward >= 0])
    assert replace_matches(glue, features, TRIANGLE, before, []) is before


def test_no_match_of_a_wide_pair_is_dropped(networks: tuple[XFeat, LighterGlue]) -> None:
    """A picture that is turned by 30°: most windows are too different, unless they are turned too. Where that
    does not help, matches stay where they are, with a small weight."""
    angle = torch.tensor(0.5)
    turn = torch.tensor([[angle.cos(), -angle.sin(), 0.0], [angle.sin(), angle.cos(), 0.0], [0.0, 0.0, 1.0]])
    painting = paint(0)
    images = torch.stack([painting.draw(), painting.draw(turn)])[None]
    features = describe_frames(networks[0], images, num_keypoints=512)
    matches = replace_matches(networks[1], features, [(0, 1)], match_pairs(features, [(0, 1)]), [(0, 1)])
    narrow = place_matches(features, [(0, 1)], matches, num_anchors=512)
    wide = place_matches(features, [(0, 1)], matches, num_anchors=512, wide=[(0, 1)])
    num_matches = int((matches.forward >= 0).sum())
    assert ((wide.weights > 0).sum(-1) == num_matches).all()
    assert (narrow.weights > 0).sum() < (wide.weights > 0.5).sum()
    kept = wide.weights == UNREFINED_WEIGHT
    assert kept.any() and (wide.weights[~kept & (wide.weights > 0)] >= 0.5).all()


@pytest.mark.slow
def test_photographs_from_far_apart(networks: tuple[XFeat, LighterGlue], media_dir: Path) -> None:
    """A fountain from 60° apart: mutual matches leave too few inliers to be sure, attention finds the pose to .5°."""
    xfeat, glue = networks
    folder = media_dir / "labelled" / "places" / "strecha_fountain_p11"
    pictures = sorted((folder / "rgb").glob("*.jpg"))
    poses = [line.split() for line in (folder / "poses.txt").read_text().splitlines()]
    c2w = torch.tensor([[float(word) for word in poses[number]] for number in (4, 9)]).reshape(2, 4, 4)
    fx, fy, cx, cy = (float(word) for word in (folder / "intrinsics.txt").read_text().split()[:4])
    intrinsics = torch.tensor([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    features = describe_frames(xfeat, torch.stack([read(pictures[number]) for number in (4, 9)])[None])
    alone = solve_pair_poses(features, [(0, 1)], match_pairs(features, [(0, 1)]), intrinsics[None])
    found = match_wide_pairs(glue, features, [(0, 1)], intrinsics)
    assert alone.num_inliers[0] < 120 < found.poses.num_inliers[0]
    truth = torch.linalg.inv(c2w[1]) @ c2w[0]
    assert found.verdicts == (Verdict.SURE,)
    assert rotation_angle(found.poses.rotation[0].T @ truth[:3, :3]).rad2deg() < 1.0
