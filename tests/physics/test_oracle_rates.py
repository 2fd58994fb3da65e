"""People and cameras in every used frame, depth in some of them: a known world must come back at both rates."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib
import pytest
import torch
from test_oracle_pipeline import CASES

from oracle_world import NUM_FRAMES, SHOTS, SIZE, OracleNetwork, World, make_world
from unish.body import load_body
from unish.errors import InputError
from unish.passes import write_files
from unish.passes.between import BetweenReader
from unish.passes.observations import choose_dense_frames
from unish.pipeline import Result, Settings, run
from unish.reconstruction import CamerasBetween
from unish.structs import Clip, HumanInputs, Reconstruction

DENSE = [0, 3, 6, 7, 10]
SETTINGS = Settings(window=5, overlap=2, fps=6.0, scene_fps=2.0, person_points=False)


@dataclass
class SparseOracle(OracleNetwork):
    """Knows the truth of frames that do not follow one another, and of people in all of them."""

    def _recognise(self, images: torch.Tensor) -> range:
        own = torch.nn.functional.interpolate(
            self.world.clip.images.permute(0, 3, 1, 2).float() / 255, SIZE, mode="bilinear", antialias=True
        )
        found = torch.cdist(images[0].flatten(1), own.flatten(1)).argmin(1).tolist()
        return range(found[0], found[-1] + 1, found[1] - found[0])

    def read_people(
        self, humans: HumanInputs, timestamps: torch.Tensor, intrinsics: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        (shot,) = [shot for shot in SHOTS if shot.stop - shot.start == timestamps.shape[1]]
        assert torch.equal(humans.valid[0], self.world.tracks.valid[:, shot])
        torch.testing.assert_close(intrinsics, self.world.intrinsics[shot][None], rtol=1e-3, atol=0.02)
        params = self.world.params
        rotations = torch.cat([params.global_orient[:, :, None], params.body_pose], dim=2)
        return rotations[None, :, shot], self.betas[None]


def reconstruct(case_name: str, settings: Settings) -> tuple[World, Result]:
    case, shapes = CASES[case_name], torch.zeros(2, 10)
    shapes[0, 0] = 0.4
    world = make_world(load_body(), case.cameras, betas=shapes)
    fx, fy, cx, cy = (case.cameras[0, i, j].item() * 2 for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    network = SparseOracle(world=world, config=case.config, betas=shapes)
    settings = replace(settings, intrinsics=(fx, fy, cx, cy) if case.known else None)
    people = (world.tracks, world.landmarks)
    return world, run(world.clip, settings=settings, people_finder=lambda clip, size: people, network=network)


@pytest.fixture(scope="module")
def finished() -> tuple[World, Result]:
    return reconstruct("small, known, off centre", SETTINGS)


def test_dense_arrays_are_those_of_some_frames(finished: tuple[World, Result]) -> None:
    world, result = finished
    found = result.reconstruction
    assert found.num_frames == NUM_FRAMES and found.dense_frames.tolist() == DENSE
    assert found.depth.shape == (5, *SIZE) and found.images.shape == (5, *SIZE, 3)
    assert found.camera_interpolated.tolist() == [frame not in DENSE for frame in range(NUM_FRAMES)]
    sure = (world.conf_logits > 0).numpy()[DENSE]
    scene = sure & (world.tracks.masks.numpy()[DENSE] < 0)
    ratio = found.depth[scene] / world.depth.numpy()[DENSE][scene]
    assert np.abs(ratio - 1).max() < 2e-3, "fewer frames measure the scene: twice what is measured"
    np.testing.assert_array_equal(found.person_masks, world.tracks.masks.numpy()[DENSE])
    np.testing.assert_allclose(found.floor, world.floors().numpy(), rtol=0, atol=0.013)
    table = found.extra["depth_correction"][..., 0]
    assert np.isfinite(table[:, DENSE]).sum() == world.tracks.valid[:, DENSE].sum()
    assert np.isnan(np.delete(table, DENSE, axis=1)).all()


def test_people_and_cameras_are_those_of_all_frames(finished: tuple[World, Result]) -> None:
    world, result = finished
    found, valid = result.reconstruction, world.tracks.valid.numpy()
    np.testing.assert_array_equal(found.person_valid, valid)
    truth = world.body.joints(world.world_params()).numpy()
    np.testing.assert_allclose(found.joints[valid], truth[valid], rtol=0, atol=0.015)
    np.testing.assert_allclose(found.c2w[DENSE], world.c2w.numpy()[DENSE], rtol=0, atol=1e-3)
    off = np.linalg.norm(found.c2w[:, :3, 3] - world.c2w.numpy()[:, :3, 3], axis=-1)
    cosine = (np.einsum("tij,tij->t", found.c2w[:, :3, :3], world.c2w.numpy()[:, :3, :3]) - 1) / 2
    assert off.max() < 0.01 and np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 0.2
    assert [person["frames"] for person in result.report["people"]] == valid.sum(1).tolist()
    assert [shot["frames"] for shot in result.report["shots"]] == [3, 2]


@pytest.mark.parametrize(("changed", "looks"), [({}, True), ({"fast": True}, False), ({"scene_fps": 6.0}, False)])
def test_cameras_between_are_looked_for_where_there_are_any_and_somebody_has_the_time(
    changed: dict[str, Any], looks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[slice]()

    def shot(reader: BetweenReader, part: slice, *args: Any) -> CamerasBetween:
        asked.append(part)
        return CamerasBetween.unknown(part.stop - part.start)

    monkeypatch.setattr(BetweenReader, "shot", shot)
    _, result = reconstruct("small, known, off centre", replace(SETTINGS, **changed))
    assert result.reconstruction.num_frames == NUM_FRAMES and asked == (list(SHOTS) if looks else [])


def test_the_files_hold_both_rates(finished: tuple[World, Result], tmp_path: Path) -> None:
    _, result = finished
    write_files(result.reconstruction, result.body, result.report, tmp_path)
    loaded = Reconstruction.load(tmp_path)
    assert loaded.dense_frames.tolist() == DENSE and len(loaded.world_points()) == 5
    np.testing.assert_array_equal(loaded.camera_interpolated, result.reconstruction.camera_interpolated)
    some = loaded.at_dense_frames()
    assert some.num_frames == 5 and some.num_shots == 2 and some.at_dense_frames() is some
    np.testing.assert_array_equal(some.joints, loaded.joints[:, DENSE])
    document = pygltflib.GLTF2().load(str(tmp_path / "scene.glb"))
    keys = {document.accessors[sampler.input].count for scene in document.animations for sampler in scene.samplers}
    assert keys == {7, 4}, "bodies and cameras move at the rate of the people"
    assert json.loads((tmp_path / "report.json").read_text())["settings"]["scene_fps"] == 2.0


def test_a_network_that_cannot_read_people_alone_is_refused() -> None:
    case, shapes = CASES["small, known, off centre"], torch.zeros(2, 10)
    world = make_world(load_body(), case.cameras, betas=shapes)

    class Dense(OracleNetwork):
        _recognise = SparseOracle._recognise

    people = (world.tracks, world.landmarks)
    with pytest.raises(InputError, match="--scene-fps"):
        run(
            world.clip, settings=SETTINGS, people_finder=lambda clip, size: people,
            network=Dense(world=world, config=case.config, betas=shapes),
        )  # fmt: skip


def make_times(num_frames: int, fps: float, cut: int) -> Clip:
    return Clip(
        images=torch.zeros(num_frames, 32, 32, 3, dtype=torch.uint8),
        timestamps_s=torch.arange(num_frames, dtype=torch.float64) / fps, frame_indices=torch.arange(num_frames),
        segment=(torch.arange(num_frames) >= cut).long(), source_size=(32, 32),
    )  # fmt: skip


@pytest.mark.parametrize(("fps", "scene_fps"), [(30.0, 6.0), (25.0, 6.0), (24.0, 10.0), (6.0, 5.0), (30.0, 29.0)])
def test_the_scene_is_seen_at_its_rate_from_the_first_to_the_last_frame_of_each_shot(
    fps: float, scene_fps: float
) -> None:
    clip = make_times(100, fps, cut=37)
    dense = choose_dense_frames(clip, Settings(fps=fps, scene_fps=scene_fps))
    assert dense == sorted(set(dense)) and {0, 36, 37, 99} <= set(dense)
    steps = np.diff(np.array(dense)) / fps
    assert steps.max() <= 1 / scene_fps + 1 / fps + 1e-9
    expected = sum(int((length - 1) / fps * scene_fps + 1e-6) + 1 for length in (37, 63))
    assert expected <= len(dense) <= expected + 2
    assert choose_dense_frames(clip, Settings(fps=fps, scene_fps=fps)) == list(range(100))
