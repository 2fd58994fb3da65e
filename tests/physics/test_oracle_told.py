"""What the pass over windows tells the network and the joining of windows, beside the pictures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch

from oracle_world import CLIP_SIZE, OracleNetwork, make_world
from unish.body import load_body
from unish.network.config import tiny_config
from unish.network.view_config import ViewSolverConfig
from unish.passes import network_pass
from unish.pipeline import Settings, run
from unish.reconstruction import Window
from unish.structs import Prediction

CAMERA = torch.tensor([[220.0, 0, CLIP_SIZE[1] / 2], [0, 220.0, CLIP_SIZE[0] / 2], [0, 0, 1]])


@dataclass
class Listening(OracleNetwork):
    told: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, *given: Any, still: bool = False, **named: Any) -> Prediction:
        self.told.append({"still": still})
        return super().__call__(*given, **named)


@pytest.mark.parametrize("solves_views", [True, False])
@pytest.mark.parametrize("stood_still", [True, False])
def test_who_solves_views_is_told_that_the_camera_stood_still_and_people_join_no_windows(
    stood_still: bool, solves_views: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    betas = torch.zeros(2, 10)
    world = make_world(load_body(), CAMERA.expand(2, 3, 3), betas=betas)
    config = replace(
        tiny_config(), long_side=128, multiple=32, views=ViewSolverConfig(refiner=False) if solves_views else None
    )
    described, describe = list[torch.Tensor](), network_pass.describe_window

    def listen(prediction: Prediction, frames: range, before: Window | None, people: torch.Tensor) -> Window:
        described.append(people)
        return describe(prediction, frames, before, people)

    monkeypatch.setattr(network_pass, "describe_window", listen)
    monkeypatch.setattr(network_pass, "camera_stood_still", lambda *_: stood_still)
    network = Listening(world=world, config=config, betas=betas)
    run(
        world.clip,
        settings=Settings(window=5, overlap=2, person_points=False),
        network=network,
        people_finder=lambda clip, size: (world.tracks, world.landmarks),
    )
    assert [one["still"] for one in network.told] == [stood_still and solves_views] * len(network.calls)
    assert len(described) == len(network.calls) > 2
    for people, (frames, _) in zip(described, network.calls, strict=True):
        assert torch.equal(people, world.tracks.masks[list(frames)]), "the masks of the window's own frames"
