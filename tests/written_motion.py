"""People who walk, as tests write them in the published layouts of EMDB, 3DPW and RICH, and as a method answers."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import sparse
from scipy.spatial.transform import Rotation

from made_answers import make_scene
from small_smpl import make_smplx_arrays, write_smpl
from unish.body import Body, load_body, move_body
from unish.geometry.rigid import invert_rigid
from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from unish.structs import BodyParams, Reconstruction

NUM_FRAMES, FPS, SIZE, FOCAL = 21, 30, (48, 64), 50.0
SMPL_JOINT_OF_H36M = [0, 2, 5, 8, 1, 4, 7, 6, 12, 15, 15, 16, 18, 20, 17, 19, 21]  # nearly


@dataclass(frozen=True)
class Walk:
    """Even motion at 30 frames per second, so that every fifth frame tells all of it. World: z up, far from zero."""

    betas: np.ndarray
    orient: np.ndarray
    pose: np.ndarray
    transl: np.ndarray

    def params(self) -> BodyParams:
        count = len(self.transl)
        return BodyParams(
            betas=torch.from_numpy(self.betas).expand(count, 10),
            global_orient=axis_angle_to_matrix(torch.from_numpy(self.orient)),
            body_pose=axis_angle_to_matrix(torch.from_numpy(self.pose).reshape(count, 23, 3)),
            transl=torch.from_numpy(self.transl),
        )


def make_walk(side: float = 0.0) -> Walk:
    rng = np.random.default_rng(int(10 * side) + 1)
    share = np.arange(NUM_FRAMES)[:, None] / FPS
    pose = share * rng.normal(0, 1.0, 69)
    pose[:, 63:] = 0  # SMPL-X has no such joints
    upright = Rotation.from_euler("x", 90, degrees=True)
    orient = (Rotation.from_rotvec(share * np.array([0.1, 0.2, 0.8])) * upright).as_rotvec()
    transl = np.array([20.0 + side, -30.0, 1.0]) + share * np.array([0.8, 0.4, 0.1])
    return Walk(betas=rng.normal(0, 0.5, 10), orient=orient, pose=pose, transl=transl)


def make_cameras(*, still: bool = False) -> np.ndarray:
    """Looks at the walk from 4 m to the south, level, and walks along."""
    share = np.arange(NUM_FRAMES)[:, None] / FPS
    c2w = np.tile(np.eye(4), (NUM_FRAMES, 1, 1))
    level = Rotation.from_euler("x", -90, degrees=True)
    c2w[:, :3, :3] = (Rotation.from_rotvec(share * np.array([0, 0, -0.2])) * level).as_matrix()
    c2w[:, :3, 3] = np.array([20.5, -34.0, 1.2]) + share * np.array([0.5, 0.2, 0.05])
    return np.tile(c2w[:1], (NUM_FRAMES, 1, 1)) if still else c2w


INTRINSICS = np.array([[FOCAL, 0, SIZE[1] / 2], [0, FOCAL, SIZE[0] / 2], [0, 0, 1]])


@dataclass(frozen=True)
class Tree:
    """A written dataset of one sequence that counts."""

    sequence: str
    walks: tuple[Walk, ...]
    bodies: tuple[Body, ...]
    c2w: np.ndarray
    images: Path


def write_pictures(folder: Path, names: list[str]) -> Path:
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        Image.fromarray(np.full((*SIZE, 3), number, np.uint8)).save(folder / name)
    return folder


def write_pickle(path: Path, content: object, protocol: int = pickle.HIGHEST_PROTOCOL) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=protocol))


def smpl(data: Path, gender: str) -> Body:
    return load_body(data / "body_models" / "smpl" / f"SMPL_{gender.upper()}.npz")


def write_emdb(data: Path) -> Tree:
    """Two sequences: one of EMDB-1 alone, one of both."""
    write_smpl(data, "female", "neutral")
    walk, c2w = make_walk(), make_cameras()
    for subject, sequence, both in (("P0", "00_mvs_a", False), ("P9", "83_outdoor_long", True)):
        images = write_pictures(data / subject / sequence / "images", [f"{i:05d}.jpg" for i in range(NUM_FRAMES)])
        content = {
            "gender": "female", "name": f"{subject}_{sequence}", "emdb1": np.bool_(True), "emdb2": both,
            "n_frames": NUM_FRAMES, "good_frames_mask": np.arange(NUM_FRAMES) != 7,
            "camera": {"intrinsics": INTRINSICS, "extrinsics": np.linalg.inv(c2w), "width": SIZE[1],
                       "height": SIZE[0]},
            "smpl": {"poses_root": walk.orient, "poses_body": walk.pose, "trans": walk.transl, "betas": walk.betas},
            "kp2d": np.zeros((NUM_FRAMES, 24, 2)), "bboxes": {"bboxes": np.zeros((NUM_FRAMES, 4)), "invalid_idxs": []},
        }  # fmt: skip
        write_pickle(data / subject / sequence / f"{subject}_{sequence}_data.pkl", content)
    return Tree("P9_83_outdoor_long", (walk,), (smpl(data, "female"),), c2w, images)


def write_threedpw(data: Path) -> Tree:
    """A man and a woman; the camera of one frame is not valid for her."""
    arrays = write_smpl(data, "male", "female", "neutral")
    np.save(data / "body_models" / "J_regressor_h36m.npy", arrays["J_regressor"][SMPL_JOINT_OF_H36M])
    walks, c2w, name = (make_walk(), make_walk(1.2)), make_cameras(), "downtown_walking_00"
    images = write_pictures(data / "imageFiles" / name, [f"image_{i:05d}.jpg" for i in range(NUM_FRAMES)])
    valid = np.ones((2, NUM_FRAMES), int)
    valid[1, 7] = 0
    content = {
        "sequence": name, "genders": ["m", "f"], "betas": [walk.betas for walk in walks],
        "poses": [np.concatenate([walk.orient, walk.pose], axis=1) for walk in walks],
        "trans": [walk.transl for walk in walks], "campose_valid": list(valid), "cam_poses": np.linalg.inv(c2w),
        "cam_intrinsics": INTRINSICS, "img_frame_ids": np.arange(NUM_FRAMES) * 2,
    }  # fmt: skip
    write_pickle(data / "sequenceFiles" / "test" / f"{name}.pkl", content, protocol=2)
    write_pickle(data / "sequenceFiles" / "train" / "other.pkl", content, protocol=2)
    return Tree(name, walks, (smpl(data, "male"), smpl(data, "female")), c2w, images)


def write_rich(data: Path) -> Tree:
    """A man before two cameras, of which one is not calibrated; from frame 30 on, as sequences begin when they like."""
    arrays = write_smpl(data, "neutral")
    (data / "body_models" / "smplx").mkdir()
    np.savez(data / "body_models" / "smplx" / "SMPLX_MALE.npz", **make_smplx_arrays(arrays))
    num = len(arrays["v_template"])
    transfer = sparse.hstack([sparse.identity(num), sparse.coo_matrix((num, num))]).tocoo()
    write_pickle(data / "body_models" / "smplx2smpl_deftrafo_setup.pkl", {"mtx": transfer}, protocol=4)
    walk, c2w, name = make_walk(), make_cameras(still=True), "Gym_011_cooking1"
    frames = range(30, 30 + NUM_FRAMES)
    images = write_pictures(data / "images" / "test" / name / "cam_02", [f"{i:05d}_02.bmp" for i in frames])
    write_pictures(data / "images" / "test" / name / "cam_07", ["00030_07.bmp"])
    write_pictures(data / "images" / "test" / "Gym_009_021_both" / "cam_02", ["00030_02.bmp"])
    for i, number in enumerate(frames):
        content = {
            "betas": walk.betas, "global_orient": walk.orient[i], "body_pose": walk.pose[i, :63],
            "transl": walk.transl[i], "left_hand_pose": np.ones(12), "jaw_pose": np.zeros(3),
        }  # fmt: skip
        if i != 7:
            body = {key: value[None].astype(np.float32) for key, value in content.items()}
            write_pickle(data / "bodies" / "test" / name / f"{number:05d}" / "011.pkl", body)
    lists = {"CameraMatrix": np.linalg.inv(c2w[0])[:3], "Intrinsics": INTRINSICS, "Distortion": np.zeros(5)}
    text = "".join(
        f'<{key} type_id="opencv-matrix"><dt>d</dt><data>{" ".join(map(repr, np.ravel(value).tolist()))}</data></{key}>'
        for key, value in lists.items()
    )
    path = data / "scan_calibration" / "Gym" / "calibration" / "002.xml"
    path.parent.mkdir(parents=True)
    path.write_text(f'<?xml version="1.0"?>\n<opencv_storage>{text}</opencv_storage>\n')
    return Tree(f"{name}/cam_02", (walk,), (smpl(data, "neutral"),), c2w, images)


WRITERS: dict[str, Callable[[Path], Tree]] = {
    "emdb1": write_emdb, "emdb2": write_emdb, "3dpw": write_threedpw, "rich": write_rich,
}  # fmt: skip


def make_answer(
    tree: Tree, *, every: int = 5, people: tuple[int, ...] = (0,), body: Body | None = None
) -> Reconstruction:
    """The truth of some people as a method would give it: every fifth frame, in the world of the first camera."""
    used = np.arange(0, NUM_FRAMES, every)
    to_first = invert_rigid(torch.from_numpy(tree.c2w[0]))
    c2w = to_first @ torch.from_numpy(tree.c2w[used])
    scene = make_scene(np.ones((len(used), SIZE[0] // 2, SIZE[1] // 2)), c2w=c2w.numpy())
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("betas", "orient", "pose", "transl", "boxes")}
    for person in people:
        params, its_body = tree.walks[person].params(), (body or tree.bodies[person]).to(dtype=torch.float64)
        moved = move_body(params, to_first.expand(NUM_FRAMES, 4, 4), its_body.rest_joints(params.betas)[:, 0])
        joints = its_body.joints(params).numpy()
        w2c = np.linalg.inv(tree.c2w)
        local = joints @ w2c[:, :3, :3].transpose(0, 2, 1) + w2c[:, None, :3, 3]
        pixels = local[..., :2] / local[..., 2:] * FOCAL + np.array([SIZE[1], SIZE[0]]) / 2
        parts["betas"].append(tree.walks[person].betas)
        parts["orient"].append(matrix_to_axis_angle(moved.global_orient).numpy()[used])
        parts["pose"].append(tree.walks[person].pose[used])
        parts["transl"].append(moved.transl.numpy()[used])
        parts["boxes"].append(np.concatenate([pixels.min(1), pixels.max(1)], axis=-1)[used] / 2)
    stacked = {name: np.stack(values).astype(np.float32) for name, values in parts.items()}
    return replace(
        scene,
        timestamps_s=used / FPS,
        frame_indices=used,
        source_size=np.array(SIZE, np.int32),
        person_ids=np.arange(len(people), dtype=np.int32),
        person_valid=np.ones((len(people), len(used)), bool),
        person_filled=np.zeros((len(people), len(used)), bool),
        boxes_xyxy=stacked["boxes"],
        landmarks_px=np.full((len(people), len(used), 33, 3), np.nan, np.float32),
        betas=stacked["betas"],
        global_orient_aa=stacked["orient"],
        body_pose_aa=stacked["pose"],
        transl=stacked["transl"],
        joints=np.full((len(people), len(used), 24, 3), np.nan, np.float32),
    )
