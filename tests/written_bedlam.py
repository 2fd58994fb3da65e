"""BEDLAM scenes that tests write, in the published layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from unish.body import load_body
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
