"""Every labelled sample as a tiny tree in its published layout, all of one walk, and finished files that know it."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy import ndarray
from PIL import Image

from labelled_people import HEIGHTS, MEASURED, answer_heights, to_camera, write_people
from labelled_places import (
    REPEATED,
    answer_kitchen,
    hold_still,
    list_place_answers,
    write_kitchen,
    write_places,
)
from unish.body import JOINT_NAMES, LANDMARK_NAMES
from unish.lab.evaluation.benchmarks.labelled import LABELLED
from unish.lab.evaluation.benchmarks.labelled.human36m import _SHARED
from unish.lab.evaluation.limits import _OVER_PEOPLE_AND_TIME, _OVER_TIME
from unish.reconstruction.report import JOINT_PAIRS
from unish.structs import Reconstruction
from walking_record import SIZE, make_walk

NUM_FRAMES = 12
PICTURE = "S1_Walk.54138969_000001"
KEYPOINTS = (
    "nose",
    "left_shoulder",
    "right_shoulder",
    "left_wrist",
    "left_hip",
    "right_hip",
    "left_ankle",
    "right_ankle",
)
PAIR = "a_frame-000000-a_frame-000001"


def make_truth() -> Reconstruction:
    """The walk, with landmarks at the joints' places and the first person's box as their mask."""
    walk = make_walk(num_frames=NUM_FRAMES)
    pixels = np.stack([project(walk, frame) for frame in range(NUM_FRAMES)], axis=1)
    marks = np.full((walk.num_people, NUM_FRAMES, 33, 3), np.nan, np.float32)
    for joint, landmark in JOINT_PAIRS:
        marks[:, :, landmark, :2], marks[:, :, landmark, 2] = pixels[:, :, joint], 1.0
    marks[:, :, 0] = [*pixels[0, 0, 15], 1.0]
    masks = np.full((NUM_FRAMES, *SIZE), -1, np.int16)
    masks[:, 10:30, 5:20] = 0
    return replace(walk, landmarks_px=marks, person_masks=masks, boxes_xyxy=np.round(walk.boxes_xyxy))


def take(record: Reconstruction, frames: list[int]) -> Reconstruction:
    """Some frames."""
    return replace(
        record,
        **{name: getattr(record, name)[frames] for name in _OVER_TIME},
        **{name: getattr(record, name)[:, frames] for name in _OVER_PEOPLE_AND_TIME},
    )


def project(record: Reconstruction, frame: int) -> ndarray:
    """(P, 24, 2) joints in the picture of a frame."""
    seen = to_camera(record, frame) @ record.intrinsics[frame].T.astype(np.float64)
    return seen[..., :2] / seen[..., 2:]


def write_tree(labelled: Path, walk: Reconstruction) -> None:
    """All samples under ``labelled``, and the video of the masks beside it."""
    for name in ("slambook2_rgbd/color", "slambook2_rgbd/depth", "pi3_room/rgb", "scannet_pairs",
                 "kitti_demo/rgb", "kitti_demo/depth", "mmpose_h36m/S1", "mmpose_coco_crowd/coco",
                 "mmpose_coco_crowd/crowdpose", "pose2sim_single/videos", "davis_masks/walk_mask"):  # fmt: skip
        (labelled / name).mkdir(parents=True)
    millimetres = (walk.depth * 1000).round().astype(np.uint16)
    book = labelled / "slambook2_rgbd"
    write_kitchen(labelled / "7scenes_redkitchen", walk.c2w)
    write_places(labelled / "places", walk)
    write_people(labelled / "people", walk)
    for frame in range(NUM_FRAMES):
        picture = Image.fromarray(walk.images[frame])
        if frame < 4:
            picture.save(labelled / f"pi3_room/rgb/{frame}.png")
            picture.save(book / f"color/{frame + 1}.png")
            Image.fromarray(millimetres[frame]).save(book / f"depth/{frame + 1}.pgm", format="PPM")
        if frame < 2:
            picture.save(labelled / f"scannet_pairs/a_frame-{frame:06d}.jpg")
        mask = (walk.person_masks[frame] == 0).astype(np.uint8) * 255
        Image.fromarray(mask).save(labelled / f"davis_masks/walk_mask/{5 * frame:05d}.png")
    _write_masks_of_all_frames(labelled, walk)
    _write_poses(labelled, walk)
    Image.fromarray(walk.images[0]).save(labelled / "kitti_demo/rgb/0000000100.png")
    Image.fromarray((walk.depth[0] * 256).round().astype(np.uint16)).save(labelled / "kitti_demo/depth/0000000100.png")
    k = walk.intrinsics[0].astype(float)
    listed = [{"rgb": "data/kitti_demo/rgb/0000000100.png", "cam_in": [k[0, 0], k[1, 1], k[0, 2], k[1, 2]]}]
    (labelled / "kitti_demo/test_annotations.json").write_text(json.dumps({"files": listed}))
    _write_person(labelled / "mmpose_h36m", walk)
    _write_keypoints(labelled / "mmpose_coco_crowd", walk)
    _write_views(labelled / "pose2sim_single", walk)


def _write_masks_of_all_frames(labelled: Path, walk: Reconstruction) -> None:
    """The clip uses every fifth frame of its video; the others have masks too."""
    (labelled.parent / "video").mkdir()
    (labelled.parent / "video/davis_walk.mp4").touch()
    for frame in range(5 * NUM_FRAMES):
        path = labelled / f"davis_masks/walk_mask/{frame:05d}.png"
        if not path.exists():
            Image.fromarray(np.zeros(SIZE, np.uint8)).save(path)


def _write_poses(labelled: Path, walk: Reconstruction) -> None:
    from scipy.spatial.transform import Rotation

    rows = [[*walk.c2w[i, :3, 3], *Rotation.from_matrix(walk.c2w[i, :3, :3]).as_quat()] for i in range(4)]
    np.savetxt(labelled / "slambook2_rgbd/pose.txt", rows)
    np.savez(
        labelled / "pi3_room/condition.npz", depths=walk.depth[:4], poses=walk.c2w[:4], intrinsics=walk.intrinsics[:4]
    )
    first_to_second = np.linalg.inv(walk.c2w[1].astype(np.float64)) @ walk.c2w[0]
    k = walk.intrinsics[0].reshape(-1)
    numbers = [0, 0, *k, *k, *first_to_second.reshape(-1)]
    lines = [" ".join(["a_frame-000000.jpg", "a_frame-000001.jpg", *(f"{x:.8f}" for x in numbers)])]
    lines.append(lines[0].replace(" 0.00000000 0.00000000 ", " 1.00000000 0.00000000 ", 1))  # stored turned: left out
    lines.append(lines[0].replace("a_frame-000001", "a_frame-000009"))  # its picture is missing
    (labelled / "scannet_pairs/pairs_with_gt.txt").write_text("\n".join(lines) + "\n")


def _write_person(folder: Path, walk: Reconstruction) -> None:
    Image.fromarray(walk.images[0]).save(folder / f"S1/{PICTURE}.jpg")
    joints, pixels = np.zeros((1, 24, 4)), np.zeros((1, 24, 3))
    for joint, row in _SHARED:
        joints[0, row] = [*to_camera(walk, 0)[0, joint], 1]
        pixels[0, row] = [*project(walk, 0)[0, joint], 1]
    pose = np.concatenate([walk.global_orient_aa[0, 0], walk.body_pose_aa[0, 0]])[None].astype(np.float64)
    np.savez(folder / "test_h36m.npz", imgname=[f"{PICTURE}.jpg"], S=joints, part=pixels, pose=pose)
    k = walk.intrinsics[0].astype(np.float64)
    camera = {"f": k.diagonal()[:2, None], "c": k[:2, 2:], "id": "54138969"}
    (folder / "cameras.pkl").write_bytes(pickle.dumps({("S1", "54138969"): camera}, protocol=2))


def _write_keypoints(folder: Path, walk: Reconstruction) -> None:
    """Two people, and a third of whom only the head is annotated."""
    pixels = project(walk, 0)
    people = []
    for person in range(2):
        left, top, right, bottom = walk.boxes_xyxy[person, 0].tolist()
        marks = {name: pixels[person, JOINT_NAMES.index(name)] for name in KEYPOINTS if name in JOINT_NAMES}
        marks["nose"] = walk.landmarks_px[person, 0, LANDMARK_NAMES.index("nose"), :2]
        keypoints = [value for name in KEYPOINTS for value in (*map(float, marks[name]), 2)]
        people.append({"image_id": 7, "bbox": [left, top, right - left, bottom - top], "keypoints": keypoints})
    few = [1.0, 1.0, 2] + [0.0, 0.0, 0] * (len(KEYPOINTS) - 1)
    people.append({"image_id": 7, "bbox": [0.0, 0.0, 5.0, 5.0], "keypoints": few})
    content = {
        "images": [{"id": 7, "file_name": "7.jpg"}, {"id": 8, "file_name": "missing.jpg"}],
        "annotations": people,
        "categories": [{"keypoints": list(KEYPOINTS)}],
    }
    for part, name in (("coco", "test_coco.json"), ("crowdpose", "test_crowdpose.json")):
        Image.fromarray(walk.images[0]).save(folder / part / "7.jpg")
        (folder / part / name).write_text(json.dumps(content))


def _write_views(folder: Path, walk: Reconstruction) -> None:
    (folder / "videos/cam01.mp4").touch()
    landmarks = np.full((5 * NUM_FRAMES, 33, 3), np.nan)
    for frame in range(NUM_FRAMES):
        for joint, landmark in JOINT_PAIRS:
            landmarks[5 * frame, landmark] = to_camera(walk, frame)[0, joint]
    np.savez(
        folder / "triangulated_truth.npz",
        landmarks_world=landmarks,
        w2c_R=np.eye(3)[None],
        w2c_t=np.zeros((1, 3)),
        intrinsics=walk.intrinsics[:1],
    )


def list_answers(walk: Reconstruction) -> dict[str, Reconstruction]:
    """The right answer to every sequence of the tree, in the order of the parts."""
    near = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    kitchen = {f"frame-{8 * frames[0]:06d}": answer_kitchen(walk.c2w, frames) for frames in near}
    # The same frames are one record, so that its file is written once.
    some = lru_cache(lambda frames: take(walk, list(frames)))
    still, first, six = hold_still(walk), some((0,)), hold_still(take(walk, list(range(6))))
    people = {
        f"heights_{a}_{b}/p{person}_{frame}.jpg": answer_heights(walk, person, frame)
        for a, b in ((0, 2), (4, 6))
        for person, frame in MEASURED
        if person in (a, b) and person in HEIGHTS
    }
    answers = {
        **_in_both("7scenes", kitchen),
        **_in_both("7scenes_far", {"frame-000000": answer_kitchen(walk.c2w, [0, 3, 6, 9])}),
        **_in_both("pi3_room", {"room": some((0, 1, 2, 3))}),
        **_in_both("slambook2", {"000001": some((0, 1, 2, 3))}),
        **_in_both("scannet_pairs", {PAIR: some((0, 1))}),
        **_in_both("kitti", {"0000000100": first}),
        **list_place_answers(lambda frames: some(tuple(frames))),
        **_in_both("repeated", dict.fromkeys(REPEATED, six)),
        **_in_both("pose2sim", {"cam01": still}),
        **_in_both("caliscope", {"cam_0": still}),
        **_in_both("kitti_pedestrian", {"000": first}),
        "panoptic_4500/person0-cam00_03": first,
        "panoptic_9348/person2-cam00_03": first,
        **people,
        **_in_both("kinect_outdoor", {"000": first}),
        f"h36m/{PICTURE}": first,
        "coco/7.jpg": first,
        "crowdpose/7.jpg": first,
        "davis_masks/walk": walk,
    }
    order = [part.name for part in LABELLED.parts]
    return dict(sorted(answers.items(), key=lambda item: order.index(item[0].split("/")[0])))


def _in_both(part: str, answers: dict[str, Reconstruction]) -> dict[str, Reconstruction]:
    """Without and with the known camera."""
    return {f"{part}{camera}/{name}": record for camera in ("", "_k") for name, record in answers.items()}


def write_answers(folder: Path, answers: dict[str, Reconstruction]) -> None:
    """Finished files, as ``files:DIR`` looks for them. A record that answers several sequences is written once."""
    written: dict[int, Path] = {}
    for name, record in answers.items():
        path = folder / f"{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        if id(record) in written:
            path.unlink(missing_ok=True)
            path.hardlink_to(written[id(record)])
        else:
            record.save(path)
            written[id(record)] = path
