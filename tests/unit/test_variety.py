"""The measurement of variety: known clips give known numbers, equal worlds no difference, rows survive a cut."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation
from scipy.stats import wasserstein_distance

from small_record import make_figure, make_record
from unish.body import Body, load_body
from unish.errors import InputError
from unish.lab.evaluation.variety import (
    QUANTITIES,
    Quantity,
    compare_rows,
    draw_figure,
    measure_clip,
    measure_videos,
    measure_world,
    sources,
)
from unish.lab.evaluation.variety.comparison import BINS, axis_position, axis_value
from unish.lab.synthetic import SynthConfig, make_clip
from unish.structs import Reconstruction

BY_NAME = {quantity.name: quantity for quantity in QUANTITIES}
Row = dict[str, list[float]]


@pytest.fixture(scope="module")
def body() -> Body:
    return make_figure()


def make_walkers(body: Body, num_people: int = 2) -> Reconstruction:
    """The small record with joints: people who walk sideways, upright, 4 m ahead."""
    record = make_record(body, num_people=num_people)
    joints = record.transl[:, :, None] + np.linspace(0, -0.5, 24, dtype=np.float32)[:, None] * [0, 1, 0]
    return replace(record, joints=joints.astype(np.float32))


def test_every_quantity_of_a_clip_is_measured(body: Body) -> None:
    row = measure_clip(make_walkers(body), body)
    assert row.keys() == BY_NAME.keys() and all(row.values())
    # The second person is seen in all six frames, the first in two pairs of neighbours.
    assert np.allclose(row["person speed"], 0.6, rtol=1e-3) and len(row["person speed"]) == 2 + 5
    assert np.allclose(row["person distance"], 4) and np.allclose(row["trunk lean"], 0, atol=0.05)
    np.testing.assert_allclose(row["person size"], 36 / 48, rtol=1e-4)
    empty = measure_clip(make_record(body, num_people=0), body)
    assert empty["people"] == [0.0] * 6 and empty["person size"] == [] and empty["knees"] == []


def test_camera_motion_is_per_second_and_within_a_shot(body: Body) -> None:
    """5° and 0.3 m in 1/4 s, one of the five steps being a cut."""
    c2w = np.tile(np.eye(4), (6, 1, 1))
    c2w[:, :3, :3] = Rotation.from_rotvec(np.radians(5.0) * np.arange(6)[:, None] * [[0, 1, 0]]).as_matrix()
    c2w[:, 2, 3] = 0.3 * np.arange(6)
    record = replace(
        make_record(body),
        c2w=c2w.astype(np.float32),
        timestamps_s=np.arange(6) / 4,
        segment=np.array([0, 0, 0, 1, 1, 1], np.int32),
    )
    row = measure_clip(record, body)
    # float32 matrices: 1e-7 of an angle of 0.09 rad
    np.testing.assert_allclose(row["camera turn"], [20.0] * 4, rtol=1e-4)
    np.testing.assert_allclose(row["camera travel"], [1.2] * 4, rtol=1e-4)
    assert len(row["camera pitch"]) == 3  # gravity belongs to the first shot


@pytest.mark.parametrize(("down", "roll"), [(20.0, 0.0), (-35.0, 0.0), (0.0, 12.0), (30.0, -25.0)])
def test_pitch_roll_and_height_are_read_off_gravity_and_floor(body: Body, down: float, roll: float) -> None:
    """Seen from a camera tilted by ``down`` and then rolled clockwise by ``roll``, over a floor 1.6 m below."""
    to_level = Rotation.from_euler("X", -down, degrees=True) * Rotation.from_euler("Z", roll, degrees=True)
    gravity = to_level.inv().apply([0, 1, 0]).astype(np.float32)
    c2w = np.tile(np.eye(4, dtype=np.float32), (6, 1, 1))
    row = measure_clip(
        replace(
            make_record(body), c2w=c2w, gravity=gravity[None], floor=np.append(-gravity, 1.6)[None].astype(np.float32)
        ),
        body,
    )
    np.testing.assert_allclose(row["camera pitch"], down, atol=0.01)
    np.testing.assert_allclose(row["camera roll"], roll, atol=0.01)
    np.testing.assert_allclose(row["camera height"], 1.6, rtol=1e-5)


def test_scale_changes_lengths_and_nothing_else(body: Body) -> None:
    record = make_walkers(body)
    c2w = record.c2w.copy()
    c2w[:, :3, 3] *= 2
    larger = replace(
        record,
        c2w=c2w,
        depth=record.depth * 2,
        joints=record.joints * 2,
        floor=record.floor * np.array([1, 1, 1, 2], np.float32),
    )
    before, after = measure_clip(record, body), measure_clip(larger, body)
    lengths = {"depth", "camera travel", "camera height", "person distance", "person speed"}
    for name, values in before.items():
        np.testing.assert_allclose(
            after[name], np.array(values) * (2 if name in lengths else 1), rtol=2e-4, err_msg=name
        )


@pytest.mark.long
def test_truth_gives_back_what_the_world_drew() -> None:
    truth = make_clip(4, 1, SynthConfig(size=(48, 64), num_frames=2, fps=6.0, min_people=2, place="room"))
    free = load_body("free")
    row = measure_clip(truth, free)
    angles = np.degrees(np.linalg.norm(truth.body_pose_aa[truth.person_valid].reshape(-1, 23, 3), axis=-1))
    np.testing.assert_allclose(row["elbows"], angles[:, [17, 18]].ravel(), rtol=1e-4)
    assert row["people"] == list(truth.person_valid.sum(0))
    near = truth.depth[(truth.depth > 0) & (truth.depth < 80)]
    assert near.min() <= row["depth"][0] < np.median(near) < row["depth"][-1] <= near.max()
    assert all(0 < share <= 1 for share in row["person size"])
    assert all(0.8 < tall < 2.2 for tall in row["person height"])


def test_pictures_are_judged_as_they_look(body: Body) -> None:
    record = make_record(body)
    grey = measure_clip(replace(record, images=np.full_like(record.images, 128)), body)
    assert np.ptp(grey["brightness"]) == 0 and abs(grey["brightness"][0] - 128 / 255) < 1e-4
    assert not any(grey["contrast"]) and not any(grey["edges"]) and not any(grey["saturation"])
    stripes = np.zeros_like(record.images)
    stripes[:, :, ::8], stripes[..., 0] = 255, 255
    red = measure_clip(replace(record, images=stripes), body)
    assert red["saturation"][0] > 0.8 and red["warmth"][0] > 0.8 and red["edges"][0] > 0.2 and red["contrast"][0] > 0.1


@pytest.mark.parametrize("quantity", QUANTITIES, ids=lambda quantity: quantity.name)
def test_axes_are_inverted_exactly(quantity: Quantity) -> None:
    positions = np.array([0.0, 0.3, 1.0])
    values = np.array([axis_value(quantity, position) for position in positions])
    np.testing.assert_allclose(axis_position(quantity, values), positions, atol=1e-9)
    assert axis_position(quantity, np.array([-1e9, 1e9])).tolist() == [0, 1]


def normal_rows(rng: np.random.Generator, mean: float, deviation: float, clips: int = 400) -> list[Row]:
    return [{"camera pitch": rng.normal(mean, deviation, 5).tolist()} for _ in range(clips)]


def test_distances_are_those_of_wasserstein() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = normal_rows(rng, 15, 6), normal_rows(rng, 21, 9)
    (found,) = compare_rows(ours, theirs)
    first, second = (np.concatenate([row["camera pitch"] for row in rows]) for rows in (ours, theirs))
    pooled = np.sqrt((first.var() + second.var()) / 2)
    # Bins of 0.5° against a pooled deviation of 7.6°.
    assert abs(found.distance - wasserstein_distance(first, second) / pooled) < 0.02
    assert abs(found.shift - (first.mean() - second.mean()) / pooled) < 0.02
    assert abs(found.spread - first.std() / second.std()) < 0.02
    assert found.describe() == "lower, narrower" and found.distance > found.chance
    (turned,) = compare_rows(theirs, ours)
    assert turned.distance == found.distance and turned.describe() == "higher, wider"


@pytest.mark.long
def test_the_same_world_is_no_different() -> None:
    rng = np.random.default_rng(1)
    rows = normal_rows(rng, 15, 6)
    (same,) = compare_rows(rows, rows)
    assert same.distance == 0 and same.describe() == ""
    few = [compare_rows(rows, normal_rows(rng, 15, 6, clips=20))[0] for _ in range(60)]
    # One in twenty may exceed the chance level; seven of sixty has a probability of 3 %.
    assert sum(difference.distance > difference.chance for difference in few) < 8
    (sure,) = compare_rows(rows, normal_rows(rng, 21, 6, clips=20))
    assert sure.describe() == "lower"


def test_every_clip_weighs_the_same() -> None:
    ours = [{"people": [1.0]}, {"people": [3.0] * 50}]
    (found,) = compare_rows(ours, [{"people": [1.0, 3.0]}, {"people": []}])
    assert found.distance == 0 and found.num_real == 1
    assert np.isclose(found.synthetic.sum(), 1) and len(found.synthetic) == BINS


def test_the_biggest_difference_comes_first_and_is_drawn() -> None:
    rng = np.random.default_rng(2)
    ours = [{"brightness": [rng.uniform(0, 0.3)], "contrast": [rng.uniform(0.1, 0.2)]} for _ in range(50)]
    real = [{"brightness": [rng.uniform(0.6, 0.9)], "contrast": [rng.uniform(0.1, 0.25)]} for _ in range(50)]
    found = compare_rows(ours, real)
    assert [difference.quantity.name for difference in found] == ["brightness", "contrast"]
    picture = np.asarray(draw_figure(found, num_synthetic=50, num_real=50)).astype(int)
    panel = picture[80:154, 26:240]
    filled = (np.abs(panel - (150, 185, 225)).max(-1) < 12).any(0)
    line = (np.abs(panel - (205, 80, 20)).max(-1) < 40)[:-6].any(0)  # the zero line of the histogram apart
    assert np.flatnonzero(filled).max() < 0.35 * 214 and np.flatnonzero(line).min() > 0.55 * 214


@pytest.mark.long
def test_rows_of_the_world_survive_a_cut(tmp_path: Path) -> None:
    whole = measure_world(3, seed=4, work=tmp_path / "whole")
    first = measure_world(2, seed=4, work=tmp_path / "cut")
    (cache,) = (tmp_path / "cut").iterdir()
    cache.write_text(cache.read_text() + '{"clip": 2, "val')
    steps: list[tuple] = []
    for expected in ([("synthetic clips", 3, 3)], []):
        steps.clear()
        assert measure_world(3, seed=4, work=tmp_path / "cut", progress=lambda *step: steps.append(step)) == whole
        assert steps == expected
    assert first == whole[:2] and measure_world(1, seed=5, work=tmp_path / "cut") != first[:1]


@pytest.mark.long
def test_workers_measure_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_TOGETHER", 1)
    alone = measure_world(3, seed=4, work=tmp_path / "alone")
    assert measure_world(3, seed=4, work=tmp_path / "many", workers=2) == alone


def test_rows_of_another_world_are_not_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "make_clip", lambda *_: make_record(make_figure()))
    monkeypatch.setattr(sources, "_load_body", lambda _: make_figure())
    monkeypatch.setattr(sources, "hash_code", lambda _: "old")
    measure_world(1, seed=4, work=tmp_path)
    monkeypatch.setattr(sources, "hash_code", lambda _: "new")
    steps: list[tuple] = []
    measure_world(1, seed=4, work=tmp_path, progress=lambda *step: steps.append(step))
    assert len(steps) == 1 and len(list(tmp_path.iterdir())) == 2


@pytest.fixture
def videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: Body) -> tuple[Path, list[Path]]:
    """A folder of two videos, one of which was reconstructed before; and the list of those that are run."""
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "old.mp4").touch()
    (folder / "new.AVI").touch()
    (folder / "notes.txt").touch()
    ran: list[Path] = []

    def run(video: Path, *, settings: object) -> SimpleNamespace:
        ran.append(video)
        return SimpleNamespace(reconstruction=replace(make_walkers(body), body_model="free"))

    monkeypatch.setattr(sources.pipeline, "run", run)
    done = tmp_path / "work" / "real" / "old"
    done.mkdir(parents=True)
    record: Reconstruction = replace(make_walkers(body, num_people=1), body_model="free")
    record.save(done / "reconstruction.npz")
    return folder, ran


def test_videos_are_reconstructed_once(tmp_path: Path, videos: tuple[Path, list[Path]]) -> None:
    folder, ran = videos
    rows = measure_videos(folder, work=tmp_path / "work" / "real")
    assert list(rows) == ["new", "old"] and rows["new"]["people"] != rows["old"]["people"] == [1, 1, 0, 0, 1, 1]
    assert measure_videos(folder, work=tmp_path / "work" / "real") == rows and ran == [folder / "new.AVI"]


def test_a_folder_without_videos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no video"):
        measure_videos(tmp_path, work=tmp_path)
    with pytest.raises(InputError, match="no video"):
        measure_videos(tmp_path / "missing", work=tmp_path)


def load_tool(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("measure_variety", repository / "tools" / "measure_variety.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.long
def test_the_tool_draws_and_prints(
    tmp_path: Path, repository: Path, videos: tuple[Path, list[Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pictures" / "variety.png"
    load_tool(repository).measure(2, 4, videos[0], tmp_path / "work", out, 1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(QUANTITIES) and all(line.startswith("| ") and line.count("|") == 7 for line in lines)
    distances = [float(line.split("|")[4]) for line in lines[2:]]
    assert distances == sorted(distances, reverse=True)
    assert Image.open(out).width > 1000 and out.stat().st_size < 400_000
