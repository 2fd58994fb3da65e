"""The labelled samples: each is read in its published layout, the truth scores perfectly, and damage is seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labelled_tree import NUM_FRAMES, PAIR, PICTURE, list_answers, make_truth, write_answers, write_tree
from unish.errors import InputError
from unish.lab.evaluation import BENCHMARKS, evaluate
from unish.lab.evaluation.benchmarks.labelled import LABELLED
from unish.lab.evaluation.benchmarks.views import NO_DIRECTION_DEG
from unish.lab.evaluation.results import Results, Row
from unish.structs import Reconstruction

WALK = make_truth()
ANSWERS = list_answers(WALK)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media") / "labelled"
    write_tree(folder, WALK)
    return folder


@pytest.fixture(scope="module")
def truth_scores(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    files = tmp_path_factory.mktemp("files")
    write_answers(files, ANSWERS)
    return evaluate("labelled", data=tree, method=f"files:{files}", out=files.parent / "scores.json")


def test_every_sample_of_the_tree_is_found(tree: Path) -> None:
    assert LABELLED.sequences(tree) == list(ANSWERS)
    assert {part.name for part in LABELLED.parts} == {name.split("/")[0] for name in ANSWERS}


ZERO = {
    "depth_abs_rel": 2e-3, "depth_abs_rel_metric": 2e-3, "camera_turn_error_deg": 0.01,
    "pair_camera_turn_error_deg": 0.01, "direction_error_deg": 0.1, "pair_direction_error_deg": 0.1,
    "fov_error_deg": 1e-4, "camera_ate_m": 1e-5, "points_accuracy_m": 2e-3, "points_completeness_m": 2e-3,
    "pelvis_distance_error_percent": 1e-3, "mpjpe_mm": 1e-2, "pa_mpjpe_mm": 1e-2, "smpl_mpjpe_mm": 1e-2,
    "true_pose_pa_mpjpe_mm": 1e-2, "joint_error_percent": 1e-3, "landmark_error_percent": 60,
    "distance_error_percent": 2e-3, "stature_error_cm": 1e-4, "hand_to_board_cm": 1e-3,
    "hand_distance_error_percent": 1e-3, "camera_extent_m": 1e-9, "camera_path_m": 1e-9, "camera_turn_deg": 1e-9,
}  # fmt: skip
ONE = (
    "depth_delta", "move_length_ratio", "pair_move_length_ratio", "world_size_ratio", "people_found_share", "mask_iou",
    "mask_inside_share", "distance_order_share", "stature_order_share",
)  # fmt: skip
EXPECTED_OTHERWISE = {
    # The camera of slambook2 is fixed for pictures of 640 × 480, and four men are to be found where two are.
    "slambook2/fov_error_deg", "slambook2_k/fov_error_deg", "kinect_outdoor/people_found_share",
    "kinect_outdoor_k/people_found_share",
}  # fmt: skip


@pytest.mark.long
def test_the_truth_scores_perfectly(truth_scores: Results) -> None:
    assert not [row for row in truth_scores.sequences.values() if "error" in row]
    seen = set()
    for name, value in truth_scores.summary.items():
        column = name.split("/")[-1]
        seen.add(column)
        if name in EXPECTED_OTHERWISE:
            continue
        if column in ZERO:
            assert abs(value) < ZERO[column], name
        if column in ONE:
            assert value == pytest.approx(1.0, abs=1e-3), name
    assert {*ZERO, *ONE} <= seen
    assert truth_scores.summary["kinect_outdoor/people_found_share"] == 0.5
    assert "not_measured" not in truth_scores.summary
    for better, baseline in (
        ("7scenes/depth_abs_rel", "7scenes/row_prior_abs_rel"),
        ("kitti/depth_abs_rel", "kitti/constant_abs_rel"),
        ("slambook2/camera_turn_error_deg", "slambook2/identity_turn_error_deg"),
        ("pi3_room/camera_ate_m", "pi3_room/static_ate_m"),
        ("scannet_pairs/pair_camera_turn_error_deg", "scannet_pairs/pair_identity_turn_error_deg"),
        ("nyu_cafe_k/pair_camera_turn_error_deg", "nyu_cafe_k/pair_identity_turn_error_deg"),
        ("h36m/pa_mpjpe_mm", "h36m/rest_pose_pa_mpjpe_mm"),
    ):
        assert truth_scores.summary[better] < 0.1 * truth_scores.summary[baseline], better
    assert truth_scores.summary["coco/people_annotated"] == 2 and truth_scores.summary["coco/people_extra"] == 0


@pytest.mark.long
def test_every_row_carries_its_fold(truth_scores: Results) -> None:
    folds = {part.name: part.fold for part in LABELLED.parts}
    for name, row in truth_scores.sequences.items():
        assert row["fold"] == folds[name.split("/")[0]], name
    # One office, one kitchen and one dome moment must not be on both sides.
    assert folds["tum_fr1_rpy"] == folds["tum_fr1_xyz10"] == "A" and folds["7scenes"] == folds["7scenes_far_k"] == "A"
    assert folds["panoptic_4500"] == "A" and folds["panoptic_9348"] == "B"
    assert {name for name in folds if name.endswith("_k")} <= {f"{name}_k" for name in folds}


def score(tree: Path, tmp_path: Path, name: str, record: Reconstruction) -> Row:
    write_answers(tmp_path / "files", {name: record})
    results = evaluate(
        "labelled",
        data=tree,
        method=f"files:{tmp_path / 'files'}",
        out=tmp_path / "scores.json",
        only=[name],
        quiet=True,
    )
    return results.sequences[name]


def turn_camera(record: Reconstruction) -> Reconstruction:
    """Every camera looks the same way as the first and stands where it stood."""
    return replace(record, c2w=np.tile(np.eye(4, dtype=np.float32), (record.num_frames, 1, 1)))


def move_people(record: Reconstruction) -> Reconstruction:
    """A tenth further away in every frame's camera, in the same directions."""
    away = 1.1 * (record.joints - record.c2w[:, None, :3, 3]) + record.c2w[:, None, :3, 3]
    hips = record.joints[:, :, 1:3].mean(2, keepdims=True)
    moved = record.joints - hips + away[:, :, 1:3].mean(2, keepdims=True)
    return replace(record, joints=moved.astype(np.float32))


