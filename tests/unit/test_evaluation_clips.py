"""Clips without truth: what is measured of motion when nobody knows the truth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labelled_tree import write_answers
from unish.body import load_body
from unish.lab.evaluation import evaluate
from unish.lab.evaluation.benchmarks.clips import CLIPS, MIN_PERSON_FRAMES, SUFFIXES
from unish.lab.evaluation.clip_facts import PEOPLE_RANGES, STATIC_CAMERAS, TRAINING_CLIPS, load_people_ranges
from unish.lab.evaluation.methods.baselines import render_floor_plane
from unish.lab.evaluation.results import Row
from unish.structs import Reconstruction
from walking_record import SIZE, make_walk

STEP_M, FPS = 0.06, 6
FLOOR = np.float32([[0, -1, 0, 2]])
"""Two metres below the first camera."""


def slide(walk: Reconstruction, *, lifted: int | None = None) -> Reconstruction:
    """Both people keep their pose of the first frame and slide sideways; in one frame they may be half a metre up."""
    moved = np.zeros((walk.num_frames, 3), np.float32)
    moved[:, 0] = STEP_M * np.arange(walk.num_frames)
    if lifted is not None:
        moved[lifted, 1] -= 0.5
    return replace(
        walk,
        floor=FLOOR,
        transl=walk.transl[:, :1] + moved,
        body_pose_aa=np.repeat(walk.body_pose_aa[:, :1], walk.num_frames, 1),
        joints=walk.joints[:, :1] + moved[:, None],
    )


QUALITY = {"reprojection_percent": 1.5, "body_to_points_before_cm": 9.0, "body_to_points_cm": 3.0}
"""Of a report: where it is there, nothing has to be measured again."""


def score(tmp_path: Path, record: Reconstruction, name: str = "clip.mp4", report: dict[str, Any] | None = None) -> Row:
    """With a report that has nothing but ``QUALITY``, unless another one is given."""
    (tmp_path / name).touch()
    stem = Path(name).stem
    write_answers(tmp_path / "files", {f"{stem}/reconstruction": record})
    report = {"quality": QUALITY} if report is None else report
    (tmp_path / f"files/{stem}/report.json").write_text(json.dumps(report))
    out = tmp_path / "scores.json"
    results = evaluate("clips", data=tmp_path, method=f"files:{tmp_path / 'files'}", out=out, only=[name], quiet=True)
    assert "error" not in results.sequences[name], results.sequences[name]
    return results.sequences[name]


def test_people_who_slide_slide_at_their_speed(tmp_path: Path) -> None:
    row = score(tmp_path, slide(make_walk()), report={})
    assert row["foot_sliding_cm_s"] == pytest.approx(100 * STEP_M * FPS, rel=1e-3)
    assert row["jitter"] == pytest.approx(0, abs=1e-3)
    assert row["people"] == 2 and len(row["heights_m"]) == 2
    assert row["body_to_points_before_cm"] is None, "only a report knows what was before the correction"


def test_a_jump_is_no_contact_and_moves_the_other_numbers(tmp_path: Path) -> None:
    still, jump = (score(tmp_path, slide(make_walk(), lifted=lifted)) for lifted in (None, 3))
    assert jump["foot_sliding_cm_s"] == pytest.approx(still["foot_sliding_cm_s"], rel=1e-3)
    assert jump["jitter"] > still["jitter"] + 1


@pytest.mark.long
def test_the_height_over_the_floor_is_exact(tmp_path: Path) -> None:
    base = slide(make_walk(num_frames=MIN_PERSON_FRAMES))
    rows = [score(tmp_path, replace(base, floor=np.float32([[0, -1, 0, height]]))) for height in (-5.0, 5.0, 5.5)]
    assert rows[0]["foot_to_floor_cm"] == -rows[0]["foot_over_floor_cm"] > 100  # everybody is below this floor
    assert rows[1]["foot_to_floor_cm"] == rows[1]["foot_over_floor_cm"] > 100
    assert rows[2]["foot_to_floor_cm"] - rows[1]["foot_to_floor_cm"] == pytest.approx(50, abs=0.1)
    # The floor's height has no say in what counts as contact.
    assert rows[0]["foot_sliding_cm_s"] == pytest.approx(rows[1]["foot_sliding_cm_s"])


def test_without_a_floor_or_people_there_is_nothing_to_say(tmp_path: Path) -> None:
    walk = slide(make_walk(num_frames=MIN_PERSON_FRAMES))
    row = score(tmp_path, replace(walk, floor=np.full((1, 4), np.nan, np.float32)))
    assert np.isnan(row["foot_sliding_cm_s"]) and np.isnan(row["foot_to_floor_cm"]) and row["jitter"] < 1e-3
    row = score(tmp_path, make_walk(num_people=0))
    assert row["people"] == 0 and np.isnan(row["jitter"]) and row["heights_m"] == []
    assert np.isnan(row["ray_jitter_cm"]) and np.isnan(row["max_speed_m_s"]) and row["camera_extent_m"] > 0.1


def test_who_is_hardly_seen_has_no_say_in_the_world(tmp_path: Path) -> None:
    walk = slide(make_walk(num_frames=MIN_PERSON_FRAMES + 1))
    valid = walk.person_valid.copy()
    valid[1, MIN_PERSON_FRAMES - 1 :] = False  # one frame too few
    joints = walk.joints.copy()
    joints[1, 3] += np.float32([0, 0, 50])
    jump = replace(walk, person_valid=valid, joints=joints)
    assert score(tmp_path, jump)["max_speed_m_s"] == pytest.approx(STEP_M * FPS, rel=1e-3)
    valid[1, MIN_PERSON_FRAMES - 1] = True
    assert score(tmp_path, replace(jump, person_valid=valid))["max_speed_m_s"] == pytest.approx(50 * FPS, rel=0.01)


def on_floor(walk: Reconstruction) -> Reconstruction:
    """People who stand as in the first frame on the floor that the depth shows, 1.5 m below a camera that stands.

    They are 4.5 and 7 m off. The picture is four times as large, so that there are pixels under their feet.
    """
    posed = replace(walk, body_pose_aa=np.repeat(walk.body_pose_aa[:, :1], walk.num_frames, 1))
    posed = replace(posed, joints=walk.joints[:, :1] + (walk.transl - walk.transl[:, :1])[:, :, None])
    moved = -posed.joints[:, :, 0]
    moved[..., 1] = 1.5 - posed.vertices(load_body("free"))[..., 1].max(-1)
    moved[..., 2] += np.float32([[4.5], [7]])
    size, frames = (4 * SIZE[0], 4 * SIZE[1]), walk.num_frames
    k = walk.intrinsics * np.float32([[4], [4], [1]])
    floor = render_floor_plane(torch.from_numpy(k[0]), size).numpy().astype(np.float32)
    joints = posed.joints + moved[:, :, None]
    pixels = joints @ k[0].T
    pixels = pixels[..., :2] / pixels[..., 2:]
    return replace(
        posed,
        c2w=np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1)),
        gravity=np.float32([[0, 1, 0]]),
        floor=np.float32([[0, -1, 0, 1.5]]),
        transl=posed.transl + moved,
        joints=joints,
        intrinsics=k,
        image_size=np.int32(size),
        images=np.repeat(np.random.default_rng(3).integers(0, 255, (1, *size, 3)).astype(np.uint8), frames, 0),
        depth=np.repeat(floor[None], frames, 0),
        point_conf=np.ones((frames, *size), np.float16),
        person_masks=np.full((frames, *size), -1, np.int16),
        boxes_xyxy=np.concatenate([pixels.min(2), pixels.max(2)], -1),
    )


@pytest.mark.long
def test_the_ground_under_the_feet_is_compared_by_distance(tmp_path: Path) -> None:
    walk = make_walk(num_frames=MIN_PERSON_FRAMES)
    stands = on_floor(walk)
    right = score(tmp_path, stands)
    far = score(tmp_path, replace(stands, depth=1.3 * stands.depth))
    for band in ("4_to_6_m", "6_to_10_m"):
        name = f"floor_over_foot_ratio_{band}"
        assert right[name] == pytest.approx(1, abs=0.12)
        assert far[name] == pytest.approx(1.3 * right[name], rel=1e-4)
    assert np.isnan(right["floor_over_foot_ratio_below_4_m"]) and np.isnan(right["floor_over_foot_ratio_above_10_m"])
    assert far["floor_over_foot_error_percent"] > right["floor_over_foot_error_percent"] + 15


@pytest.mark.long
def test_noise_along_the_ray_and_a_scene_that_disagrees_are_seen(tmp_path: Path) -> None:
    walk = make_walk(num_frames=MIN_PERSON_FRAMES)
    stands = on_floor(walk)
    right = score(tmp_path, stands)
    assert right["ray_jitter_cm"] < 1e-3 and right["static_disagreement_percent"] < 1e-3
    assert right["camera_extent_m"] == 0 and right["max_speed_m_s"] < 1e-3 and "static_camera_extent_m" not in right
    away = np.where(np.arange(walk.num_frames) % 2, 1.05, 1.0).astype(np.float32)
    shaky = score(tmp_path, replace(stands, joints=stands.joints * away[None, :, None, None]))
    assert shaky["ray_jitter_cm"] > 5 and shaky["static_disagreement_percent"] == right["static_disagreement_percent"]
    assert shaky["max_speed_m_s"] == pytest.approx(0.05 * np.linalg.norm(stands.joints[1, 0, 0]) * FPS, rel=0.01)
    breathing = score(tmp_path, replace(stands, depth=stands.depth * away[:, None, None]))
    assert breathing["static_disagreement_percent"] > 2 and breathing["ray_jitter_cm"] == right["ray_jitter_cm"]


def test_facts_about_clips_are_used(tmp_path: Path) -> None:
    walk = make_walk(num_frames=MIN_PERSON_FRAMES)
    assert load_people_ranges()["ntu_demo_skeleton.mp4"] == (2, 2)
    two, one = (score(tmp_path, record, "ntu_demo_skeleton.mp4") for record in (walk, make_walk(num_people=1)))
    assert two["people_in_range"] == 1 and one["people_in_range"] == 0
    assert two["static_camera_extent_m"] == two["camera_extent_m"] > 0.1
    assert "people_in_range" not in score(tmp_path, walk, "unknown.mp4")


def test_the_table_of_people_and_the_lists_of_clips_fit_the_clips(media_dir: Path) -> None:
    clips = {path.name for path in (media_dir / "video").iterdir()}
    assert set(load_people_ranges()) == clips and clips >= STATIC_CAMERAS | TRAINING_CLIPS


def test_the_table_of_people_is_whole() -> None:
    ranges = load_people_ranges()
    assert ranges and all(0 <= low <= high for low, high in ranges.values())
    assert all(Path(name).suffix in SUFFIXES for name in ranges) and set(ranges) >= STATIC_CAMERAS | TRAINING_CLIPS
    assert set(json.loads(PEOPLE_RANGES.read_text())) == {"note", "ranges"}


def test_verdicts_are_counted_and_training_clips_stand_apart(tmp_path: Path) -> None:
    walk = make_walk(num_frames=MIN_PERSON_FRAMES)
    rows = {}
    for name, people in (("a.mp4", ["good", "bad"]), ("sam2_bedroom.mp4", ["good", "good"])):
        report = {
            "quality": QUALITY,
            "people": [{"height_m": 1.7, "verdict": verdict} for verdict in people],
            "shots": [{"verdict": "doubtful"}],
        }
        rows[name] = score(tmp_path, walk, name, report)
    assert rows["a.mp4"]["people_good"] == rows["a.mp4"]["people_bad"] == 1 and rows["a.mp4"]["shots_doubtful"] == 1
    summary = CLIPS.summarise(rows | {"b.mp4": {"people": 1, "ray_jitter_cm": 7.0}, "c.mp4": {"error": "broken"}})
    assert summary["people_good_share"] == 0.5 and summary["training_people_good_share"] == 1
    assert summary["shots_doubtful_share"] == 1 and summary["failed"] == 1
    assert summary["people"] == 2 and summary["training_people"] == 1
    assert summary["ray_jitter_cm"] == pytest.approx((rows["a.mp4"]["ray_jitter_cm"] + 7) / 2)
    assert summary["training_ray_jitter_cm"] == rows["sam2_bedroom.mp4"]["ray_jitter_cm"]
    assert "people_good_share" not in CLIPS.summarise({"b.mp4": {"people": 1}})
