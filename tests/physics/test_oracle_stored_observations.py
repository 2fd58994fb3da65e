"""What was observed comes back from the disk as it was: settled again, it gives the same result to the bit."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_oracle_bars import BARS, frame
from test_oracle_cameras import CONFIG as KNOWING
from test_oracle_cameras import KnowingNetwork
from test_oracle_pipeline import CASES
from test_oracle_rates import SparseOracle

from oracle_world import SHOTS, SIZE, OracleNetwork, World, make_world
from unish.body import load_body
from unish.geometry.rigid import make_rigid
from unish.geometry.rotation import axis_angle_to_matrix
from unish.passes import conclude, concluded, network_pass, open_observations, save_observations
from unish.passes.between import BetweenReader
from unish.pipeline import Result, Settings, run
from unish.reconstruction import CamerasBetween, Loop, Window
from unish.reconstruction.stitch import align_windows
from unish.structs import Camera, FrameArray, Reconstruction
from unish.structs.progress import StageClock

pytestmark = pytest.mark.slow

CASE = CASES["small, known, off centre"]
SETTINGS = Settings(window=5, overlap=2)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(load_body(), CASE.cameras, betas=torch.zeros(2, 10))


def observe(world: World, kind: str, work: Path) -> Result:
    """A run of a kind whose observations hold something of their own."""
    fx, fy, cx, cy = (2 * float(CASE.cameras[0, i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    clip, settings, network = world.clip, SETTINGS, OracleNetwork(world=world, config=CASE.config, betas=world.betas)
    landmarks = world.landmarks
    if kind == "bars":
        clip, (top, left, _, _) = frame(clip, BARS["both"]), BARS["both"]
        cx, cy = cx + 2 * left, cy + 2 * top
    elif kind == "two rates":
        settings = replace(settings, fps=6.0, scene_fps=2.0)
        network = SparseOracle(world=world, config=CASE.config, betas=world.betas)
    elif kind == "sky and errors":
        settings = replace(settings, sky=True)
        landmarks = replace(landmarks, sigma_px=torch.full(landmarks.px.shape[:3], 1.5))
    elif kind == "cameras":
        settings = replace(settings, cameras=write_cameras(world, work), camera_unit="unknown")
        network = KnowingNetwork(world=world, config=KNOWING, betas=world.betas)
    return run(
        clip,
        settings=replace(settings, intrinsics=(fx, fy, cx, cy)),
        people_finder=lambda clip, size: (world.tracks, landmarks),
        network=network,
        work=work / "work",
    )


def write_cameras(world: World, folder: Path) -> Path:
    """Places of all frames as a TUM trajectory, in a unit of 35 cm; without turns, for one shot has one world."""
    from scipy.spatial.transform import Rotation

    c2w = world.c2w.clone().double()
    c2w[[shot.start for shot in SHOTS]] = torch.eye(4).double()
    lines = []
    for time_s, pose in zip(world.clip.timestamps_s.tolist(), c2w, strict=True):
        turn = Rotation.from_matrix(pose[:3, :3].numpy()).as_quat()
        numbers = [time_s, *(pose[:3, 3] / 0.35).tolist(), *turn.tolist()]
        lines.append(" ".join(f"{number:.9f}" for number in numbers))
    path = folder / "cameras.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def pretend_loops(pictures: Any, people: Any, no_scene: Any, windows: list[Window], intrinsics: Any) -> list[Loop]:
    """The last two frames stand to the first one as their windows say, but for four degrees.

    Who looks for loops is told where people are: they belong to no place.
    """
    shape = (windows[-1].frames.stop, *windows[-1].depth.shape[1:])
    assert people.shape == no_scene.shape == shape and (people[shape[0] - 1] >= 0).any()
    assert len(pictures) == len(intrinsics) == shape[0] and windows[0].frames.start == 0
    turned = make_rigid(axis_angle_to_matrix(torch.tensor([0.0, 0.07, 0.0])), torch.zeros(3))
    last = align_windows(windows)[-1]
    ends = last.move(windows[-1].c2w)
    frames = windows[-1].frames
    return [
        Loop(first=0, second=frames[row], relative=ends[row] @ turned, log_ratio=math.log(last.scale), distance=3.0)
        for row in (-2, -1)
    ]


def pretend_between(
    reader: BetweenReader, part: slice, chosen: list[int], first: int, windows: list[Window], camera: Camera
) -> CamerasBetween:
    """Every frame between stands beside the dense frame before it; nothing is known of it from the one after."""
    assert chosen[0] == part.start and chosen[-1] == part.stop - 1 and len(chosen) == windows[-1].frames.stop
    assert torch.equal(reader.clip.frame_indices[chosen], reader.dense.clip.frame_indices[first : first + len(chosen)])
    found = CamerasBetween.unknown(part.stop - part.start)
    between = [frame - part.start for frame in range(part.start, part.stop) if frame not in chosen]
    found.known[between, 0] = True
    found.relative[between, :, 0, 3] = 0.3
    return found


@pytest.fixture(autouse=True)
def no_quality(monkeypatch: pytest.MonkeyPatch) -> None:
    """The distances of bodies to points take longest of what a report says, and follow from all else."""
    monkeypatch.setattr(concluded, "measure_quality", lambda *args: {})


@pytest.mark.parametrize("kind", ["bars", "two rates", "sky and errors", "cameras", "loops"])
def test_settled_again_all_is_the_same(
    world: World, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "loops":
        monkeypatch.setattr(network_pass, "find_loops", pretend_loops)
    if kind == "two rates":
        monkeypatch.setattr(BetweenReader, "shot", pretend_between)
    first = observe(world, kind, tmp_path)
    if kind == "two rates":
        assert first.reconstruction.num_frames > len(first.reconstruction.depth)
        assert not first.reconstruction.camera_interpolated.any(), "all other cameras were measured"
    assert (first.report["shots"][0]["loops_closed"] > 0) == (kind == "loops")
    known_as = save_observations(
        tmp_path / "kept", first.observations, first.report, shape_space=first.shape_space, body=first.body.name
    )
    frames = sorted((tmp_path / "kept" / "frames").iterdir())
    assert [path.name for path in frames] == [f"{number:08d}.npz" for number in range(len(first.reconstruction.depth))]
    # Each pixel once, also where windows overlap, and in this world without noise in a third of the bytes of its maps.
    assert sum(path.stat().st_size for path in frames) < len(frames) * SIZE[0] * SIZE[1] * 8 / 3
    images = first.reconstruction.images
    pictures = FrameArray(images.shape, np.dtype(np.uint8), lambda frame: images[frame])
    stored = open_observations(tmp_path / "kept", pictures, known_as, tmp_path / "maps")
    assert stored.settings == Settings(**{**first.report["settings"], **given_as(stored)})
    again, concluded = conclude(
        stored.seen, first.body, stored.settings, StageClock(None), tmp_path / "again", network=first.report["model"],
        shape_space=stored.shape_space,
    )  # fmt: skip
    for one in fields(Reconstruction):
        if one.name not in ("extra", "person_points"):
            ours, theirs = getattr(again, one.name), getattr(first.reconstruction, one.name)
            np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs), err_msg=one.name)
    assert again.person_points is not None and first.reconstruction.person_points is not None
    clouds = [record.person_points for record in (again, first.reconstruction)]
    for ours, theirs in zip(*clouds, strict=True):
        for name, values in vars(theirs).items():
            np.testing.assert_array_equal(getattr(ours, name), values, err_msg=name)
    np.testing.assert_array_equal(again.extra["depth_correction"], first.reconstruction.extra["depth_correction"])
    assert repr(concluded) == repr({name: first.report[name] for name in concluded})


def given_as(stored: Any) -> dict[str, Any]:
    """Paths, which a report tells as text."""
    return {"cameras": stored.settings.cameras}
