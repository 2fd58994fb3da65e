"""Sparse models: points that several frames show and nobody of whom is a person, masks in both conventions."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray
from PIL import Image
from scipy.spatial.transform import Rotation

from furnished_room import film_room, walk
from golden_readers_scene import read_colmap_text
from small_record import make_figure, make_record
from unish.body import Body
from unish.cli import main
from unish.errors import InputError
from unish.export.options import ExportOptions
from unish.export.scene_frames import SceneFrames, open_scene
from unish.geometry.alignment import align_similarity
from unish.geometry.rigid import invert_rigid
from unish.passes.sparse_model import write_colmap
from unish.passes.track_adjustment import adjust_tracks
from unish.passes.tracks import find_tracks
from unish.structs import Reconstruction

NUM_FRAMES = 5


def film(*, turn_only: bool = False) -> Reconstruction:
    """The true record of a walk through the furnished room, in which a block of the picture is a person who moves."""
    step = (0.0, 0.0, 0.0) if turn_only else (0.08, 0.01, 0.05)
    clip = film_room(walk(NUM_FRAMES, step=step))
    record = make_record(make_figure(), num_frames=NUM_FRAMES)
    images = (clip.images.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    masks = np.full(images.shape[:3], -1, np.int16)
    for frame in range(NUM_FRAMES):
        block = (slice(60, 200), slice(40 + 12 * frame, 110 + 12 * frame))
        masks[frame][block] = 0
        # Somebody in a checked shirt, on which key points are found and matched.
        images[frame][block] = 255 * (np.indices((140, 70)) // 7).sum(0)[..., None] % 2
    size = np.array(images.shape[1:3], np.int32)
    confidence = np.full(masks.shape, 0.9, np.float16)
    confidence[:, :6] = 0  # a bar
    return replace(
        record, images=images, person_masks=masks, image_size=size, source_size=size,
        intrinsics=clip.intrinsics.numpy(), c2w=invert_rigid(clip.w2c).numpy().astype(np.float32),
        depth=clip.depth.numpy().astype(np.float32), point_conf=confidence,
    )  # fmt: skip


@pytest.fixture(scope="module")
def body() -> Body:
    return make_figure()


@pytest.fixture(scope="module")
def written(body: Body, tmp_path_factory: pytest.TempPathFactory) -> tuple[Reconstruction, Path, dict[str, Any]]:
    record, folder = film(), tmp_path_factory.mktemp("colmap")
    return record, folder, write_colmap(folder, record, body)


def read_points(folder: Path) -> tuple[ndarray, list[ndarray]]:
    """Places, and the (image, observation) rows of each point."""
    rows = [line.split() for line in (folder / "sparse/0/points3D.txt").read_text().split("\n")[1:] if line]
    return np.array([row[1:4] for row in rows], float), [np.array(row[8:], int).reshape(-1, 2) for row in rows]


def read_observations(folder: Path) -> list[ndarray]:
    """x, y and point of each image."""
    lines = (folder / "sparse/0/images.txt").read_text().split("\n")[2::2]
    return [np.array(line.split(), float).reshape(-1, 3) for line in lines[:NUM_FRAMES]]


@pytest.mark.slow
def test_points_are_where_the_room_is_and_are_seen_by_three_frames(
    written: tuple[Reconstruction, Path, dict[str, Any]],
) -> None:
    record, folder, facts = written
    places, tracks = read_points(folder)
    assert facts["points"] == len(places) > 300
    observations = read_observations(folder)
    errors, off = [], []
    for number, (place, track) in enumerate(zip(places, tracks, strict=True)):
        assert len(np.unique(track[:, 0])) == len(track) >= 3
        for image, index in track:
            x, y, point = observations[image - 1][index]
            assert point == number + 1, "both files speak of the same point"
            local = record.c2w[image - 1, :3, :3].T @ (place - record.c2w[image - 1, :3, 3])
            px = (record.intrinsics[image - 1] @ local)[:2] / local[2]
            errors.append(np.linalg.norm(px - [x, y]))
            off.append(np.log(local[2] / record.depth[image - 1, int(y), int(x)]))
    assert max(errors) < 1.5 and np.mean(errors) < 0.5
    assert np.median(np.abs(off)) < 0.02


@pytest.mark.slow
def test_no_point_is_on_a_person_and_no_two_are_one(written: tuple[Reconstruction, Path, dict[str, Any]]) -> None:
    record, folder, _ = written
    for frame, seen in enumerate(read_observations(folder)):
        assert (record.person_masks[frame][seen[:, 1].astype(int), seen[:, 0].astype(int)] < 0).all()
        apart = np.linalg.norm(seen[:, None, :2] - seen[None, :, :2], axis=-1) + 1e9 * np.eye(len(seen))
        assert (apart.min(axis=1) < 0.5).mean() < 0.02


@pytest.mark.slow
def test_masks_are_black_at_people_and_at_what_is_no_scene_in_both_conventions(
    written: tuple[Reconstruction, Path, dict[str, Any]],
) -> None:
    record, folder, _ = written
    pictures = sorted(path.name for path in (folder / "images").iterdir())
    assert len(pictures) == NUM_FRAMES
    for frame, name in enumerate(pictures):
        mask = np.array(Image.open(folder / "masks" / f"{name}.png"))
        same = np.array(Image.open(folder / "masks_same_stem" / f"{Path(name).stem}.png"))
        assert np.array_equal(mask, same) and set(np.unique(mask)) == {0, 255}
        person = record.person_masks[frame] >= 0
        nowhere = record.point_conf[frame] == 0
        assert (mask[person] == 0).all() and nowhere.any() and (mask[nowhere] == 0).all()
        margin = (mask == 0) & ~person & ~nowhere
        assert 0 < margin.sum() < 0.3 * person.sum()
        assert Image.open(folder / "images" / name).size == mask.shape[::-1]


def test_sky_is_a_part_of_the_scene_and_a_bar_is_none(body: Body) -> None:
    """Both have no confidence."""
    record = film()
    confidence, sky = record.point_conf.copy(), np.zeros(record.point_conf.shape, bool)
    confidence[:, 6:20], sky[:, 6:20] = 0, True
    frames = open_scene(replace(record, point_conf=confidence, sky=sky), body, ExportOptions())
    assert np.array_equal(frames.no_scene(1), open_scene(record, body, ExportOptions()).no_scene(1))


PLACES = {
    "COLMAP": ("images/{name}", "masks/{name}.png"),
    "gsplat, examples/datasets/colmap.py": ("images/{name}", None),
    "Gaussian splatting, scene/dataset_readers.py": ("images/{name}", None),
    "nerfstudio, colmap dataparser": ("images/{name}", "masks_same_stem/{stem}.png"),
}
"""Where programs look for a picture and its mask (docs/research/exports.md). All read ``sparse/0``, the binary files
first; those for splatting take cameras of the models SIMPLE_PINHOLE (0) and PINHOLE (1) alone."""


@pytest.mark.slow
@pytest.mark.parametrize("reader", PLACES)
def test_everything_is_where_programs_look_for_it(
    written: tuple[Reconstruction, Path, dict[str, Any]], reader: str
) -> None:
    _, folder, _ = written
    model, (picture, mask) = folder / "sparse" / "0", PLACES[reader]
    assert all(
        (model / f"{part}.{end}").is_file() for part in ("cameras", "images", "points3D") for end in ("bin", "txt")
    )
    cameras = (model / "cameras.bin").read_bytes()
    number, _, kind, width, height = struct.unpack_from("<QiiQQ", cameras)
    assert number == 1 and kind == 1 and len(cameras) == 8 + 24 + 4 * 8
    names = [line.split()[9] for line in (model / "images.txt").read_text().split("\n")[1::2] if line]
    assert len(names) == NUM_FRAMES
    for name in names:
        places = [place.format(name=name, stem=Path(name).stem) for place in (picture, mask) if place]
        assert all(Image.open(folder / place).size == (width, height) for place in places)


@pytest.mark.slow
def test_binary_and_text_say_the_same(written: tuple[Reconstruction, Path, dict[str, Any]]) -> None:
    _, folder, facts = written
    model = folder / "sparse" / "0"
    places, tracks = read_points(folder)
    data, at = (model / "points3D.bin").read_bytes(), 8
    assert struct.unpack_from("<Q", data)[0] == facts["points"]
    for number, (place, track) in enumerate(zip(places, tracks, strict=True), start=1):
        point, *xyz = struct.unpack_from("<Q3d", data, at)
        (length,) = struct.unpack_from("<Q", data, at + 43)
        assert point == number and xyz == place.tolist()
        assert np.array_equal(np.frombuffer(data, "<i4", 2 * length, at + 51).reshape(-1, 2), track)
        at += 51 + 8 * length
    assert at == len(data)
    data, at = (model / "images.bin").read_bytes(), 8
    for number, seen in enumerate(read_observations(folder), start=1):
        (image,) = struct.unpack_from("<i", data, at)
        at = data.index(b"\0", at + 64) + 1  # seven numbers, the camera and the name
        (length,) = struct.unpack_from("<Q", data, at)
        assert image == number and length == len(seen)
        stored = np.frombuffer(data, np.dtype([("px", "<f8", 2), ("point", "<i8")]), length, at + 8)
        assert np.array_equal(np.column_stack([stored["px"], stored["point"]]), seen)
        at += 8 + 24 * length
    assert at == len(data)


@pytest.mark.slow
def test_the_adjustment_of_colmap_has_nothing_to_do(written: tuple[Reconstruction, Path, dict[str, Any]]) -> None:
    pycolmap = pytest.importorskip("pycolmap", reason="pycolmap is not installed; it adjusts the sparse model")
    record, folder, _ = written
    model = pycolmap.Reconstruction()
    model.read_text(str(folder / "sparse" / "0"))
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_focal_length = options.refine_principal_point = options.refine_extra_params = False
    pycolmap.bundle_adjustment(model, options)
    images = sorted(model.images.values(), key=lambda image: image.name)
    found = torch.from_numpy(np.stack([image.projection_center() for image in images]))
    true = torch.from_numpy(record.c2w[:, :3, 3]).double()
    aligned = align_similarity(found, true, torch.ones(len(true)).double()).apply(found)
    path = (true[1:] - true[:-1]).norm(dim=-1).sum()
    assert (aligned - true).norm(dim=-1).mean() < 0.01 * path


def shake(record: Reconstruction) -> Reconstruction:
    """The same with cameras that are off by some millimetres and tenths of a degree, but for the first."""
    rng, c2w = np.random.default_rng(4), record.c2w.astype(np.float64)
    c2w[1:, :3, :3] @= Rotation.from_rotvec(np.radians(rng.normal(0, 0.08, (len(c2w) - 1, 3)))).as_matrix()
    c2w[1:, :3, 3] += rng.normal(0, 0.004, (len(c2w) - 1, 3))
    return replace(record, c2w=c2w.astype(np.float32))


@pytest.mark.slow
def test_cameras_are_adjusted_to_the_points(body: Body, tmp_path: Path) -> None:
    """Nearer to the truth, to which the errors as they are written bear witness; off leaves them alone."""
    true = film()
    shaken = shake(true)
    found = {}
    for refine in (True, False):
        facts = write_colmap(tmp_path / str(refine), shaken, body, ExportOptions(refine_cameras=refine))
        names, c2w, _ = read_colmap_text(tmp_path / str(refine) / "sparse" / "0")
        off = np.linalg.norm(c2w[:, :3, 3] - true.c2w[:, :3, 3], axis=1)
        found[refine] = (off.max(), facts["mean_error_px"], facts["points"])
        assert len(names) == NUM_FRAMES and facts["cameras_moved_m"] == pytest.approx(
            np.linalg.norm(c2w[:, :3, 3] - shaken.c2w[:, :3, 3], axis=1).max(), abs=1e-4
        )
        assert any("adjusted to the points" in note for note in facts["notes"]) == refine
        np.testing.assert_allclose(c2w[0], np.eye(4), atol=1e-9)
    assert found[True][0] < 0.5 * found[False][0] and found[True][1] < 0.7 * found[False][1], found
    assert found[True][2] >= found[False][2] > 100, found


@pytest.mark.slow
@pytest.mark.parametrize("left_out", [None, 2])
def test_the_unit_stays_where_cameras_are_adjusted(body: Body, left_out: int | None) -> None:
    """Points are as far as they were, in the median, also where one camera sees none of them."""
    frames = open_scene(shake(film()), body, ExportOptions())
    points = find_tracks(frames)
    seen = points.frame != left_out
    kept = {name: getattr(points, name)[seen] for name in ("point", "frame", "px", "error_px")}
    points = replace(points, **kept)
    moved, adjusted = adjust_tracks(frames, points, max_error_px=np.inf, least_seen=0)

    def depths(where: SceneFrames, xyz: ndarray) -> ndarray:
        w2c = np.linalg.inv(where.c2w)[points.frame]
        return (w2c[:, 2, :3] * xyz[points.point]).sum(1) + w2c[:, 2, 3]

    assert np.abs(moved.c2w - frames.c2w).max() > 1e-4
    assert np.median(np.log(depths(moved, adjusted.xyz) / depths(frames, points.xyz))) == pytest.approx(0, abs=2e-7)
    if left_out is not None:
        np.testing.assert_allclose(moved.c2w[left_out, :3, :3], frames.c2w[left_out, :3, :3], atol=1e-9)


@pytest.mark.slow
def test_a_camera_that_only_turns_keeps_the_depth_of_the_reconstruction(body: Body, tmp_path: Path) -> None:
    record = film(turn_only=True)
    write_colmap(tmp_path, record, body)
    places, tracks = read_points(tmp_path)
    assert len(places) > 100
    seen = read_observations(tmp_path)
    for place, track in zip(places[::20], tracks[::20], strict=True):
        image, index = track[0]
        x, y, _ = seen[image - 1][index]
        local = record.c2w[image - 1, :3, :3].T @ (place - record.c2w[image - 1, :3, 3])
        assert abs(np.log(local[2] / record.depth[image - 1, int(y), int(x)])) < 0.05


def test_two_frames_give_no_track_and_it_is_said(body: Body, tmp_path: Path) -> None:
    record = make_record(body, num_frames=2)
    facts = write_colmap(tmp_path, record, body)
    assert facts["points"] == 0 and "0 points" in facts["notes"][-1]
    assert (tmp_path / "sparse/0/points3D.txt").read_text().count("\n") == 1
    assert len(list((tmp_path / "images").iterdir())) == 2


def test_a_long_shot_is_thinned_and_it_is_said(body: Body, tmp_path: Path) -> None:
    facts = write_colmap(tmp_path, make_record(body, num_frames=6), body, max_pictures=2)
    assert facts["pictures"] == 2 and "2 of the 6 frames" in facts["notes"][0]


def test_a_shot_that_is_not_there_is_refused(body: Body, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="shot 3"):
        write_colmap(tmp_path, make_record(body), body, ExportOptions(shot=3))


@pytest.mark.parametrize("kind", ["trc", "angles"])
def test_formats_of_people_refuse_a_scene_without_people(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_record(make_figure(), num_people=0).save(tmp_path / "reconstruction.npz")
    record = replace(Reconstruction.load(tmp_path), body_model="free")
    record.save(tmp_path / "reconstruction.npz")
    assert main(["export", str(tmp_path), "--to", kind]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "nobody was found" in error
    assert not (tmp_path / "export").exists()


def test_a_full_disk_leaves_nothing(
    body: Body, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replace(make_record(body), body_model="free").save(tmp_path / "reconstruction.npz")

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    for kind in ("depth", "nerfstudio"):
        assert main(["export", str(tmp_path), "--to", kind]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "No space left" in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reconstruction.npz"]


def test_the_sidecar_says_what_the_files_hold(body: Body, tmp_path: Path) -> None:
    replace(make_record(body), body_model="free").save(tmp_path / "reconstruction.npz")
    assert main(["export", str(tmp_path), "--to", "depth", "--to", "cameras", "--quiet"]) == 0
    formats = json.loads((tmp_path / "export" / "export.json").read_text())["formats"]
    assert formats["depth"][0]["clipped_at_m"] == 65.535
    assert formats["cameras"][0]["rotation_order_of_chan"] == "ZXY"
