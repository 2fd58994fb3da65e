"""Video-depth benchmarks, each on a tiny tree in its published layout: the truth scores perfectly, damage is seen."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from made_answers import Oracle, make_scene
from unish.errors import InputError
from unish.lab.evaluation.benchmarks import BENCHMARKS, Benchmark
from unish.lab.evaluation.benchmarks.depth.bonn import FIRST_FRAME, NUM_FRAMES
from unish.lab.evaluation.benchmarks.depth.kitti import KITTI
from unish.lab.evaluation.benchmarks.depth.sintel import read_cam, read_dpt
from unish.lab.evaluation.benchmarks.depth.video import VideoDepthBenchmark
from unish.structs import Clip

SIZE = (6, 8)
FOCAL = 535.4


@dataclass(frozen=True)
class Written:
    """What a tree was written from: the sequence that the test scores, and its scored frames alone."""

    sequence: str
    depth: np.ndarray
    images: np.ndarray
    c2w: np.ndarray | None
    times: np.ndarray


def make_frames(count: int, units: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures, depth in whole units (a tenth is unknown), and cameras far from the origin that walk and turn."""
    rng = np.random.default_rng(count)
    depth = rng.integers(units, 9 * units, (count, *SIZE)).astype(np.uint16)
    depth[rng.random(depth.shape) < 0.1] = 0
    images = rng.integers(0, 256, (count, *SIZE, 3)).astype(np.uint8)
    c2w = np.tile(np.eye(4), (count, 1, 1))
    steps = np.arange(count)
    c2w[:, :3, :3] = Rotation.from_rotvec(np.outer(steps, [0.01, 0.02, -0.015])).as_matrix()
    c2w[:, :3, 3] = np.outer(steps, [0.05, -0.02, 0.03]) + np.outer(np.sin(steps / 3), [0, 0.2, 0])
    world = np.eye(4)
    world[:3, :3], world[:3, 3] = Rotation.from_rotvec([0.3, -2.0, 0.5]).as_matrix(), [40.0, -25.0, 9.0]
    return images, depth, world @ c2w