def squeeze_rows(record: Reconstruction) -> Reconstruction:
    """Processed at three quarters of the height and the same width, as sides are rounded, but by more."""
    height = int(record.image_size[0]) * 3 // 4
    rows = np.float32([1, height / record.image_size[0]])
    return replace(
        record,
        image_size=np.int32([height, record.image_size[1]]),
        intrinsics=record.intrinsics * np.float32([1, rows[1], 1])[:, None],
        boxes_xyxy=record.boxes_xyxy * np.tile(rows, 2),
        landmarks_px=record.landmarks_px * np.float32([*rows, 1]),
        **{name: getattr(record, name)[:, :height] for name in ("images", "depth", "point_conf", "person_masks")},
    )


def lift_arms(record: Reconstruction) -> Reconstruction:
    pose = record.body_pose_aa.copy()
    pose[..., 45:51] += 0.5
    joints = record.joints.copy()
    joints[:, :, 18:22, 1] -= 0.2
    return replace(record, body_pose_aa=pose, joints=joints)


def drift(record: Reconstruction) -> Reconstruction:
    """A camera that goes 3 cm to the right in every frame and turns a degree about its vertical."""
    angle = np.radians(np.arange(record.num_frames))
    c2w = np.tile(np.eye(4), (record.num_frames, 1, 1))
    c2w[:, 0, 0], c2w[:, 0, 2], c2w[:, 2, 0], c2w[:, 2, 2] = np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)
    c2w[:, 0, 3] = 0.03 * np.arange(record.num_frames)
    return replace(record, c2w=c2w.astype(np.float32))


