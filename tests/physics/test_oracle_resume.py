"""A run that was ended goes on where it was and ends with the same result, to the bit; also one too long for memory."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_oracle_pipeline import CASES, Case

from oracle_world import OracleNetwork, World, make_world
from unish import pipeline
from unish.body import load_body
from unish.errors import InputError
from unish.geometry.mesh_distance import distance_to_mesh
from unish.passes import concluded, describe_run, outputs, write_files
from unish.pipeline import Result, Settings, run
from unish.structs import FrameArray, Prediction, Reconstruction

CASE: Case = CASES["small, unknown camera"]
SETTINGS = Settings(window=5, overlap=2)
PLAIN = replace(SETTINGS, person_points=False)
"""Without people's own points, which are read after all windows and take a third of the time."""

ENDS = (5, 7, 11)
"""Of the windows: frames that are done when each has been kept."""


class Ended(BaseException):
    """As a signal ends a process: nobody but the last one to clean up notices."""


@dataclass
class Ending(OracleNetwork):
    """The truth, until it is asked once too often."""

    last: int = 10**6

    def __call__(self, *args: Any, **options: Any) -> Prediction:
        if len(self.calls) == self.last:
            raise Ended
        return super().__call__(*args, **options)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(load_body(), CASE.cameras, betas=torch.zeros(2, 10))


def go(world: World, work: Path | None, *, done: int = 0, last: int = 10**6, **options: Any) -> tuple[Result, Ending]:
    """A run; ``done`` windows were seen by the network of an earlier one, whose units go on."""
    network = Ending(world=world, config=CASE.config, betas=torch.zeros(2, 10), last=last)
    network.calls = [(range(0), False)] * done
    settings = options.pop("settings", SETTINGS)
    people = (world.tracks, world.landmarks)
    result = run(
        world.clip, settings=settings, people_finder=lambda clip, size: people, network=network, work=work, **options
    )
    return result, network


@pytest.fixture(scope="module")
def whole(world: World) -> Result:
    return go(world, None)[0]


@pytest.fixture(scope="module")
def plain(world: World) -> Result:
    return go(world, None, settings=PLAIN)[0]


def assert_same(found: Result, wanted: Result) -> None:
    for one in fields(Reconstruction):
        if one.name not in ("extra", "dense", "person_points"):
            ours, theirs = (getattr(result.reconstruction, one.name) for result in (found, wanted))
            np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs), err_msg=one.name)
    clouds = [result.reconstruction.person_points or () for result in (found, wanted)]
    for ours, theirs in zip(*clouds, strict=True):
        assert len(theirs.points) > 0
        for name, values in vars(theirs).items():
            np.testing.assert_array_equal(getattr(ours, name), values, err_msg=name)
    for name, theirs in wanted.reconstruction.extra.items():
        np.testing.assert_array_equal(found.reconstruction.extra[name], theirs)
    kept = [
        json.dumps({key: value for key, value in result.report.items() if key not in ("seconds", "peak_memory_mb")})
        for result in (found, wanted)
    ]
    assert kept[0] == kept[1]


@pytest.mark.slow
def test_points_of_people_lie_on_their_bodies(whole: Result) -> None:
    found = whole.reconstruction
    assert found.person_points is not None
    posed = found.vertices(whole.body)
    for frame, cloud in enumerate(found.person_points):
        for person in np.unique(cloud.person).tolist():
            own = cloud.of(person).points[::20]
            distances = distance_to_mesh(own, posed[person, frame], found.faces)
            assert np.median(distances) < 0.03 and np.quantile(distances, 0.95) < 0.15


@pytest.mark.slow
@pytest.mark.parametrize("last", range(3))
def test_ended_before_any_window(last: int, world: World, plain: Result, tmp_path: Path) -> None:
    with pytest.raises(Ended):
        go(world, tmp_path, last=last, settings=PLAIN)
    said: list[str] = []
    result, network = go(world, tmp_path, done=last, announce=said.append, settings=PLAIN)
    assert len(network.calls) == 3, "no window is seen twice, and none is left out"
    assert said == ([f"resuming at frame {ENDS[last - 1]}"] if last else [])
    assert_same(result, plain)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["settle", "keep_dense", "judge", "measure_quality"])
def test_ended_after_the_last_window(
    stage: str, world: World, whole: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*args: object, **options: object) -> None:
        raise Ended

    with monkeypatch.context() as patched, pytest.raises(Ended):
        patched.setattr(concluded, stage, end)
        go(world, tmp_path)
    result, network = go(world, tmp_path, done=3)
    assert len(network.calls) == 3 and network.calls[-1] == (range(0), False), "the network is not asked again"
    assert_same(result, whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["images", "masks", "windows"])