def save(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def write_tum_like(folder: Path, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Colour at 30 Hz, depth 4 ms later, poses at the times of the pictures."""
    images, depth, c2w = make_frames(count, 5000)
    times = 1_548_266_500.5 + np.arange(count) / 30
    lines: dict[str, list[str]] = {"rgb": ["# colour"], "depth": ["# depth"], "groundtruth": ["# poses"]}
    for image, units, pose, time in zip(images, depth, c2w, times, strict=True):
        save(folder / "rgb" / f"{time:.5f}.png", image)
        save(folder / "depth" / f"{time + 0.004:.5f}.png", units)
        lines["rgb"].append(f"{time:.5f} rgb/{time:.5f}.png")
        lines["depth"].append(f"{time + 0.004:.5f} depth/{time + 0.004:.5f}.png")
        place = [*pose[:3, 3], *Rotation.from_matrix(pose[:3, :3]).as_quat()]
        lines["groundtruth"].append(f"{time:.5f} " + " ".join(f"{value:.9f}" for value in place))
    for name, listed in lines.items():
        (folder / f"{name}.txt").write_text("\n".join(listed) + "\n")
    return images, depth / 5000, c2w, times


def write_bonn(data: Path) -> Written:
    images, depth, c2w, times = write_tum_like(data / "rgbd_bonn_crowd2", FIRST_FRAME + NUM_FRAMES + 3)
    (data / "rgbd_bonn_kidnapping_box").mkdir()
    scored = slice(FIRST_FRAME, FIRST_FRAME + NUM_FRAMES)
    return Written("crowd2", depth[scored], images[scored], c2w[scored], times[scored])


def write_tum(data: Path) -> Written:
    name = "rgbd_dataset_freiburg3_walking_xyz"
    images, depth, c2w, times = write_tum_like(data / name, 14)
    write_tum_like(data / "rgbd_dataset_freiburg1_desk", 2)
    return Written(name, depth[::3], images[::3], c2w[::3], times[::3])


def write_scannet(data: Path) -> Written:
    images, depth, c2w = make_frames(13, 1000)
    folder = data / "scene0707_00"
    for number, (image, units, pose) in enumerate(zip(images, depth, c2w, strict=True)):
        shown = np.full((*SIZE, 3), image[0, 0], np.uint8)  # one colour survives being stored as JPEG
        save(folder / "color" / f"{number}.jpg", shown)
        save(folder / "depth" / f"{number}.png", units)
        (folder / "pose").mkdir(exist_ok=True)
        np.savetxt(folder / "pose" / f"{number}.txt", np.full((4, 4), -np.inf) if number == 6 else pose)
        images[number] = np.asarray(Image.open(folder / "color" / f"{number}.jpg"))
    (folder / "intrinsic").mkdir()
    np.savetxt(folder / "intrinsic" / "intrinsic_color.txt", np.diag([FOCAL, FOCAL, 1, 1]))
    scored = [0, 3, 9, 12]  # each third; the camera of the sixth was lost
    return Written("scene0707_00", depth[scored] / 1000, images[scored], c2w[scored], np.array(scored) / 30)


def write_seven_scenes(data: Path) -> Written:
    for number in (1, 2):
        images, depth, c2w = make_frames(82, 1000)
        for i in range(len(images)):
            stem = data / "chess" / f"seq-{number:02d}" / f"frame-{i:06d}"
            save(Path(f"{stem}.color.png"), images[i])
            save(Path(f"{stem}.depth.png"), np.where(depth[i] == 0, 65_535, depth[i]).astype(np.uint16))
            np.savetxt(f"{stem}.pose.txt", c2w[i])
    (data / "chess" / "TestSplit.txt").write_text("sequence2\n")
    return Written("chess/seq-02", depth[::40] / 1000, images[::40], c2w[::40], np.arange(0, 82, 40) / 30)


def write_sintel(data: Path) -> Written:
    images, units, c2w = make_frames(5, 1)
    depth = units.astype(np.float32) * 3.25
    depth[0, 0, 0] = 1e6  # the sky
    for i, (image, values, w2c) in enumerate(zip(images, depth, np.linalg.inv(c2w), strict=True), start=1):
        save(data / "training" / "final" / "market_6" / f"frame_{i:04d}.png", image)
        for kind, suffix, content in (
            ("depth", "dpt", struct.pack("<fii", 202021.25, SIZE[1], SIZE[0]) + values.astype("<f4").tobytes()),
            ("camdata_left", "cam", struct.pack("<f", 202021.25)
             + np.diag([1120.0, 1120, 1]).astype("<f8").tobytes() + w2c[:3].astype("<f8").tobytes()),
        ):  # fmt: skip
            path = data / "training" / kind / "market_6" / f"frame_{i:04d}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    save(data / "training" / "final" / "bamboo_1" / "frame_0001.png", images[0])
    return Written("market_6", depth, images, c2w, np.arange(5) / 24)


def write_kitti(data: Path) -> Written:
    images, depth, _ = make_frames(4, 256 * 9)
    name = "2011_09_26_drive_0002_sync"
    for i, number in enumerate((5, 6, 7, 8)):
        save(data / f"val/{name}/proj_depth/groundtruth/image_02/{number:010d}.png", depth[i])
        save(data / f"val/{name}/proj_depth/groundtruth/image_03/{number:010d}.png", depth[i])
        save(data / f"raw/2011_09_26/{name}/image_02/data/{number:010d}.png", images[i])
    return Written(name, depth / 256, images, None, np.arange(4) / 10)


WRITERS: dict[str, Callable[[Path], Written]] = {
    "bonn": write_bonn, "tum": write_tum, "scannet": write_scannet, "7scenes-test": write_seven_scenes,
    "sintel": write_sintel, "kitti": write_kitti,
}  # fmt: skip


@pytest.fixture(params=WRITERS)
def benchmark_and_tree(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Benchmark, Path, Written]:
    return BENCHMARKS[request.param], tmp_path, WRITERS[request.param](tmp_path)


def test_the_truth_scores_perfectly_and_damage_is_seen(benchmark_and_tree: tuple[Benchmark, Path, Written]) -> None:
    benchmark, data, tree = benchmark_and_tree
    assert isinstance(benchmark, VideoDepthBenchmark)
    assert benchmark.sequences(data) == [tree.sequence]
    truth = make_scene(np.where(tree.depth > 0, tree.depth, 1), c2w=tree.c2w)
    oracle = Oracle(lambda request: truth)
    row = benchmark.score(data, tree.sequence, oracle)
    clip = oracle.requests[0].source
    assert isinstance(clip, Clip) and clip.frame_indices.tolist() == list(range(len(tree.depth)))
    np.testing.assert_array_equal(clip.images.numpy(), tree.images)
    np.testing.assert_allclose(clip.timestamps_s, tree.times - tree.times[0], atol=1e-4)
    known = (tree.depth > 0) & (tree.depth < benchmark.max_depth)
    assert row["frames"] == len(tree.depth) and row["scored_share"] == 1 and row["valid_pixels"] == known.sum()
    for column in ("depth_abs_rel", "depth_abs_rel_scale_shift", "depth_abs_rel_metric"):
        assert row.get(column, 0) < 1e-5, column
    assert row["depth_delta"] == 1
    assert ("depth_abs_rel_metric" in row) == benchmark.is_metric

    damaged = benchmark.score(data, tree.sequence, Oracle(lambda request: replace(truth, depth=1.25 * truth.depth + 1)))
    assert damaged["depth_abs_rel_scale_shift"] < 1e-3 < damaged["depth_abs_rel"]
    mean = (0.25 + 1 / tree.depth[known]).mean()
    assert damaged.get("depth_abs_rel_metric", mean) == pytest.approx(mean, rel=1e-4)


def test_cameras_are_scored_in_the_true_size(benchmark_and_tree: tuple[Benchmark, Path, Written]) -> None:
    benchmark, data, tree = benchmark_and_tree
    depth = np.where(tree.depth > 0, tree.depth, 1)
    if tree.c2w is None:
        assert "camera_ate_m" not in benchmark.score(data, tree.sequence, Oracle(lambda request: make_scene(depth)))
        return
    away = np.linalg.inv(tree.c2w[0]) @ tree.c2w  # any world will do
    row = benchmark.score(data, tree.sequence, Oracle(lambda request: make_scene(depth, c2w=away)))
    assert row["camera_ate_m"] < 1e-4 and row["camera_rpe_rotation_deg"] < 0.02
    half = away.copy()
    half[:, :3, 3] *= 0.5
    half[:, :3, :3] = away[:, :3, :3] @ Rotation.from_rotvec([0, 0.1, 0]).as_matrix()
    row = benchmark.score(data, tree.sequence, Oracle(lambda request: make_scene(depth, c2w=half)))
    assert row["camera_ate_m"] < 1e-4
    assert row.get("world_size_ratio", 0.5) == pytest.approx(0.5, abs=1e-3)
    spread = np.sqrt(np.square(away[:, :3, 3] - away[:, :3, 3].mean(0)).sum(-1).mean())
    assert row.get("camera_rigid_error_m", spread / 2) == pytest.approx(spread / 2, rel=1e-3)


def test_an_empty_folder_holds_no_sequence(tmp_path: Path) -> None:
    for name in WRITERS:
        assert BENCHMARKS[name].sequences(tmp_path) == [] and BENCHMARKS[name].needs


def test_frames_that_are_left_out_are_told(tmp_path: Path) -> None:
    tree = write_kitti(tmp_path)
    some = replace(make_scene(np.where(tree.depth > 0, tree.depth, 1)[[0, 3]]), frame_indices=np.array([0, 3]))
    row = KITTI.score(tmp_path, tree.sequence, Oracle(lambda request: some))
    assert (row["frames"], row["scored_share"]) == (2, 0.5) and row["depth_abs_rel"] < 1e-5
    with pytest.raises(InputError, match="other frames than 0 to 3"):
        KITTI.score(tmp_path, tree.sequence, Oracle(lambda request: replace(some, frame_indices=np.array([5, 8]))))


def test_focal_length_is_measured_where_it_is_known(tmp_path: Path) -> None:
    tree = write_scannet(tmp_path)
    k = np.diag([1.1 * FOCAL, 1.1 * FOCAL, 1])
    row = BENCHMARKS["scannet"].score(
        tmp_path, tree.sequence, Oracle(lambda request: make_scene(tree.depth + 1, c2w=tree.c2w, intrinsics=k))
    )
    assert row["focal_error"] == pytest.approx(0.1, abs=1e-4)


def test_points_of_all_frames_are_scored_in_one_world(tmp_path: Path) -> None:
    """A room of two walls, in metres; the result is in another world, half as large, and then has a bent wall."""
    seven_scenes, count = BENCHMARKS["7scenes-test"], 3
    images, _, c2w = make_frames(1 + 40 * (count - 1), 1000)
    rays = np.stack([*np.meshgrid((np.arange(8) + 0.5 - 320) / 585, (np.arange(6) + 0.5 - 240) / 585), np.ones((6, 8))])
    depth = np.broadcast_to(np.round(1000 * (2 + rays[0] + 3 * np.abs(rays[1] + 0.4055))), (len(c2w), *SIZE))
    for i in range(len(images)):
        stem = tmp_path / "chess" / "seq-01" / f"frame-{i:06d}"
        save(Path(f"{stem}.color.png"), images[i])
        save(Path(f"{stem}.depth.png"), depth[i].astype(np.uint16))
        np.savetxt(f"{stem}.pose.txt", c2w[i])
    (tmp_path / "chess" / "TestSplit.txt").write_text("sequence1\n")
    half = np.linalg.inv(c2w[0]) @ c2w[::40]
    half[:, :3, 3] *= 0.5
    k = np.array([[585.0, 0, 320], [0, 585, 240], [0, 0, 1]])
    scene = make_scene(depth[::40] / 2000, c2w=half, intrinsics=k)
    row = seven_scenes.score(tmp_path, "chess/seq-01", Oracle(lambda request: scene))
    assert row["points_accuracy_m"] < 1e-4 and row["points_completeness_m"] < 1e-4
    assert row["points_normal_consistency"] == pytest.approx(1, abs=1e-3)
    bent = replace(scene, depth=scene.depth * (1 + 0.2 * (np.arange(8) > 4)).astype(np.float32))
    row = seven_scenes.score(tmp_path, "chess/seq-01", Oracle(lambda request: bent))
    assert row["points_accuracy_m"] > 0.01


@pytest.mark.parametrize("arrangement", ["gathered", "selection"])
def test_kitti_in_its_other_arrangements(tmp_path: Path, arrangement: str) -> None:
    images, depth, _ = make_frames(3, 256 * 9)
    root, drive = tmp_path / "depth_selection" / "val_selection_cropped", "2011_10_03_drive_0047_sync"
    for i, number in enumerate((11, 12, 40)):
        if arrangement == "gathered":
            save(root / f"groundtruth_depth_gathered/{drive}_02/{number:010d}.png", depth[i])
            save(root / f"image_gathered/{drive}_02/{number:010d}.png", images[i])
        else:
            save(root / f"groundtruth_depth/{drive}_groundtruth_depth_{number:010d}_image_02.png", depth[i])
            save(root / f"groundtruth_depth/{drive}_groundtruth_depth_{number:010d}_image_03.png", depth[i])
            save(root / f"image/{drive}_image_{number:010d}_image_02.png", images[i])
    assert KITTI.sequences(tmp_path) == [drive]
    read = KITTI.open_sequence(tmp_path, drive).read(np.arange(3))
    np.testing.assert_array_equal(read["images"], images)
    np.testing.assert_allclose(read["depth"], depth / 256, rtol=1e-6)
    np.testing.assert_allclose(read["timestamps"], [0, 0.1, 2.9], atol=1e-6)
    row = KITTI.score(tmp_path, drive, Oracle(lambda request: make_scene(depth / 256 + 1e-6)))
    assert row["valid_pixels"] == (depth > 0).sum() and (depth / 256).max() > 70  # beyond what others count


def test_missing_files_are_named(tmp_path: Path) -> None:
    tree = write_kitti(tmp_path / "kitti")
    picture = next((tmp_path / "kitti" / "raw").rglob("*6.png"))
    picture.unlink()
    write_sintel(tmp_path / "sintel")
    next((tmp_path / "sintel").rglob("*3.dpt")).unlink()
    write_scannet(tmp_path / "scannet")
    (tmp_path / "scannet" / "scene0707_00" / "intrinsic" / "intrinsic_color.txt").unlink()
    write_bonn(tmp_path / "bonn")
    for path in sorted((tmp_path / "bonn" / "rgbd_bonn_crowd2" / "rgb").iterdir())[FIRST_FRAME:]:
        path.unlink()
    for benchmark, sequence, words in (
        ("kitti", tree.sequence, picture.name), ("sintel", "market_6", r"frame_0003\.dpt"),
        ("scannet", "scene0707_00", r"intrinsic_color\.txt"), ("bonn", "crowd2", "no pictures 30 to 139"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=words) as caught:
            BENCHMARKS[benchmark].score(tmp_path / benchmark, sequence, Oracle(lambda request: make_scene(tree.depth)))
        assert "\n" not in str(caught.value)


def test_sintel_files_that_are_cut_or_something_else(tmp_path: Path) -> None:
    path = tmp_path / "frame_0001.dpt"
    for content in (b"", b"PIEH" + bytes(20), struct.pack("<fii", 202021.25, 4, 3) + bytes(40)):
        path.write_bytes(content)
        for read in (read_dpt, read_cam):
            with pytest.raises(InputError, match=r"frame_0001\.dpt"):
                read(path)


def test_depth_means_are_weighted_by_pixels_and_cameras_are_not() -> None:
    rows = {
        "a": {"valid_pixels": 30, "depth_abs_rel": 0.1, "camera_ate_m": 1.0},
        "b": {"valid_pixels": 10, "depth_abs_rel": 0.5, "camera_ate_m": 3.0},
        "c": {"error": "cut"},
    }
    summary = KITTI.summarise(rows)
    assert summary["depth_abs_rel"] == pytest.approx(0.2) and summary["camera_ate_m"] == pytest.approx(2.0)
    assert summary["valid_pixels"] == 40 and summary["failed"] == 1