def mirror_path(record: Reconstruction) -> Reconstruction:
    """Turns as they are, every camera on the other side of the first."""
    c2w = record.c2w.copy()
    c2w[:, :3, 3] = 2 * c2w[:1, :3, 3] - c2w[:, :3, 3]
    return replace(record, c2w=c2w)


def zoom(record: Reconstruction) -> Reconstruction:
    """A focal length a fifth longer."""
    longer = record.intrinsics.copy()
    longer[:, [0, 1], [0, 1]] *= 1.2
    return replace(record, intrinsics=longer)


ZOOMED_DEG = 2 * np.degrees(np.arctan(28 / 50) - np.arctan(28 / 60))
"""The long side of the walk's pictures is 56 pixels, their focal length 50."""


def push_bodies(record: Reconstruction) -> Reconstruction:
    """Bodies a twentieth farther away along the rays of their roots."""
    return replace(record, transl=record.transl + 0.05 * record.joints[:, :, 0])


def grow(record: Reconstruction) -> Reconstruction:
    return replace(record, betas=record.betas + np.float32([0.5, *[0] * 9]))


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "damage", "moved", "kept"),
    [
        ("tsdf_box/clip-000", lambda r: replace(r, depth=2 * r.depth),
         {"depth_abs_rel_metric": 1.0}, {"depth_abs_rel": 0.0, "camera_turn_error_deg": 0.0, "fov_error_deg": 0.0}),
        ("tsdf_box/clip-000", zoom, {"fov_error_deg": ZOOMED_DEG}, {"depth_abs_rel": 0.0}),
        ("dgp_scene_01/clip-000", lambda r: replace(r, depth=r.depth**1.5), {"depth_abs_rel": None}, {}),
        ("felix_home/picture-000", lambda r: replace(r, depth=0.5 * r.depth),
         {"depth_abs_rel_metric": 0.5}, {"depth_abs_rel": 0.0, "depth_delta": 1.0}),
        ("strecha_fountain_p11_k/clip-000", mirror_path, {"direction_error_deg": 180.0},
         {"camera_turn_error_deg": 0.0, "move_length_ratio": 1.0}),
        ("fox_colmap/pair-000-004", turn_camera,
         {"pair_camera_turn_error_deg": None, "pair_direction_error_deg": NO_DIRECTION_DEG}, {}),
        ("repeated_k/fox_colmap", drift,
         {"camera_extent_m": 0.15, "camera_path_m": 0.15, "camera_turn_deg": 5.0}, {}),
        ("pose2sim_k/cam01", drift, {"camera_extent_m": 0.33, "camera_turn_deg": 11.0}, {}),
        ("caliscope/cam_0", move_people, {"hand_to_board_cm": None, "hand_distance_error_percent": None},
         {"camera_extent_m": 0.0}),
        ("kitti_pedestrian/000", lambda r: replace(r, joints=1.1 * r.joints), {"distance_error_percent": 10.0}, {}),
        ("kitti_pedestrian/000", grow, {"stature_error_cm": None}, {"distance_error_percent": 0.0}),
        ("kinect_outdoor/000", push_bodies, {"distance_error_percent": 5.19, "distance_bias_percent": 5.19},
         {}),  # the surface is nearer than the root, by which the body was moved
        ("panoptic_4500/person0-cam00_03", move_people, {"pelvis_distance_error_percent": 10.0}, {"mpjpe_mm": 0.0}),
        ("panoptic_9348/person2-cam00_03", lambda r: replace(r, joints=r.joints + np.float32([1, 0, 0])),
         {}, {"people_found_share": 0}),
        ("heights_4_6/p4_2.jpg", grow, {"stature_error_cm": None}, {"distance_error_percent": 0.0}),
        ("heights_0_2/p2_0.jpg", lambda r: replace(r, joints=0.8 * r.joints), {"distance_error_percent": 20.0}, {}),
        ("7scenes/frame-000000", lambda r: replace(r, depth=2 * r.depth),
         {"depth_abs_rel_metric": 1.0}, {"depth_abs_rel": 0.0, "camera_turn_error_deg": 0.0}),
        ("7scenes_far/frame-000000", turn_camera, {"camera_turn_error_deg": None}, {"depth_abs_rel": 0.0}),
        ("pi3_room/room", turn_camera, {"camera_ate_m": None, "points_accuracy_m": None}, {"depth_abs_rel": 0.0}),
        (f"scannet_pairs/{PAIR}", turn_camera,
         {"pair_camera_turn_error_deg": None, "pair_direction_error_deg": NO_DIRECTION_DEG,
          "pair_move_length_ratio": 0.0}, {}),
        ("kitti/0000000100", lambda r: replace(r, depth=r.depth**2), {"depth_abs_rel": None}, {}),
        (f"h36m/{PICTURE}", move_people, {"pelvis_distance_error_percent": 10.0}, {"mpjpe_mm": 0.0}),
        (f"h36m/{PICTURE}", lift_arms, {"mpjpe_mm": None, "pa_mpjpe_mm": None, "smpl_mpjpe_mm": None},
         {"pelvis_distance_error_percent": 0.0, "true_pose_pa_mpjpe_mm": 0.0}),
        ("coco/7.jpg", lift_arms, {"joint_error_percent": None}, {"people_found": 2}),
        ("coco/7.jpg", lambda r: replace(r, boxes_xyxy=r.boxes_xyxy + np.float32([[[0]], [[100]]])),
         {"people_found": 1, "people_extra": 1}, {}),
        ("coco/7.jpg", squeeze_rows, {}, {"joint_error_percent": 0.0, "people_found": 2}),
        ("davis_masks/walk", lambda r: replace(r, person_masks=np.roll(r.person_masks, 5, 1)),
         {"mask_iou": 0.6, "mask_inside_share": 0.75}, {}),
    ],
)  # fmt: skip
def test_damage_moves_what_is_there_to_see_it(
    tree: Path,
    tmp_path: Path,
    truth_scores: Results,
    name: str,
    damage: Callable[[Reconstruction], Reconstruction],
    moved: dict[str, float | None],
    kept: dict[str, float],
) -> None:
    row = score(tree, tmp_path, name, damage(ANSWERS[name]))
    for column, value in moved.items():
        if value is None:
            assert row[column] > max(20 * truth_scores.sequences[name][column], 1e-3), column
        else:
            assert row[column] == pytest.approx(value, rel=0.02, abs=1e-3), column
    for column, value in kept.items():
        assert row[column] == pytest.approx(value, abs=0.02), column


