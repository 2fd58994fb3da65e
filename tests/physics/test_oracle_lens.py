"""What user or file say of the lens takes the place of a wrong guess, and distances follow."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from oracle_world import CLIP_SIZE, SOURCE_SIZE, OracleNetwork, World, make_world
from unish.body import load_body
from unish.geometry.camera import unproject
from unish.network.config import tiny_config
from unish.pipeline import Result, Settings, run
from unish.structs import HumanInputs, Lens, Prediction

pytestmark = pytest.mark.slow

CONFIG = replace(tiny_config(), long_side=128, multiple=32)
FOCAL, GUESS = 220.0, 1.25
DIAGONAL = math.hypot(*CLIP_SIZE)
FIELD_OF_VIEW = math.degrees(2 * math.atan(CLIP_SIZE[1] / 2 / FOCAL))


class GuessingNetwork(OracleNetwork):
    """Takes the focal length for ``GUESS`` times what it is, unless it is told."""

    def __call__(
        self,
        images: Tensor,
        humans: HumanInputs | None,
        timestamps: Tensor,
        intrinsics: Tensor | None = None,
        **seen: Any,
    ) -> Prediction:
        # Later windows are told the camera of the first, wrong or not.
        told = intrinsics is not None and torch.allclose(intrinsics[0, 0], self.world.intrinsics[0], rtol=0.05)
        true = super().__call__(images, humans, timestamps, intrinsics if told else None, **seen)
        if told:
            return true
        camera = self.world.intrinsics[list(self.calls[-1][0])] * torch.tensor([GUESS, GUESS, 1.0])[:, None]
        camera[:, :2, 2] /= GUESS
        points = unproject(true.local_points[0, ..., 2], camera)
        return replace(true, local_points=points[None], intrinsics=camera[None])


@pytest.fixture(scope="module")
def world() -> World:
    camera = torch.tensor([[FOCAL, 0, CLIP_SIZE[1] / 2], [0, FOCAL, CLIP_SIZE[0] / 2], [0, 0, 1]]).expand(2, 3, 3)
    return make_world(load_body(), camera, betas=torch.zeros(2, 10))


def reconstruct(world: World, lens: Lens | None = None, **settings: Any) -> Result:
    network = GuessingNetwork(world=world, config=CONFIG, betas=world.betas)
    people = (world.tracks, world.landmarks)
    chosen = Settings(person_points=False, window=5, overlap=2, **settings)
    return run(
        replace(world.clip, lens=lens), settings=chosen, people_finder=lambda clip, size: people, network=network
    )


def distance_ratio(world: World, result: Result) -> float:
    """Median over people and frames of found over true depth of the pelvis."""
    valid = world.tracks.valid.numpy()
    w2c = np.linalg.inv(result.reconstruction.c2w)
    found = np.einsum("tj,ptj->pt", w2c[:, 2, :3], result.reconstruction.joints[:, :, 0]) + w2c[:, 2, 3]
    true = world.body.joints(world.params)[:, :, 0, 2].numpy()
    return float(np.median((found / true)[valid]))


def test_a_guess_that_is_wrong_puts_people_too_far(world: World) -> None:
    result = reconstruct(world)
    assert distance_ratio(world, result) == pytest.approx(GUESS, abs=0.05)
    assert result.reconstruction.scale_interval is not None
    for shot, interval in zip(result.report["shots"], result.reconstruction.scale_interval, strict=True):
        assert shot["focal_source"] == "guessed"
        assert "guessed" in shot["size"] and shot["scale_interval"] == pytest.approx(interval.tolist(), rel=1e-6)
        # The truth is smaller by the factor of the guess, and the interval knows.
        assert interval[0] < 1 / GUESS < 1 < interval[1]
        low, high = shot["field_of_view_interval_deg"]
        assert low < FIELD_OF_VIEW < high
    assert all("guessed: between" in person["size"] for person in result.report["people"])


@pytest.mark.parametrize(
    ("lens", "settings", "source"),
    [
        (Lens(focal=FOCAL / DIAGONAL, log_sigma=0.03, source="metadata", told_by="a tag"), {}, "metadata"),
        (None, {"fov": FIELD_OF_VIEW}, "given"),
        (None, {"focal_35mm": 36 * FOCAL / CLIP_SIZE[1]}, "given"),
        (Lens(focal=0.4, log_sigma=0.03, source="metadata", told_by="a tag"), {"fov": FIELD_OF_VIEW}, "given"),
    ],
    ids=["metadata", "field of view", "35 mm", "given before metadata"],
)
def test_what_is_known_of_the_lens_puts_people_where_they_are(
    world: World, lens: Lens | None, settings: dict[str, Any], source: str
) -> None:
    result = reconstruct(world, lens, **settings)
    assert distance_ratio(world, result) == pytest.approx(1.0, abs=0.01)
    for shot in result.report["shots"]:
        assert shot["focal_source"] == source
        assert shot["field_of_view_deg"] == pytest.approx(FIELD_OF_VIEW, abs=0.05)


def test_intrinsics_come_before_what_the_file_says(world: World) -> None:
    lens = Lens(focal=0.4, log_sigma=0.03, source="metadata", told_by="a tag")
    result = reconstruct(world, lens, intrinsics=(2 * FOCAL, 2 * FOCAL, SOURCE_SIZE[1] / 2, SOURCE_SIZE[0] / 2))
    assert distance_ratio(world, result) == pytest.approx(1.0, abs=0.01)
    assert [shot["focal_source"] for shot in result.report["shots"]] == ["given"] * 2
