"""Frames that show the same place: found over any distance in time, none where there are none."""

from __future__ import annotations

import pytest
import torch
from matching_scenes import paint, shift
from torch import Tensor
from torch.nn import functional

from unish.network.matching.records import KeyPoints
from unish.network.matching.retrieval import describe_places, list_similar_pairs
from unish.network.matching.xfeat import XFeat, detect_key_points


def make_key_points(places: list[int], *, noise: float = 0.05, num: int = 300) -> KeyPoints:
    """Each frame shows a place: the place's own descriptors with noise, in another order."""
    dice = torch.Generator().manual_seed(0)

    def normalise(x: Tensor) -> Tensor:
        return functional.normalize(x, dim=-1)

    of_place = normalise(torch.randn(max(places) + 1, num, 64, generator=dice))
    frames = []
    for place in places:
        order = torch.randperm(num, generator=dice)
        frames.append(normalise(of_place[place][order] + noise * torch.randn(num, 64, generator=dice)))
    return KeyPoints(
        px=torch.zeros(len(places), num, 2), scores=torch.ones(len(places), num), descriptors=torch.stack(frames)
    )


def test_a_path_that_comes_back_is_closed() -> None:
    """Places 0 to 9 and back again: every frame is paired with the other visit, and with nothing else."""
    places = [*range(10), *reversed(range(10))]
    pairs = list_similar_pairs(make_key_points(places), min_gap=3)
    assert pairs == [(i, 19 - i) for i in range(9)]


def test_neighbours_and_strangers_are_no_pairs() -> None:
    assert list_similar_pairs(make_key_points([0, 0, 0]), min_gap=3) == []
    assert list_similar_pairs(make_key_points([0]), min_gap=1) == []
    assert list_similar_pairs(make_key_points(list(range(8))), min_gap=1) == []


def test_each_frame_has_few_pairs() -> None:
    """One place in all 30 frames: at most two pairs are chosen by each, so the number of pairs is linear."""
    pairs = list_similar_pairs(make_key_points([0] * 30), min_gap=5)
    assert 15 <= len(pairs) <= 60
    assert all(j - i >= 5 for i, j in pairs)
    assert pairs == sorted(set(pairs))


def test_frames_without_key_points() -> None:
    """They match nothing, whether there are others or not."""
    seen = make_key_points([0, 1, 0, 1])
    blank = KeyPoints(px=seen.px, scores=seen.scores.clone(), descriptors=seen.descriptors.clone())
    blank.scores[2], blank.descriptors[2] = 0.0, 0.0
    assert list_similar_pairs(blank, min_gap=2) == [(1, 3)]
    nothing = KeyPoints(px=seen.px, scores=0 * seen.scores, descriptors=0 * seen.descriptors)
    assert list_similar_pairs(nothing, min_gap=1) == []
    assert describe_places(nothing).isfinite().all()


@pytest.mark.slow
def test_pictures_of_the_same_painting_are_found() -> None:
    """Six paintings, each seen twice with a shift: what is most similar is the same one."""
    images = torch.stack([paint(seed).draw(shift(x, 0.0)) for x in (0.0, 9.0) for seed in range(6)])
    found = detect_key_points(XFeat.load(), images, num_keypoints=512)
    assert list_similar_pairs(found, min_gap=2, num_per_frame=1) == [(i, i + 6) for i in range(6)]
