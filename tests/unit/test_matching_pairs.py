"""Matches of a clip: one to one, where the pictures say, in both directions, and none where none are wanted."""

from __future__ import annotations

import pytest
import torch
from matching_scenes import HEIGHT, WIDTH, move, paint, shift
from torch.nn import functional

from unish.network.matching.mutual import MIN_COSINE, match_mutual
from unish.network.matching.pairs import describe_frames, list_gap_pairs, match_pairs, place_matches
from unish.network.matching.records import SparseMatches
from unish.network.matching.xfeat import XFeat

PAIRS = [(0, 1), (1, 2), (0, 2)]
MOTIONS = [shift(0.0, 0.0), shift(3.3, -1.2), shift(7.6, 2.5)]
NUM_KEYPOINTS, NUM_ANCHORS = 400, 120


def match_frames(
    network: XFeat, images: torch.Tensor, pairs: list[tuple[int, int]], *, num_anchors: int, **options: object
) -> SparseMatches:
    """The three steps in a row."""
    features = describe_frames(network, images, **options)
    return place_matches(features, pairs, match_pairs(features, pairs), num_anchors=num_anchors)


@pytest.fixture(scope="module")
def network() -> XFeat:
    return XFeat.load()


@pytest.fixture(scope="module")
def clip() -> torch.Tensor:
    """(1, 3, 3, H, W): one picture, moved by known shifts."""
    painting = paint(6)
    return torch.stack([painting.draw(motion) for motion in MOTIONS])[None]


def test_pairs_at_gaps() -> None:
    assert list_gap_pairs(4, (2, 1)) == [(0, 1), (1, 2), (2, 3), (0, 2), (1, 3)]
    assert list_gap_pairs(1) == []
    assert len(list_gap_pairs(100)) == 99 + 98 + 96 + 92


def test_mutual_matches_are_those_of_a_slow_search(rng: torch.Generator) -> None:
    """Descriptors of which half are found again; an empty slot matches nothing."""
    first = functional.normalize(torch.randn(40, 64, generator=rng), dim=-1)
    order = torch.randperm(40, generator=rng)
    second = functional.normalize(first[order] + 0.08 * torch.randn(40, 64, generator=rng), dim=-1)
    second[20:] = functional.normalize(torch.randn(20, 64, generator=rng), dim=-1)
    first[3], second[5] = 0.0, 0.0
    descriptors = torch.stack([first, second])
    found = match_mutual(descriptors, torch.tensor([0, 1]), torch.tensor([1, 0]))
    cosines = first @ second.T
    expected = torch.full((40,), -1)
    for i in range(40):
        j = int(cosines[i].argmax())
        if int(cosines[:, j].argmax()) == i and cosines[i, j] > MIN_COSINE:
            expected[i] = j
    assert 10 < int((expected >= 0).sum()) < 25
    assert torch.equal(found.forward[0], expected)
    assert torch.equal(found.backward[1], expected), "the same pair from the other side"
    for i, j in enumerate(expected.tolist()):
        assert j < 0 or int(found.backward[0, j]) == i


def test_matches_are_where_the_pictures_say(network: XFeat, clip: torch.Tensor) -> None:
    """In both directions; the median error is below .05 px (measured .01), about half of the anchors are matched."""
    found = match_frames(network, clip, PAIRS, num_keypoints=NUM_KEYPOINTS, num_anchors=NUM_ANCHORS)
    assert found.pairs == [(0, 1), (1, 2), (0, 2), (1, 0), (2, 1), (2, 0)]
    assert found.anchor_valid.all()
    assert (found.weights >= 0).all() and (found.weights <= 1).all()
    assert (found.targets_px[found.weights == 0] == 0).all()
    for edge, (first, second) in enumerate(found.pairs):
        matched = found.weights[0, edge] > 0
        assert matched.float().mean() > 0.4
        truth = move(found.anchors_px[0, first], MOTIONS[second] @ torch.linalg.inv(MOTIONS[first]))
        error = (found.targets_px[0, edge] - truth)[matched].norm(dim=-1)
        assert error.median() < 0.05
        assert (error < 0.3).float().mean() > 0.95


