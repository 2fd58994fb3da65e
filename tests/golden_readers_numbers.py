"""Readers of the golden scene: people as numbers, by plain numpy and the words of the formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from golden_scene import PERSON_IDS, ReadBack, from_export, reads, turn_from_export

SMPLX_BODY_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
HANDS = (20, 21)
"""Joints that SMPL's hands hang on; SMPL-X has fingers there."""

AMASS_SMPLH = {"trans", "gender", "mocap_framerate", "betas", "poses"}
AMASS_SMPLX = {
    "gender", "surface_model_type", "mocap_frame_rate", "mocap_time_length", "trans", "poses", "betas", "num_betas",
    "root_orient", "pose_body", "pose_hand", "pose_jaw", "pose_eye",
}  # fmt: skip
"""Keys of the two published families of AMASS, without those of its markers and soft tissue."""


@reads("amass")
def amass_by_numpy(folder: Path, facts: dict) -> ReadBack:
    """Forward kinematics on the rest joints that the file has; z is up."""
    joints, turned, times = {}, {}, None
    for person in PERSON_IDS:
        with np.load(folder / "amass" / f"person-{person}.npz", allow_pickle=False) as file:
            data = {name: file[name] for name in file.files}
        assert data.keys() >= AMASS_SMPLH | AMASS_SMPLX
        count = len(data["trans"])
        assert data["poses"].shape == (count, 165) and data["pose_body"].shape == (count, 63)
        assert data["betas"].shape == (16,) and data["pose_hand"].shape == (count, 90)
        assert data["mocap_framerate"].shape == () and data["mocap_frame_rate"].item() == 30
        np.testing.assert_array_equal(data["poses"][:, :3], data["root_orient"])
        np.testing.assert_array_equal(data["poses"][:, 3:66], data["pose_body"])
        assert str(data["gender"]) == "neutral"
        pose = data["poses"][:, :66].reshape(count, 22, 3)
        joints[person], turned[person] = pose_numbers(pose, data, "z")
        joints[person][~data["valid"]] = np.nan
        times = np.arange(count) / data["mocap_frame_rate"]
    return ReadBack(times_s=times, joints=joints, turned=turned)


@reads("smplx")
def smplx_by_numpy(folder: Path, facts: dict) -> ReadBack:
    """The arguments of ``smplx.SMPLX.forward``; y is up."""
    joints, turned, times = {}, {}, None
    shapes = {
        "betas": 16, "global_orient": 3, "body_pose": 63, "transl": 3, "jaw_pose": 3, "leye_pose": 3, "reye_pose": 3,
        "left_hand_pose": 45, "right_hand_pose": 45, "expression": 10,
    }  # fmt: skip
    for person in PERSON_IDS:
        with np.load(folder / "smplx" / f"person-{person}.npz", allow_pickle=False) as file:
            data = {name: file[name] for name in file.files}
        count = len(data["transl"])
        assert {name: data[name].shape for name in shapes} == {name: (count, size) for name, size in shapes.items()}
        assert all(data[name].dtype == np.float32 for name in shapes)
        pose = np.concatenate([data["global_orient"], data["body_pose"]], axis=1).reshape(count, 22, 3)
        joints[person], turned[person] = pose_numbers(pose, data | {"trans": data["transl"]}, "y")
        times = np.arange(count) / data["fps"]
    return ReadBack(times_s=times, joints=joints, turned=turned)


def pose_numbers(pose: np.ndarray, data: dict[str, np.ndarray], up: str) -> tuple[np.ndarray, np.ndarray]:
    """Joints and global rotations in the world of the scene."""
    placed, turned = pose_in_file(pose, data)
    return from_export(placed, up), turn_from_export(up) @ turned


def pose_in_file(pose: np.ndarray, data: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The same in the world of the file; SMPL's hands follow the wrists."""
    local = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(len(pose), 22, 3, 3)
    rest, turned = data["unish_rest_joints"], local.copy()
    # trans is counted from the pelvis of SMPL-X's mean shape, as the documentation of the format says.
    placed = np.tile((data["trans"] + [0.003, -0.351, 0.012])[:, None], (1, 24, 1))
    for joint, above in enumerate(SMPLX_BODY_PARENTS[1:], start=1):
        turned[:, joint] = turned[:, above] @ local[:, joint]
        placed[:, joint] = placed[:, above] + turned[:, above] @ (rest[joint] - rest[above])
    for hand, wrist in enumerate(HANDS, start=22):
        placed[:, hand] = placed[:, wrist] + turned[:, wrist] @ (rest[hand] - rest[wrist])
    return placed, turned
