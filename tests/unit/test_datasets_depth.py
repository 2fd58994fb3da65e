"""RGB-D readers, each on a tiny tree in its published layout: a slanted plane before a moving camera stays a plane."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from clip_checks import assert_keeps_its_promises
from unish.errors import InputError
from unish.geometry.camera import unproject
from unish.geometry.rigid import transform_points
from unish.lab.datasets import ClipArrays
from unish.lab.datasets.depth_folder import open_depth_folder
from unish.lab.datasets.rgbd_sequence import (
    list_slambook2_frames,
    make_slambook2_sequence,
    open_seven_scenes,
    open_tum,
)
from written_exr import write_exr

SIZE = (48, 64)
NUM_FRAMES = 9


@dataclass(frozen=True)
class Recording:
    """Frames of the plane z = 3 + 0.4·x − 0.2·y, seen by a camera that walks and turns far from the origin."""

    images: np.ndarray
    depth: np.ndarray
    c2w: np.ndarray


def record(camera: tuple[float, float, float, float]) -> Recording:
    fx, fy, cx, cy = camera
    height, width = SIZE
    x, y = np.meshgrid((np.arange(width) + 0.5 - cx) / fx, (np.arange(height) + 0.5 - cy) / fy)
    rays = np.stack([x, y, np.ones_like(x)], axis=-1)
    normal, offset = np.array([-0.4, 0.2, 1.0]), 3.0
    poses = np.tile(np.eye(4), (NUM_FRAMES, 1, 1))
    steps = np.arange(NUM_FRAMES)
    poses[:, :3, :3] = Rotation.from_rotvec(np.outer(steps, [0.01, 0.02, -0.015])).as_matrix()
    poses[:, :3, 3] = np.outer(steps, [0.05, -0.02, 0.03])
    depth = (offset - poses[:, :3, 3] @ normal)[:, None, None] / np.einsum(
        "tij,hwj,i->thw", poses[:, :3, :3], rays, normal
    )
    world = np.eye(4)
    world[:3, :3] = Rotation.from_rotvec([0.3, -2.0, 0.5]).as_matrix()
    world[:3, 3] = [400.0, -250.0, 90.0]
    images = np.random.default_rng(0).integers(0, 256, (NUM_FRAMES, *SIZE, 3)).astype(np.uint8)
    return Recording(images=images, depth=depth, c2w=world @ poses)


def assert_shows_one_plane(clip: ClipArrays, tolerance: float) -> None:
    """Points of all frames, in the world of the first, lie on the plane that fits those of the first."""
    depth, intrinsics, c2w = (torch.from_numpy(clip[name]).double() for name in ("depth", "intrinsics", "c2w"))
    torch.testing.assert_close(c2w[0], torch.eye(4).double())
    points = transform_points(c2w, unproject(depth, intrinsics).flatten(1, 2))
    known = (depth > 0).flatten(1)
    first = points[0][known[0]]
    design = torch.cat([first[:, :2], torch.ones(len(first), 1)], dim=1).double()
    fit = torch.linalg.lstsq(design, first[:, 2:]).solution
    for cloud, seen in zip(points, known, strict=True):
        off = cloud[seen] @ torch.cat([-fit[:2, 0], torch.ones(1)]).double() - fit[2]
        assert off.abs().max() < tolerance


def write_seven_scenes(folder: Path, numbers: range, recording: Recording) -> None:
    folder.mkdir(parents=True)
    for i, number in enumerate(numbers):
        name = f"frame-{number:06d}"
        Image.fromarray(recording.images[i]).save(folder / f"{name}.color.png")
        millimetres = np.round(recording.depth[i] * 1000).astype(np.uint16)
        millimetres[0, :5], millimetres[1, :5] = 65_535, 0
        Image.fromarray(millimetres).save(folder / f"{name}.depth.png")
        (folder / f"{name}.pose.txt").write_text(
            "\n".join("\t".join(f"{value:.9e}" for value in row) for row in recording.c2w[i])
        )


@pytest.fixture
def seven_scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    camera = (60.0, 60.0, 32.0, 24.0)
    monkeypatch.setattr("unish.lab.datasets.rgbd_sequence._SEVEN_SCENES_CAMERA", camera)
    scene = tmp_path / "chess"
    for number in (1, 2, 3):
        write_seven_scenes(scene / f"seq-{number:02d}", range(10, 10 + 2 * NUM_FRAMES, 2), record(camera))
    (scene / "TrainSplit.txt").write_text("sequence1\nsequence3\n")
    (scene / "TestSplit.txt").write_text("sequence2\n")
    return scene


def test_seven_scenes(seven_scenes: Path) -> None:
    source = open_seven_scenes(seven_scenes)
    assert len(source) == 3 and not source.describe().trains_shipped_weights
    clip = assert_keeps_its_promises(source, 4)
    assert_shows_one_plane(clip, 2e-3)  # millimetres: the worst rounding is 0.5 mm, seen at a slant
    assert (clip["depth"][:, :2, :5] == 0).all() and (clip["depth"][:, 2:] > 0).all()
    step = clip["timestamps"][1]
    assert step in (np.float32(2 / 30), np.float32(4 / 30))
    assert "ids" in source.describe().missing


def test_seven_scenes_splits(seven_scenes: Path) -> None:
    assert len(open_seven_scenes(seven_scenes, split="train")) == 2
    assert len(open_seven_scenes(seven_scenes.parent, split="test")) == 1
    assert len(open_seven_scenes(seven_scenes / "seq-02")) == 1
    assert open_seven_scenes(seven_scenes, every=3).sequences[0].num_frames == 3
    with pytest.raises(InputError, match="train or test"):
        open_seven_scenes(seven_scenes, split="all")
    (seven_scenes / "TestSplit.txt").unlink()
    with pytest.raises(InputError, match=r"TestSplit\.txt"):
        open_seven_scenes(seven_scenes, split="test")
    with pytest.raises(InputError, match="no frames"):
        open_seven_scenes(seven_scenes / "nowhere")


def write_tum(folder: Path, recording: Recording, *, shift_s: float = 0.004) -> None:
    """30 Hz colour, depth a little later, poses at 100 Hz with one gap; the motion is even, so between is between."""
    (folder / "rgb").mkdir(parents=True), (folder / "depth").mkdir()
    start = 1_305_031_452.791720
    times = start + np.arange(NUM_FRAMES) / 30
    lists: dict[str, list[str]] = {"rgb": ["# color images", "# timestamp filename"], "depth": ["# depth maps"]}
    for i, time in enumerate(times):
        for kind, stamp in (("rgb", time), ("depth", time + shift_s)):
            lists[kind].append(f"{stamp:.6f} {kind}/{stamp:.6f}.png")
        Image.fromarray(recording.images[i]).save(folder / f"rgb/{time:.6f}.png")
        units = np.round(recording.depth[i] * 5000).astype(np.uint16)
        units[0, 0] = 0
        Image.fromarray(units).save(folder / f"depth/{time + shift_s:.6f}.png")
    for kind, lines in lists.items():
        (folder / f"{kind}.txt").write_text("\n".join(lines) + "\n")
    # Poses on a grid that meets no picture, from before the first to just before the last one.
    stamps = np.arange(-0.5, NUM_FRAMES - 1.2, 0.3)
    steps = Rotation.from_rotvec(np.outer(stamps, [0.01, 0.02, -0.015])).as_matrix()
    local = np.tile(np.eye(4), (len(stamps), 1, 1))
    local[:, :3, :3], local[:, :3, 3] = steps, np.outer(stamps, [0.05, -0.02, 0.03])
    poses = recording.c2w[0] @ local
    quaternions = Rotation.from_matrix(poses[:, :3, :3]).as_quat()
    lines = ["# ground truth trajectory", "# timestamp tx ty tz qx qy qz qw"]
    for stamp, pose, quaternion in zip(start + stamps / 30, poses, quaternions, strict=True):
        values = " ".join(f"{value:.9f}" for value in (*pose[:3, 3], *quaternion))
        lines.append(f"{stamp:.6f} {values}")
    (folder / "groundtruth.txt").write_text("\n".join(lines))


def test_tum(tmp_path: Path) -> None:
    camera = (60.0, 62.0, 31.0, 25.0)
    folder = tmp_path / "rgbd_dataset_freiburg3_walking"
    write_tum(folder, record(camera))
    source = open_tum(tmp_path, camera=camera)
    # The last picture has no pose after it.
    assert source.sequences[0].num_frames == NUM_FRAMES - 1
    clip = assert_keeps_its_promises(source, 4)
    # Depth is rounded to 0.2 mm, poses to 1e-9 in a world of 480 m, times to a microsecond: 0.3 mm were measured.
    assert_shows_one_plane(clip, 1e-3)
    assert clip["depth"][0, 0, 0] == 0
    known = open_tum(folder).load(0, np.random.default_rng(0), num_frames=1)["intrinsics"][0]
    np.testing.assert_allclose([known[0, 0], known[1, 1], known[0, 2]], [535.4, 539.2, 320.6], rtol=1e-6)


def test_tum_without_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no rgb\.txt"):
        open_tum(tmp_path)
    folder = tmp_path / "sequence"
    write_tum(folder, record((60, 60, 32, 24)), shift_s=5.0)
    with pytest.raises(InputError, match="depth and pose"):
        open_tum(folder)
    (folder / "groundtruth.txt").unlink()
    with pytest.raises(InputError, match=r"groundtruth\.txt"):
        open_tum(folder)


CAMERA = (58.0, 61.0, 30.0, 25.0)


def write_depth_folder(folder: Path, depth_kind: str, *, single_poses: int = 0) -> Recording:
    recording = record(CAMERA)
    (folder / "images").mkdir(parents=True), (folder / "depth").mkdir()
    for i in range(NUM_FRAMES):
        name = f"{i + 2}"  # 2 … 10: natural order is not that of letters
        Image.fromarray(recording.images[i]).save(folder / f"images/{name}.png")
        depth = recording.depth[i].astype(np.float32)
        depth[0, 0] = np.nan
        if depth_kind == "png":
            Image.fromarray(np.round(np.nan_to_num(depth) * 1000).astype(np.uint16)).save(folder / f"depth/{name}.png")
        elif depth_kind == "npz":
            np.savez(folder / f"depth/{name}.npz", other=np.zeros(2), depth=depth)
        elif depth_kind == "npy":
            np.save(folder / f"depth/{name}.npy", depth[None])
        else:
            write_exr(folder / f"depth/{name}.exr", {"Z": depth})
        if not single_poses:
            (folder / "poses").mkdir(exist_ok=True)
            np.savetxt(folder / f"poses/{name}.txt", recording.c2w[i])
    if single_poses:
        np.savetxt(folder / "poses.txt", recording.c2w.reshape(NUM_FRAMES, 16)[:, :single_poses])
    fx, fy, cx, cy = CAMERA
    (folder / "intrinsics.json").write_text(json.dumps({"fx": fx, "fy": fy, "cx": cx, "cy": cy}))
    return recording


@pytest.mark.parametrize(("kind", "poses"), [("png", 0), ("npy", 12), ("npz", 16), ("exr", 0)])
def test_depth_folder(tmp_path: Path, kind: str, poses: int) -> None:
    write_depth_folder(tmp_path / "walk", kind, single_poses=poses)
    source = open_depth_folder(tmp_path)
    clip = assert_keeps_its_promises(source, 4)
    # float32 points of up to 5 m, or half a millimetre of a png seen at a slant.
    assert_shows_one_plane(clip, 2e-3 if kind == "png" else 1e-5)
    assert (clip["depth"][:, 0, 0] == 0).all() and (clip["depth"] > 0).mean() > 0.99
    assert "not stated" in source.describe().licence


def test_depth_folder_takes_what_else_there_is(tmp_path: Path) -> None:
    folder = tmp_path / "walk"
    recording = write_depth_folder(folder, "npy")
    (folder / "ids").mkdir()
    for i in range(NUM_FRAMES):
        Image.fromarray(np.full(SIZE, i % 3, np.uint8)).save(folder / f"ids/{i + 2}.png")
    (folder / "times.txt").write_text(" ".join(str(5 + 0.1 * i**2) for i in range(NUM_FRAMES)))
    (tmp_path / "dataset.json").write_text(json.dumps({"licence": "CC0", "trains_shipped_weights": True}))
    (folder / "intrinsics.json").unlink()
    (folder / "intrinsics.txt").write_text("58, 61, 30, 25")
    source = open_depth_folder(tmp_path)
    clip = assert_keeps_its_promises(source, NUM_FRAMES)
    assert source.describe().licence == "CC0" and source.describe().trains_shipped_weights
    assert clip["ids"][:, 0, 0].tolist() == [-1, 0, 1] * 3
    np.testing.assert_allclose(clip["timestamps"], 0.1 * np.arange(NUM_FRAMES) ** 2, atol=1e-6)
    np.testing.assert_array_equal(clip["images"], recording.images)  # in natural order
    assert_shows_one_plane(clip, 1e-5)


def test_depth_folder_without_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="images"):
        open_depth_folder(tmp_path)
    folder = tmp_path / "walk"
    write_depth_folder(folder, "npy", single_poses=16)
    rng = np.random.default_rng(0)
    (folder / "intrinsics.json").write_text("{}")
    with pytest.raises(InputError, match="fx, fy, cx, cy"):
        open_depth_folder(folder).load(0, rng, num_frames=2)
    (folder / "intrinsics.txt").write_text("1 2 3")
    with pytest.raises(InputError, match=r"intrinsics\.txt"):
        open_depth_folder(folder).load(0, rng, num_frames=2)
    for path in (folder / "depth").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="add it"):
        open_depth_folder(folder).load(0, rng, num_frames=2)
    (folder / "poses.txt").write_text("1 2 3 4\n")
    with pytest.raises(InputError, match="12 or 16"):
        open_depth_folder(folder)


def test_slambook2_frames_follow_the_pose_file(tmp_path: Path) -> None:
    for folder in ("color", "depth"):
        (tmp_path / folder).mkdir()
    quarter_turn = np.sqrt(0.5)
    np.savetxt(tmp_path / "pose.txt", [[0, 0, 0, 0, 0, 0, 1], [1.0, 2.0, 3.0, 0, quarter_turn, 0, quarter_turn]])
    for number in (1, 2):
        Image.new("RGB", (8, 6), (number, 0, 0)).save(tmp_path / "color" / f"{number}.png")
        Image.fromarray(np.full((6, 8), 1500 * number, np.uint16)).save(tmp_path / "depth" / f"{number}.pgm")
    clip = make_slambook2_sequence(list_slambook2_frames(tmp_path)).read(np.arange(2))
    np.testing.assert_array_equal(clip["depth"][:, 0, 0], [1.5, 3.0])
    np.testing.assert_allclose(clip["c2w"][1, :3, 3], [1, 2, 3], atol=1e-6)
    np.testing.assert_allclose(clip["c2w"][1, :3, 2], [1, 0, 0], atol=1e-6)  # turned by 90° about y: z looks along x
    (tmp_path / "depth" / "2.pgm").unlink()
    assert list_slambook2_frames(tmp_path) == ()