def test_a_missing_sample_is_named(tree: Path, tmp_path: Path) -> None:
    data = tmp_path / "labelled"
    data.mkdir()
    (data / "kitti_demo").symlink_to(tree / "kitti_demo")
    (data / "davis_masks").symlink_to(tree / "davis_masks")  # its video is not beside this folder
    names = ["kitti/0000000100", "kitti_k/0000000100"]
    assert LABELLED.sequences(data) == names
    write_answers(tmp_path / "files", {name: ANSWERS[name] for name in names})
    results = evaluate("labelled", data=data, method=f"files:{tmp_path / 'files'}", out=tmp_path / "scores.json")
    assert "kitti" not in results.summary["not_measured"] and "davis_masks" in results.summary["not_measured"]
    with pytest.raises(InputError, match="7scenes_redkitchen"):
        evaluate("labelled", data=tmp_path, method=f"files:{tmp_path}", out=tmp_path / "scores.json")


@pytest.mark.long
def test_each_sample_has_a_table_of_its_own(truth_scores: Results) -> None:
    tables = truth_scores.table().split("\n\n")
    assert len(tables) == len(LABELLED.parts)
    assert tables[0].splitlines()[0].startswith("| 7scenes | depth_abs_rel |")
    assert len(tables[0].splitlines()) == 2 + 3 + 1 and "| frame-000032 |" in tables[0] and "| **all** |" in tables[0]


