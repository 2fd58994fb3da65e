"""BEDLAM on a tiny tree in its published layout: turns of the camera, units, masks, turned scenes, people's places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from clip_checks import assert_keeps_its_promises
from unish.body import load_body
from unish.errors import InputError
from unish.geometry.rotation import axis_angle_to_matrix
from unish.lab.datasets import ClipArrays
from unish.lab.datasets.bedlam import open_bedlam, turn_camera
from unish.structs import BodyParams
from written_bedlam import (
    BACKDROP,
    FLOOR_CM,
    FRAMES,
    HEIGHT,
    PEOPLE,
    PLAIN,
    TURNED,
    WIDTH,
    camera_rows,
    unreal_axes,
    write_labels,
    write_scene,
)


def test_turns_are_those_of_the_notes() -> None:
    angles = np.array([[0, 0, 0], [90, 0, 0], [0, 30, 0], [0, 0, 20], [130.0, -35, 12], [-75, 60, -170]])
    for row, rotation in zip(angles, turn_camera(*angles.T), strict=True):
        forward, right, up = unreal_axes(*row)
        for column, axis in zip(rotation.T, (right, -up, forward), strict=True):
            np.testing.assert_allclose(column, [axis[1], -axis[2], axis[0]], atol=1e-12)


def floor_of(clip: ClipArrays) -> np.ndarray:
    """Heights above the first camera, along gravity, of all points with known depth nearer than the sky."""
    heights = []
    for depth, k, c2w in zip(clip["depth"], clip["intrinsics"], clip["c2w"], strict=True):
        row, column = np.nonzero((depth > 0) & (depth < 200))
        rays = np.stack(
            [(column + 0.5 - k[0, 2]) / k[0, 0], (row + 0.5 - k[1, 2]) / k[1, 1], np.ones(len(row))], axis=1
        )
        points = rays * depth[row, column][:, None] @ c2w[:3, :3].T + c2w[:3, 3]
        heights.append(-points @ clip["gravity"])
    return np.concatenate(heights)


def test_units_turns_and_masks(tmp_path: Path) -> None:
    write_scene(tmp_path, PLAIN)
    source = open_bedlam(tmp_path)
    assert source.sequences[0].num_frames == len(FRAMES) and not source.describe().trains_shipped_weights
    clip = assert_keeps_its_promises(source, 3)
    frames = clip["images"][:, 5, 5, 0].astype(int)
    np.testing.assert_allclose(clip["timestamps"], (frames - frames[0]) / 30, atol=1e-6)
    # One floor in all frames, as far below the first camera as the tables say; float32 at up to 10 m.
    below = camera_rows()[frames[0] // 5, 2] - FLOOR_CM
    np.testing.assert_allclose(floor_of(clip), -below / 100, atol=2e-4)
    assert clip["intrinsics"][0, 0, 0] == 64 and (clip["depth"] <= 200).all()
    # The second person fills more pixels, so they come first.
    assert clip["ids"][0, 11, 1] == 1 and clip["ids"][0, 17, 12] == 0 and clip["ids"][0, 30, 30] == -1
    assert {"betas", "transl"} <= set(source.describe().missing)


def test_a_turned_scene_is_upright(tmp_path: Path) -> None:
    write_scene(tmp_path, TURNED)
    clip = assert_keeps_its_promises(open_bedlam(tmp_path / TURNED), 3)
    assert clip["images"].shape[1:3] == (WIDTH, HEIGHT)
    assert (clip["images"][:, 0, -1] == 255).all()  # the top left corner went to the top right
    frame = clip["images"][0, 5, 5, 0] // 5
    below = camera_rows()[frame, 2] - FLOOR_CM
    np.testing.assert_allclose(floor_of(clip), -below / 100, atol=2e-4)
    assert clip["intrinsics"][0, :2, 2].tolist() == [HEIGHT / 2, WIDTH / 2]


def test_a_backdrop_has_no_depth(tmp_path: Path) -> None:
    write_scene(tmp_path, BACKDROP)
    clip = assert_keeps_its_promises(open_bedlam(tmp_path), 3)
    assert ((clip["depth"] > 0) == (clip["ids"] >= 0)).all()


def test_people_stand_where_the_labels_put_them(tmp_path: Path) -> None:
    write_scene(tmp_path, PLAIN)
    truth = write_labels(tmp_path, PLAIN)
    without = assert_keeps_its_promises(open_bedlam(tmp_path), 3)
    assert "transl" not in without and "joints" not in without
    clip = assert_keeps_its_promises(open_bedlam(tmp_path, body="free"), len(FRAMES))
    order = (PEOPLE[1], PEOPLE[0])
    assert clip["person_valid"][:2, 1:].all() and not clip["person_valid"][:, 0].any()
    assert not clip["person_valid"][2:].any() and (clip["transl"][:, 0] == 0).all()
    body = load_body("free")
    for person, sub in enumerate(order):
        for frame, number in enumerate(FRAMES):
            if number == 0:
                continue
            w2c = np.linalg.inv(clip["c2w"][frame])
            in_camera = clip["joints"][person, frame] @ w2c[:3, :3].T + w2c[:3, 3]
            np.testing.assert_allclose(in_camera, truth[f"{number:04d}", sub], atol=2e-5)
        rotations = torch.cat([clip_rotations(clip, "global_orient_aa"), clip_rotations(clip, "body_pose_aa")], dim=2)
        params = BodyParams(
            betas=torch.from_numpy(clip["betas"])[:, None].expand(-1, len(FRAMES), -1),
            global_orient=rotations[:, :, 0], body_pose=rotations[:, :, 1:], transl=torch.from_numpy(clip["transl"]),
        )  # fmt: skip
        posed = body.joints(params).numpy()[person, 1:]
        np.testing.assert_allclose(posed, clip["joints"][person, 1:], atol=2e-5)


def clip_rotations(clip: ClipArrays, name: str) -> torch.Tensor:
    return axis_angle_to_matrix(torch.from_numpy(clip[name]).unflatten(-1, (-1, 3)))


def test_labels_of_smplx_have_poses_alone(tmp_path: Path) -> None:
    write_scene(tmp_path, PLAIN)
    write_labels(tmp_path, PLAIN, size=165)
    clip = assert_keeps_its_promises(open_bedlam(tmp_path, body="free"), 3)
    assert "transl" not in clip and (clip["body_pose_aa"][..., 63:] == 0).all()
    assert np.abs(clip["body_pose_aa"][0]).max() > 0.1


def test_more_people_than_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unish.lab.datasets.bedlam.SHARD_PEOPLE", 4)
    write_scene(tmp_path, PLAIN, num_people=6)
    clip = assert_keeps_its_promises(open_bedlam(tmp_path), 3)
    assert set(np.unique(clip["ids"])) == {-1, 0, 1, 2, 3, 4}
    assert (clip["ids"][0, 11, [0, 10]] == 4).all()


def test_what_not_all_have_is_left_out_for_all(tmp_path: Path) -> None:
    write_scene(tmp_path, PLAIN)
    write_scene(tmp_path, TURNED)
    for path in (tmp_path / TURNED / "depth").rglob("*.exr"):
        path.unlink()
    (tmp_path / TURNED / "depth" / "seq_000000").rmdir()
    source = open_bedlam(tmp_path)
    assert len(source.sequences) == 2 and "depth" in source.describe().missing
    assert_keeps_its_promises(source, 3)


def test_without_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"be_seq\.csv"):
        open_bedlam(tmp_path)
    write_scene(tmp_path, PLAIN)
    np.savez(tmp_path / "labels.npz", other=np.zeros(2))
    (tmp_path / "processed_labels").mkdir()
    (tmp_path / "labels.npz").rename(tmp_path / "processed_labels" / f"{PLAIN}.npz")
    with pytest.raises(InputError, match="labels"):
        open_bedlam(tmp_path, body="free")
    for path in (tmp_path / PLAIN / "ground_truth").rglob("*.csv"):
        path.unlink()
    with pytest.raises(InputError, match="ground truth"):
        open_bedlam(tmp_path)
