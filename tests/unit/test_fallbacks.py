"""Whatever a run has to guess is said, in one sentence each, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from oracle_world import CLIP_SIZE, NUM_FRAMES, OracleNetwork, World, make_world
from unish.body import load_body
from unish.network.config import tiny_config
from unish.pipeline import Result, Settings, run
from unish.structs import Landmarks, Prediction

CONFIG = replace(tiny_config(), long_side=128, multiple=32)
FOCAL = 220.0


@pytest.fixture(scope="module")
def world() -> World:
    camera = torch.tensor([[FOCAL, 0, CLIP_SIZE[1] / 2], [0, FOCAL, CLIP_SIZE[0] / 2], [0, 0, 1]]).expand(2, 3, 3)
    return make_world(load_body(), camera, betas=torch.zeros(2, 10))


class Doubting(OracleNetwork):
    """An oracle of whose answers a part is taken away."""

    def __call__(self, *args: object, **options: object) -> Prediction:  # type: ignore[override]
        return self.spoil(super().__call__(*args, **options))

    def spoil(self, prediction: Prediction) -> Prediction:
        raise NotImplementedError


def reconstruct(
    world: World,
    network: OracleNetwork | None = None,
    *,
    landmarks: Landmarks | None = None,
    known: bool = True,
    settle: bool = True,
) -> Result:
    network = network or OracleNetwork(world=world, config=CONFIG, betas=world.betas)
    found = landmarks or world.landmarks
    given = (2 * FOCAL, 2 * FOCAL, float(CLIP_SIZE[1]), float(CLIP_SIZE[0])) if known else None
    settings = Settings(window=5, overlap=2, intrinsics=given, settle=settle, person_points=False)
    return run(world.clip, settings=settings, people_finder=lambda clip, size: (world.tracks, found), network=network)


@pytest.mark.slow
def test_a_run_without_any_guess_has_no_warning(world: World) -> None:
    assert reconstruct(world).report["warnings"] == []


@pytest.mark.slow
def test_a_guessed_camera_is_said_with_its_angle(world: World) -> None:
    warnings = reconstruct(world, known=False).report["warnings"]
    assert [("shot 1: " in w, "59 degrees" in w) for w in warnings] == [(True, True), (False, True)]


@pytest.mark.slow
def test_nothing_confident_is_no_crash_but_three_sentences(world: World) -> None:
    class Blind(Doubting):
        def spoil(self, prediction: Prediction) -> Prediction:
            return replace(prediction, point_conf_logits=torch.full_like(prediction.point_conf_logits, -6.0))

    result = reconstruct(world, Blind(world=world, config=CONFIG, betas=world.betas))
    said = [w.removeprefix("shot 1: ") for w in result.report["warnings"] if w.startswith("shot 1: ")]
    assert not result.reconstruction.depth.any()
    for part in ("scale is unknown", "without a confident point in common: 1;", "no point of the scene is confident"):
        assert any(part in sentence for sentence in said), part


@pytest.mark.slow
def test_people_placed_by_the_network_are_named_and_counted(world: World) -> None:
    px = world.landmarks.px.clone()
    px[1, :3, :, 2] = 0.0
    warnings = reconstruct(world, landmarks=replace(world.landmarks, px=px)).report["warnings"]
    assert warnings == [
        "shot 1: person 9 is placed by the network in 3 of 6 frames: too few landmarks were seen",
    ]


@pytest.mark.slow
def test_where_nobody_is_upright_the_surfaces_tell_gravity_in_that_shot_alone(world: World) -> None:
    class Folded(Doubting):
        def spoil(self, prediction: Prediction) -> Prediction:
            if self.calls[-1][0].start < 7:
                return prediction
            rotations = prediction.rotations.clone()
            # Hips bent by 120 degrees: neck and ankles are near to one another.
            bent = torch.tensor([[1.0, 0, 0], [0, -0.5, -0.866], [0, 0.866, -0.5]])
            rotations[..., [1, 2], :, :] = bent
            return replace(prediction, rotations=rotations)

    result = reconstruct(world, Folded(world=world, config=CONFIG, betas=world.betas))
    known = [bool(torch.isfinite(torch.from_numpy(row)).all()) for row in result.reconstruction.gravity]
    assert known == [True, True]
    said = [warning for warning in result.report["warnings"] if "directions of the scene's surfaces" in warning]
    assert len(said) == 1 and said[0].startswith("shot 2: nobody was seen standing upright")


@pytest.mark.slow
def test_a_floor_that_nobody_sees_stands_at_the_height_of_the_feet(world: World) -> None:
    class Floorless(Doubting):
        def spoil(self, prediction: Prediction) -> Prediction:
            frames = list(self.calls[-1][0])
            unsure = torch.where(self.world.tracks.masks[frames] < 0, -6.0, prediction.point_conf_logits)
            return replace(prediction, point_conf_logits=unsure)

    floorless = Floorless(world=world, config=CONFIG, betas=world.betas)
    assert not [w for w in reconstruct(world, floorless).report["warnings"] if "no floor was found" in w], (
        "feet tell it"
    )
    result = reconstruct(world, floorless, settle=False)
    assert [w for w in result.report["warnings"] if "no floor was found" in w]
    floors = world.floors()
    # Measured: 1.4 degrees, which is how far a standing body leans, and 9 cm where the camera stands.
    tilt = (torch.from_numpy(result.reconstruction.floor)[:, :3] * floors[:, :3]).sum(-1).clamp(max=1).acos()
    assert float(tilt.rad2deg().max()) < 2.8
    heights = torch.from_numpy(result.reconstruction.floor)[:, 3] - floors[:, 3]
    assert float(heights.abs().max()) < 0.18
    assert len(result.reconstruction.person_valid[0]) == NUM_FRAMES


@pytest.mark.slow
def test_frames_that_nothing_joins_to_the_others_are_named(world: World) -> None:
    class Lost(Doubting):
        def spoil(self, prediction: Prediction) -> Prediction:
            joined = torch.ones(prediction.c2w.shape[:2], dtype=torch.bool)
            joined[0, 1] = False
            return Prediction(**vars(prediction) | {"joined": joined})

    warnings = reconstruct(world, Lost(world=world, config=CONFIG, betas=world.betas)).report["warnings"]
    told = [warning for warning in warnings if "do not tell where the camera" in warning]
    # The second frame of each window of five that share two; a window's first two frames belong to the one before it.
    assert len(told) == 2
    assert all("1 of" in warning and "(frame 1)" in warning for warning in told)


@pytest.mark.slow
def test_frames_that_few_matches_join_are_called_doubtful(world: World) -> None:
    class Unsure(Doubting):
        def spoil(self, prediction: Prediction) -> Prediction:
            joined = torch.ones(prediction.c2w.shape[:2], dtype=torch.bool)
            certain = joined.clone()
            certain[0, :2] = False
            return Prediction(**vars(prediction) | {"joined": joined, "certain": certain})

    warnings = reconstruct(world, Unsure(world=world, config=CONFIG, betas=world.betas)).report["warnings"]
    told = [warning for warning in warnings if "is doubtful" in warning]
    assert len(told) == 2 and all("(frames 0, 1)" in warning for warning in told)
    assert not any("do not tell" in warning for warning in warnings)
