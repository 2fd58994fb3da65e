"""Pairs that are matched anew by attention: only these, and none of their matches is lost."""

from __future__ import annotations

import pytest
import torch
from matching_scenes import paint

from unish.network.matching.lighterglue import LighterGlue
from unish.network.matching.pairs import UNREFINED_WEIGHT, describe_frames, match_pairs, place_matches, replace_matches
from unish.network.matching.xfeat import XFeat

TRIANGLE = [(0, 1), (1, 2), (0, 2)]


@pytest.fixture(scope="module")
def networks() -> tuple[XFeat, LighterGlue]:
    return XFeat.load(), LighterGlue.load()


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
