"""BEDLAM on a tiny tree in its published layout: turns of the camera, units, masks, turned scenes, people's places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clip_checks import assert_keeps_its_promises
from unish.body import load_body
from unish.datasets import ClipArrays
from unish.datasets.bedlam import open_bedlam, turn_camera
from unish.errors import InputError
from unish.geometry.rotation import axis_angle_to_matrix
from unish.structs import BodyParams
from written_exr import write_exr

HEIGHT, WIDTH = 36, 64
FRAMES = range(0, 40, 5)
PEOPLE = ("rp_aaron_posed_002", "rp_beatrice_posed_006")
FLOOR_CM = -20.0
PLAIN, TURNED, BACKDROP = (
    "20221013_3_250_batch01hand_orbit_bigOffice",
    "closeup_suburb_a",
    "20221010_3_1000_batch01hand",
)


def camera_rows() -> np.ndarray:
    """x, y, z, yaw, pitch, roll of a camera that walks, turns and looks down at the floor."""
    t = np.arange(len(FRAMES))
    return np.stack([500 + 10 * t, -300 - 5 * t, 160 + t, 130 + 3 * t, -35 - t, 5 + t], axis=1).astype(float)


def unreal_axes(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Forward, right and up of a camera in Unreal's axes, from the description of the angles, step by step."""
    yaw, pitch, roll = np.deg2rad([yaw, pitch, roll])
    level = np.array([np.cos(yaw), np.sin(yaw), 0])  # x forward, y right: a positive yaw turns right
    right = np.array([-np.sin(yaw), np.cos(yaw), 0])
    forward = np.cos(pitch) * level + np.sin(pitch) * np.array([0, 0, 1.0])  # up
    up = -np.sin(pitch) * level + np.cos(pitch) * np.array([0, 0, 1.0])
    # Clockwise as seen by the camera: its right side goes down.
    return np.stack([forward, np.cos(roll) * right - np.sin(roll) * up, np.cos(roll) * up + np.sin(roll) * right])


def test_turns_are_those_of_the_notes() -> None:
    angles = np.array([[0, 0, 0], [90, 0, 0], [0, 30, 0], [0, 0, 20], [130.0, -35, 12], [-75, 60, -170]])
    for row, rotation in zip(angles, turn_camera(*angles.T), strict=True):
        forward, right, up = unreal_axes(*row)
        for column, axis in zip(rotation.T, (right, -up, forward), strict=True):
            np.testing.assert_allclose(column, [axis[1], -axis[2], axis[0]], atol=1e-12)


def floor_depth(row: np.ndarray, focal: float) -> np.ndarray:
    """Centimetres along the optical axis to the floor, of an upright picture; very far above the horizon."""
    forward, right, up = unreal_axes(*row[3:])
    x, y = np.meshgrid((np.arange(WIDTH) + 0.5 - WIDTH / 2) / focal, (np.arange(HEIGHT) + 0.5 - HEIGHT / 2) / focal)
    down = (forward + x[..., None] * right - y[..., None] * up)[..., 2]
    return np.where(down < -1e-3, (FLOOR_CM - row[2]) / np.minimum(down, -1e-3), 1e6).astype(np.float32)


def write_scene(root: Path, scene: str, *, num_people: int = 2) -> None:
    folder, sequence = root / scene, "seq_000000"
    for kind in ("png", "depth", "masks"):
        (folder / kind / sequence).mkdir(parents=True)
    (folder / "ground_truth" / "camera").mkdir(parents=True)
    lines = ["Index,Type,Body,X,Y,Z,Yaw,Pitch,Roll,Comment", "0,Comment,None,0,0,0,0,0,0,a made-up render job",
             f"1,Group,None,0,0,0,0,0,0,sequence_name={sequence};frames=40;hdri=x"]  # fmt: skip
    for number in range(num_people):
        lines.append(f"{2 + number},Body,{PEOPLE[number % 2]}_{1000 + number},1,2,3,4,0,0,start_frame=7;texture_body=y")
    (folder / "be_seq.csv").write_text("\n".join(lines))
    table = ["name,x,y,z,yaw,pitch,roll,focal_length,sensor_width,sensor_height,hfov"]
    for number, row in zip(FRAMES, camera_rows(), strict=True):
        name = f"{sequence}_{number:04d}"
        table.append(",".join([f"{name}.png", *map(str, row), "36.0", "36", "20.25", "53"]))
        picture = np.full((HEIGHT, WIDTH, 3), number, np.uint8)
        picture[0, 0] = 255
        Image.fromarray(picture).save(folder / "png" / sequence / f"{name}.png")
        write_exr(folder / "depth" / sequence / f"{name}_depth.exr", {"Depth": floor_depth(row, 64.0)})
        for person in range(num_people):
            for part, top in (("body", 10), ("clothing", 14)):
                mask = np.zeros((HEIGHT, WIDTH), np.uint8)
                mask[top : top + 4, 10 * person : 10 * person + 4 + person] = 255
                Image.fromarray(mask).save(folder / "masks" / sequence / f"{name}_{person:02d}_{part}.png")
    table.insert(3, f"{sequence}_0003.png,1,2,3,0,0,0,36.0,36,20.25,53")  # a picture that was not unpacked
    (folder / "ground_truth" / "camera" / f"{sequence}_camera.csv").write_text("\n".join(table))


def write_labels(root: Path, scene: str, *, size: int = 72) -> dict[tuple[str, str], np.ndarray]:
    """One body per person that stands still in the world; returns its joints in each camera."""
    body, rng = load_body("free"), np.random.default_rng(1)
    rows: dict[str, list] = {key: [] for key in ("imgname", "sub", "pose_cam", "shape", "trans_cam", "cam_ext")}
    joints = {}
    for number in FRAMES[1:]:  # the first picture has no labels
        for person, sub in enumerate(PEOPLE):
            pose, shape = rng.normal(0, 0.3, size), np.full(10, 0.5 + person)
            ext = np.eye(4)
            ext[:3, 3] = rng.normal([0, 0, 4], 0.3)
            values = {"imgname": f"seq_000000/seq_000000_{number:04d}.png", "sub": sub, "pose_cam": pose,
                      "shape": shape, "trans_cam": rng.normal(0, 0.1, 3), "cam_ext": ext}  # fmt: skip
            for key, value in values.items():
                rows[key].append(value)
            rotations = axis_angle_to_matrix(torch.from_numpy(pose[:72].reshape(-1, 3)).float())
            params = BodyParams(
                betas=torch.from_numpy(shape).float(), global_orient=rotations[0], body_pose=rotations[1:24],
                transl=torch.from_numpy(values["trans_cam"] + ext[:3, 3]).float(),
            )  # fmt: skip
            joints[values["imgname"][-8:-4], sub] = body.joints(params).numpy()
    (root / "processed_labels").mkdir(exist_ok=True)
    np.savez(root / "processed_labels" / f"{scene}.npz", **{key: np.array(value) for key, value in rows.items()})
    return joints


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
    monkeypatch.setattr("unish.datasets.bedlam.SHARD_PEOPLE", 4)
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