def test_baselines_run_on_the_scenes(tree: Path, tmp_path: Path) -> None:
    only = ["7scenes/frame-000000", "pi3_room/room", f"scannet_pairs_k/{PAIR}", "kitti/0000000100"]
    for method in ("baseline:row-prior", "baseline:static-camera"):
        results = evaluate(
            "labelled", data=tree, method=method, out=tmp_path / f"{method[9:]}.json", only=only, quiet=True
        )
        assert not [row for row in results.sequences.values() if "error" in row]
        row = results.sequences["7scenes/frame-000000"]
        assert row["camera_turn_error_deg"] == pytest.approx(row["identity_turn_error_deg"])
        if method == "baseline:row-prior":
            assert row["depth_abs_rel"] == pytest.approx(row["row_prior_abs_rel"], abs=0.02)
        else:
            assert row["depth_abs_rel"] == 1.0  # no depth at all


def test_the_samples_beside_the_project(media_dir: Path) -> None:
    counts: dict[str, int] = {}
    for name in BENCHMARKS["labelled"].sequences(media_dir / "labelled"):
        counts[name.split("/")[0]] = counts.get(name.split("/")[0], 0) + 1
    both = {
        "7scenes": 18, "7scenes_far": 6, "slambook2": 2, "pi3_room": 1, "scannet_pairs": 6, "kitti": 1,
        "tum_fr1_xyz10": 8, "tum_fr1_rpy": 18, "tsdf_box": 16, "strecha_fountain_p11": 14, "felix_home": 10,
        "kitti_000008": 1, "fox_colmap": 15, "nyu_cafe": 19, "nvblox_lounge": 6, "strecha_herz_jesus_p8": 14,
        "nyu_basement": 3, "dgp_scene_01": 3, "repeated": 6, "pose2sim": 4, "caliscope": 4, "kitti_pedestrian": 1,
        "kinect_outdoor": 1,
    }  # fmt: skip
    once = {
        "panoptic_4500": 5, "panoptic_9348": 3, "heights_0_2": 6, "heights_4_6": 6, "h36m": 4, "coco": 4,
        "crowdpose": 2, "davis_masks": 1,
    }  # fmt: skip
    assert counts == both | {f"{name}_k": count for name, count in both.items()} | once


@pytest.mark.long
def test_finished_files_of_our_own_score_like_the_run_that_made_them(media_dir: Path, tmp_path: Path) -> None:
    """One picture of each kind: what was reconstructed, written and read again gives the same rows."""
    from unish.lab.evaluation.methods import make_predictor
    from unish.lab.evaluation.predictor import Answer, Request

    data = media_dir / "labelled"
    only = ["7scenes/frame-000000", "kitti/0000000100", "h36m/S1_Directions_1.54138969_000001", "coco/000000040083.jpg"]
    small = make_predictor("small")

    class Recorder:
        fingerprint = small.fingerprint

        def predict(self, request: Request) -> Answer:
            answer = small.predict(request)
            write_answers(tmp_path / "files", {request.name: answer.reconstruction})
            return answer

    first = evaluate("labelled", data=data, method=Recorder(), out=tmp_path / "a.json", only=only, quiet=True)
    again = evaluate(
        "labelled", data=data, method=f"files:{tmp_path / 'files'}", out=tmp_path / "b.json", only=only, quiet=True
    )
    written = json.loads((tmp_path / "b.json").read_text())
    assert list(written["sequences"]) == only
    for name in only:
        assert "error" not in first.sequences[name]
        for column, value in first.sequences[name].items():
            if isinstance(value, str):
                assert again.sequences[name][column] == value, (name, column)
            elif column != "seconds":
                assert again.sequences[name][column] == pytest.approx(value, rel=1e-4, nan_ok=True), (name, column)
    # Loose enough for another checkpoint; a swapped axis, unit or joint order is far outside.
    assert first.sequences["h36m/S1_Directions_1.54138969_000001"]["mpjpe_mm"] < 250
    assert first.sequences["coco/000000040083.jpg"]["people_found"] == 2
    assert first.sequences["kitti/0000000100"]["depth_abs_rel"] < 0.4


def test_the_walk_has_as_many_frames_as_the_far_clips_need() -> None:
    assert WALK.num_frames == NUM_FRAMES >= 10
