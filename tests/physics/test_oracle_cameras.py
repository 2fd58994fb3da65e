"""Known cameras through the whole pipeline: kept to the bit over windows, shots and rates, all else in their unit.

The network of these tests does what ``refine_scene`` does with known cameras: its depth is in their unit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from test_oracle_pipeline import OFF_CENTRE, SMALL
from test_oracle_rates import SparseOracle

from oracle_world import ABSENT, NUM_FRAMES, SHOTS, OracleNetwork, World, make_world
from unish.body import load_body, resize_shape
from unish.errors import InputError
from unish.geometry.rigid import make_rigid
from unish.network.view_config import ViewSolverConfig
from unish.passes.known_camera import find_known_camera
from unish.pipeline import Result, Settings, run
from unish.structs import Prediction
from unish.video import read_known_cameras

CONFIG = replace(SMALL, views=ViewSolverConfig())
UNIT = 0.35
"""Metres that one unit of the camera file is."""
FILE_WORLD = make_rigid(torch.from_numpy(Rotation.from_rotvec([0.5, -1.0, 0.3]).as_matrix()),
                        torch.tensor([3.0, -2.0, 7.0], dtype=torch.float64))  # fmt: skip


@dataclass
class KnowingNetwork(OracleNetwork):
    """Attributes:
    unit: metres of one unit of the cameras that it is told.
    parallax: windows that begin with other frames show none: their unit is as it happens to be.
    """

    unit: float = UNIT
    parallax: tuple[int, ...] = tuple(range(NUM_FRAMES))
    refined: bool = False

    def __call__(self, *inputs: object, c2w: torch.Tensor, refine_c2w: bool, **more: object) -> Prediction:
        found = super().__call__(*inputs, **more)
        frames = self.calls[-1][0]
        self.refined = refine_c2w
        assert torch.equal(c2w[0, 0], torch.eye(4)), "the world is the first camera of the window"
        happens = 0.5 + 0.35 * len(self.calls)  # of ``OracleNetwork``
        true = found.c2w.clone()
        true[..., :3, 3] *= happens / self.unit
        torch.testing.assert_close(c2w, true, rtol=0, atol=1e-5)
        known = frames.start in self.parallax
        return replace(
            found,
            local_points=found.local_points * (happens / self.unit if known else 1.0),
            c2w=c2w,
            in_given_unit=torch.tensor([known]),
            given_error_px=torch.tensor([0.2]),
        )


class SparseKnowing(KnowingNetwork, SparseOracle):
    """The same for frames that do not follow one another."""


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(load_body(), OFF_CENTRE, betas=torch.zeros(2, 10))


def true_cameras(world: World) -> torch.Tensor:
    """(T, 4, 4), the first camera of each shot the identity without rounding."""
    c2w = world.c2w.clone()
    c2w[[shot.start for shot in SHOTS]] = torch.eye(4)
    return c2w


def write_cameras(folder: Path, world: World, *, unit: float) -> Path:
    """As transforms.json; names are those of frames of the video, and the lens is that of the source."""
    c2w = true_cameras(world).double()
    c2w[:, :3, 3] /= unit
    # The first shot is in the axes of its first camera, as in the result: nothing may be rounded there.
    c2w[SHOTS[1]] = FILE_WORLD @ c2w[SHOTS[1]]
    opengl = (c2w.numpy() @ np.diag([1.0, -1.0, -1.0, 1.0])).tolist()
    frames = [
        {"file_path": f"frame-{number}.png", "transform_matrix": pose}
        for number, pose in zip(world.clip.frame_indices.tolist(), opengl, strict=True)
    ]
    lens = (2 * OFF_CENTRE[0]).tolist()
    lens = {"fl_x": lens[0][0], "fl_y": lens[1][1], "cx": lens[0][2], "cy": lens[1][2]}
    path = folder / "transforms.json"
    path.write_text(json.dumps(lens | {"frames": frames}))
    return path


def reconstruct(world: World, network: OracleNetwork, path: Path, **settings: object) -> Result:
    chosen = Settings(person_points=False, window=5, overlap=2, cameras=path, **settings)  # type: ignore[arg-type]
    people = world.tracks, world.landmarks
    return run(world.clip, settings=chosen, people_finder=lambda clip, size: people, network=network)


def knowing(world: World, **options: object) -> KnowingNetwork:
    return KnowingNetwork(world=world, config=CONFIG, betas=torch.zeros(2, 10), **options)  # type: ignore[arg-type]


def check_people(result: Result, world: World, *, atol: float = 0.03) -> None:
    valid = world.tracks.valid.numpy()
    assert not result.reconstruction.person_valid[ABSENT]
    truth = world.body.joints(world.world_params()).numpy()
    np.testing.assert_allclose(result.reconstruction.joints[valid], truth[valid], rtol=0, atol=atol)


@pytest.mark.parametrize("parallax", [tuple(range(NUM_FRAMES)), (2, 7)])
def test_metric_cameras_come_back_to_the_bit(world: World, tmp_path: Path, parallax: tuple[int, ...]) -> None:
    """Also where a window has no parallax and takes its unit from its neighbour."""
    network = knowing(world, unit=1.0, parallax=parallax)
    result = reconstruct(world, network, write_cameras(tmp_path, world, unit=1.0), camera_unit="m")
    found = result.reconstruction
    assert np.array_equal(found.c2w[SHOTS[0]], true_cameras(world)[SHOTS[0]].numpy())
    np.testing.assert_allclose(found.c2w[SHOTS[1]], world.c2w[SHOTS[1]].numpy(), rtol=0, atol=2e-6)
    np.testing.assert_allclose(found.intrinsics, world.intrinsics.numpy(), rtol=3e-7)
    known = world.conf_logits > 0
    mask = (found.person_masks < 0) & known.numpy()
    np.testing.assert_allclose(found.depth[mask], world.depth.numpy()[mask], rtol=1e-4)
    assert result.report["quality"]["scale_uncertainty"] == 0.0
    assert not any("size is a guess" in sentence for sentence in result.report["warnings"])
    check_people(result, world)


def test_cameras_of_an_unknown_unit_take_their_scale_from_people(world: World, tmp_path: Path) -> None:
    result = reconstruct(world, knowing(world), write_cameras(tmp_path, world, unit=UNIT))
    found = result.reconstruction
    np.testing.assert_allclose(found.c2w, world.c2w.numpy(), rtol=0, atol=0.02)
    # One factor for everything: directions are those that were given.
    places = (
        np.linalg.norm(found.c2w[SHOTS[0], :3, 3], axis=1)[1:]
        / np.linalg.norm(world.c2w[SHOTS[0], :3, 3].numpy(), axis=1)[1:]
    )
    assert np.ptp(places) < 1e-5 * places.mean()
    assert np.array_equal(found.c2w[SHOTS[0], :3, :3], true_cameras(world)[SHOTS[0], :3, :3].numpy())
    check_people(result, world)


def test_metric_cameras_stay_metric_where_nothing_tells_the_unit_of_the_depth(world: World, tmp_path: Path) -> None:
    network = knowing(world, unit=1.0, parallax=())
    found = reconstruct(world, network, write_cameras(tmp_path, world, unit=1.0), camera_unit="m").reconstruction
    assert np.array_equal(found.c2w[SHOTS[0]], true_cameras(world)[SHOTS[0]].numpy())


def test_cameras_between_frames_with_depth_are_the_given_ones(world: World, tmp_path: Path) -> None:
    network = SparseKnowing(world=world, config=CONFIG, betas=torch.zeros(2, 10), unit=1.0)
    path = write_cameras(tmp_path, world, unit=1.0)
    found = reconstruct(world, network, path, camera_unit="m", fps=6.0, scene_fps=2.0).reconstruction
    assert len(found.dense_frames) < NUM_FRAMES
    assert np.array_equal(found.c2w[SHOTS[0]], true_cameras(world)[SHOTS[0]].numpy())
    assert found.camera_interpolated is not None and not found.camera_interpolated.any()


def test_metric_cameras_measure_people(world: World, tmp_path: Path) -> None:
    """A network that takes everybody for a tenth too large is half believed."""
    larger = resize_shape(world.body, torch.zeros(2, 10), torch.full((2,), 0.1))
    network = KnowingNetwork(world=world, config=CONFIG, betas=larger, unit=1.0)
    path = write_cameras(tmp_path, world, unit=1.0)
    found = reconstruct(world, network, path, camera_unit="m", settle=False).reconstruction
    heights = world.body.standing_height(torch.from_numpy(found.betas))
    true = world.body.standing_height(world.betas)
    np.testing.assert_allclose((heights / true).log().numpy(), 0.05, atol=0.015)
    without = KnowingNetwork(world=world, config=CONFIG, betas=larger, unit=1.0)
    found = reconstruct(world, without, path, settle=False).reconstruction
    np.testing.assert_allclose((world.body.standing_height(torch.from_numpy(found.betas)) / true).log(), 0.1, atol=0.01)


def test_refined_cameras_are_told_to_the_network(world: World, tmp_path: Path) -> None:
    network = knowing(world, unit=1.0)
    result = reconstruct(
        world, network, write_cameras(tmp_path, world, unit=1.0), camera_unit="m", refine_cameras=True
    )  # fmt: skip
    assert network.refined
    np.testing.assert_allclose(result.reconstruction.c2w, world.c2w.numpy(), rtol=0, atol=1e-4)
    check_people(result, world)


def test_what_cannot_be_used_is_refused_in_one_line(world: World, tmp_path: Path) -> None:
    path = write_cameras(tmp_path, world, unit=1.0)
    with pytest.raises(InputError, match="takes no known cameras"):
        reconstruct(world, OracleNetwork(world=world, config=SMALL, betas=torch.zeros(2, 10)), path)
    content = json.loads(path.read_text())
    few = tmp_path / "few.json"
    few.write_text(json.dumps(content | {"frames": content["frames"][:-1]}))
    with pytest.raises(InputError, match="of its 10 poses none belongs to 1 of the 11 frames"):
        reconstruct(world, knowing(world), few)
    blind = tmp_path / "blind.json"
    blind.write_text(json.dumps({"frames": content["frames"]}))
    with pytest.raises(InputError, match="give --intrinsics"):
        reconstruct(world, knowing(world), blind)
    with pytest.raises(InputError, match="say how large everything is"):
        reconstruct(world, knowing(world), path, camera_unit="m", person_height={0: 1.7})
    with pytest.raises(InputError, match="give --cameras"):
        Settings(refine_cameras=True)
    with pytest.raises(InputError, match="m or unknown"):
        Settings(cameras=path, camera_unit="feet")


def test_a_lens_that_the_user_states_comes_before_that_of_the_file(world: World, tmp_path: Path) -> None:
    path = write_cameras(tmp_path, world, unit=1.0)
    known = read_known_cameras(path, world.clip)
    for lens in ({}, {"fov": 50.0}, {"intrinsics": (900.0, 900.0, 300.0, 200.0)}):
        camera = find_known_camera(Settings(cameras=path, **lens), world.clip, world.clip, known)
        assert camera is not None and camera.focal_source == "given"
        if lens:
            # Of 50 degrees over the longer side of the source.
            focal = 900.0 if "intrinsics" in lens else max(world.clip.source_size) / 2 / np.tan(np.radians(25))
            assert camera.matrix[0, 0] * world.clip.source_size[1] / camera.size[1] == pytest.approx(focal)
        else:
            torch.testing.assert_close(camera.matrix[:2], 2 * OFF_CENTRE[0, :2], rtol=1e-5, atol=1e-3)
