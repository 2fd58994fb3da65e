"""A picture of a person is no ruler: neither beside a person nor alone, through the whole pipeline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from oracle_world import CLIP_SIZE, NUM_FRAMES, OracleNetwork, make_world
from unish.body import load_body
from unish.network.config import tiny_config
from unish.passes import Observations, settled
from unish.pipeline import Settings, run
from unish.reconstruction.anchor import RULER_SIGMA_LIMIT
from unish.reconstruction.settling import SettledShots
from unish.structs import FrameArray

SMALL = replace(tiny_config(), long_side=128, multiple=32)
CAMERA = torch.tensor([[220.0, 0, CLIP_SIZE[1] / 2], [0, 220.0, CLIP_SIZE[0] / 2], [0, 0, 1]])


@pytest.mark.parametrize("number", [1, 6])
def test_one_picture_again_and_again_says_nothing_of_anybody(number: int) -> None:
    """A photograph, also as a film: whoever is in it measures the scene."""
    world = make_world(load_body(), CAMERA.expand(2, 3, 3), betas=torch.zeros(2, 10))
    picture = world.clip.images[:1].numpy()
    images = FrameArray((number, *picture.shape[1:]), picture.dtype, lambda frame: picture[0])
    seen = object.__new__(Observations)
    object.__setattr__(seen, "tracks", world.tracks)
    assert settled._find_motionless(seen, images).tolist() == [False, False]


@pytest.mark.slow
@pytest.mark.parametrize("flat", [(), (1,), (0, 1)])
def test_what_never_moves_does_not_measure(flat: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    betas = torch.zeros(2, 10)
    world = make_world(load_body(), CAMERA.expand(2, 3, 3), betas=betas)
    monkeypatch.setattr(settled, "likeness", lambda seen, person: 1.0 if person in flat else 0.5)
    settled_shots, settle = list[SettledShots](), settled.settle_on_feet

    def keep(*given: Any, **options: Any) -> SettledShots:
        settled_shots.append(settle(*given, **options))
        return settled_shots[-1]

    monkeypatch.setattr(settled, "settle_on_feet", keep)
    tracks, landmarks = world.tracks, world.landmarks
    run(
        world.clip,
        settings=Settings(person_points=False, window=NUM_FRAMES, overlap=0),
        network=OracleNetwork(world=world, config=SMALL, betas=betas),
        people_finder=lambda clip, size: (tracks, landmarks),
    )
    (found,) = settled_shots
    for shot in found.shots:
        assert (shot.scale.source == "people") == (len(flat) < 2), "somebody else measures, or nobody does"
        rulers = (shot.distance_sigma <= RULER_SIGMA_LIMIT).any(1).tolist()
        assert rulers == [person not in flat for person in range(2)]