def test_the_best_connected_key_points_are_anchors(network: XFeat, clip: torch.Tensor) -> None:
    """With more slots, those added have no more matches than those that were there."""
    found = match_frames(network, clip, PAIRS, num_keypoints=NUM_KEYPOINTS, num_anchors=NUM_KEYPOINTS)
    edges = [edge for edge, (first, _) in enumerate(found.pairs) if first == 0]
    num_matches = (found.weights[0, edges] > 0).float().sum(0)
    assert num_matches[:NUM_ANCHORS].mean() > num_matches[NUM_ANCHORS : 2 * NUM_ANCHORS].mean() + 0.3
    fewer = match_frames(network, clip, PAIRS, num_keypoints=NUM_KEYPOINTS, num_anchors=NUM_ANCHORS)
    assert torch.equal(fewer.anchors_px, found.anchors_px[:, :, :NUM_ANCHORS])


def test_clips_of_a_batch_and_pairs_of_a_clip_stand_alone(network: XFeat, clip: torch.Tensor) -> None:
    """And the same images give the same matches, bit by bit."""
    other = clip.flip(-1)
    together = match_frames(network, torch.cat([clip, other]), PAIRS, num_keypoints=200, num_anchors=50)
    again = match_frames(network, torch.cat([clip, other]), PAIRS, num_keypoints=200, num_anchors=50)
    assert torch.equal(together.targets_px, again.targets_px) and torch.equal(together.weights, again.weights)
    for number, each in enumerate((clip, other)):
        alone = match_frames(network, each, PAIRS, num_keypoints=200, num_anchors=50)
        torch.testing.assert_close(together.anchors_px[number], alone.anchors_px[0])
        torch.testing.assert_close(together.targets_px[number], alone.targets_px[0], atol=1e-3, rtol=0)
        torch.testing.assert_close(together.weights[number], alone.weights[0], atol=1e-3, rtol=0)


def test_nothing_is_matched_where_it_is_not_wanted(network: XFeat, clip: torch.Tensor) -> None:
    usable = torch.ones(1, 3, HEIGHT, WIDTH, dtype=torch.bool)
    usable[:, 0, :, :60] = False
    usable[:, 2, 70:] = False
    found = match_frames(network, clip, PAIRS, usable=usable, num_keypoints=NUM_KEYPOINTS, num_anchors=NUM_ANCHORS)
    assert (found.anchors_px[0, 0][found.anchor_valid[0, 0]][:, 0] >= 60).all()
    assert (found.anchors_px[0, 2][found.anchor_valid[0, 2]][:, 1] < 70).all()
    for edge, (_, second) in enumerate(found.pairs):
        targets = found.targets_px[0, edge][found.weights[0, edge] > 0]
        column, row = targets.long().unbind(-1)
        assert len(targets) > 20
        assert usable[0, second, row, column].all()
    nothing = match_frames(network, clip, PAIRS, usable=torch.zeros_like(usable), num_keypoints=200, num_anchors=50)
    assert not nothing.anchor_valid.any() and (nothing.weights == 0).all() and nothing.targets_px.isfinite().all()


def test_a_clip_without_pairs_has_anchors_all_the_same(network: XFeat, clip: torch.Tensor) -> None:
    """One frame, or pairs at gaps that are longer than the clip."""
    found = match_frames(network, clip[:, :1], list_gap_pairs(1), num_keypoints=64, num_anchors=32)
    assert found.pairs == [] and found.targets_px.shape == (1, 0, 32, 2) and found.weights.shape == (1, 0, 32)
    assert found.anchor_valid.all()


@pytest.mark.slow
def test_a_large_picture_is_matched_smaller_and_answered_in_its_own_pixels(network: XFeat) -> None:
    """720×540, moved by (6, −3) pixels: found to .15 px (measured .05)."""
    painting = paint(7, size=(540, 720), num=200, softness_px=2.0)
    images = torch.stack([painting.draw(motion, (540, 720)) for motion in (None, shift(6.0, -3.0))])[None]
    usable = torch.ones(1, 2, 540, 720, dtype=torch.bool)
    usable[:, :, :, :200] = False
    found = match_frames(network, images, [(0, 1)], usable=usable, num_keypoints=500, num_anchors=200)
    matched = found.weights[0, 0] > 0
    assert matched.sum() > 60
    error = (found.targets_px[0, 0] - found.anchors_px[0, 0] - torch.tensor([6.0, -3.0]))[matched]
    assert error.norm(dim=-1).median() < 0.15
    assert error.median(0).values.abs().max() < 0.05
    assert found.anchors_px[..., 0].max() > 650 and found.anchors_px[0, 0][matched][:, 0].min() > 200