def test_files_that_are_gone_are_made_again(name: str, world: World, plain: Result, tmp_path: Path) -> None:
    """A process that is killed may leave any of them out; those that are whole are used."""
    with pytest.raises(Ended):
        go(world, tmp_path, last=2, settings=PLAIN)
    for path in sorted((tmp_path / name).iterdir(), reverse=True)[:1]:
        path.unlink()
    lost_window = name == "windows"
    result, _ = go(world, tmp_path, done=1 if lost_window else 2, settings=PLAIN)
    assert_same(result, plain)


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"window": 6}, {"seed": 3}, {"fps": 5.0}])
def test_another_run_does_not_go_on_there(change: dict[str, Any], world: World, tmp_path: Path) -> None:
    with pytest.raises(Ended):
        go(world, tmp_path, last=2, settings=PLAIN)
    (tmp_path / "of the old run").write_text("")
    said: list[str] = []
    with pytest.raises(Ended):
        go(world, tmp_path, last=0, announce=said.append, settings=replace(PLAIN, **change))
    assert said == [] and not (tmp_path / "of the old run").exists()


@pytest.mark.parametrize("name", ["tracks", "body"])
def test_a_file_of_the_user_that_was_edited_makes_another_run(name: str, tmp_path: Path) -> None:
    given, source = tmp_path / "given.npz", tmp_path / "video.mp4"
    for path in (given, source):
        path.write_bytes(b"before")
    settings = replace(SETTINGS, **{name: given if name == "tracks" else str(given)})
    before = describe_run(source, settings, "weights", "body")
    assert describe_run(source, settings, "weights", "body") == before
    given.write_bytes(b"edited since")
    assert describe_run(source, settings, "weights", "body") != before


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Our walk"}, {"settle": False}, {"fill_gaps": 0.5}, {"keep_observations": False},
        {"person_height": {0: 1.7}},
    ],
    ids=str,
)  # fmt: skip
def test_what_matters_only_afterwards_makes_no_other_run(change: dict[str, Any], tmp_path: Path) -> None:
    source = tmp_path / "video.mp4"
    source.write_bytes(b"film")
    runs = [describe_run(source, one, "weights", "body") for one in (SETTINGS, replace(SETTINGS, **change))]
    assert runs[0] == runs[1]


def test_a_run_that_got_nowhere_leaves_nothing(world: World, tmp_path: Path) -> None:
    with pytest.raises(Ended):
        go(world, tmp_path / "work", last=0, settings=PLAIN)
    assert not (tmp_path / "work").exists()


@pytest.mark.slow
def test_too_many_frames_for_one_file(
    world: World, whole: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "MAX_FRAMES_IN_FILE", 10)
    result, _ = go(world, tmp_path / "work")
    assert result.reconstruction.dense and isinstance(result.reconstruction.depth, FrameArray)
    assert_same(result, whole)
    out = tmp_path / "out"
    out.mkdir()
    names = write_files(result.reconstruction, result.body, result.report, out, kept=result.kept)
    assert sorted(names) == sorted(path.name for path in out.iterdir())
    assert len(list((out / "reconstruction.frames").iterdir())) == 11
    for place in (out, out / "reconstruction.npz"):
        loaded = Reconstruction.load(place)
        assert isinstance(loaded.images, FrameArray) and loaded.dense == "reconstruction.frames"
        np.testing.assert_array_equal(loaded.depth[3], whole.reconstruction.depth[3])
        np.testing.assert_array_equal(loaded.in_memory().world_points(), whole.reconstruction.world_points())
        for frame, points in enumerate(loaded.points(person=1)):
            np.testing.assert_array_equal(points, whole.reconstruction.points(person=1)[frame])
    (out / "reconstruction.frames" / "00000004.npz").unlink()
    with pytest.raises(InputError, match="does not hold the 11 frames"):
        Reconstruction.load(out)
    with np.load(out / "reconstruction.npz") as file:
        assert "depth" not in file.files and file["dense_frames"].tolist() == list(range(11))


@pytest.mark.slow
def test_a_long_result_without_a_folder_lives_as_long_as_it_is_used(
    world: World, plain: Result, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(outputs, "MAX_FRAMES_IN_FILE", 10)
    monkeypatch.setattr(pipeline.tempfile, "mkdtemp", lambda prefix: str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    result, _ = go(world, None, settings=PLAIN)
    np.testing.assert_array_equal(result.reconstruction.depth[7], plain.reconstruction.depth[7])
    result.reconstruction.save(tmp_path / "copy.npz")
    del result
    assert not (tmp_path / "temporary").exists()
    copied = Reconstruction.load(tmp_path / "copy.npz")
    assert copied.dense == "" and isinstance(copied.depth, np.ndarray)
    np.testing.assert_array_equal(copied.depth, plain.reconstruction.depth)
