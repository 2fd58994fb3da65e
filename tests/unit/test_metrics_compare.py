"""Whole files against the truth, and benchmarks with a method that knows the answers: perfect unless it is damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from labelled_places import answer_kitchen, write_kitchen
from unish.body import load_body
from unish.errors import InputError
from unish.geometry.rotation import axis_angle_to_matrix
from unish.lab.evaluation import Answer, Request, compare_with_truth, evaluate
from unish.lab.evaluation.benchmarks.rgbd import CLIP_FRAMES
from unish.lab.evaluation.row_prior import load_row_prior, measure_row_prior, row_prior_depth
from unish.reconstruction.report import JOINT_PAIRS
from unish.structs import BodyParams, Clip, Reconstruction

NUM_FRAMES, HEIGHT, WIDTH = 6, 24, 32
BODY = load_body("free")


def make_truth() -> Reconstruction:
    """Two people who walk before a moving camera, with random depth behind them."""
    rng = np.random.default_rng(0)
    shape = (2, NUM_FRAMES)
    orient = rng.normal(size=(*shape, 3)).astype(np.float32) * 0.2
    pose = rng.normal(size=(*shape, 69)).astype(np.float32) * 0.2
    transl = np.stack([np.linspace([i - 0.5, 0, 4 + i], [i, 0.1, 4 + i], NUM_FRAMES) for i in range(2)])
    c2w = np.tile(np.eye(4, dtype=np.float32), (NUM_FRAMES, 1, 1))
    angles = torch.linspace(0, 0.3, NUM_FRAMES)[:, None] * torch.tensor([0.0, 1.0, 0.0])
    c2w[:, :3, :3] = axis_angle_to_matrix(angles).numpy()
    c2w[:, 0, 3] = np.linspace(0, 0.5, NUM_FRAMES)
    joints = BODY.joints(
        BodyParams(
            betas=torch.zeros(*shape, 10),
            global_orient=axis_angle_to_matrix(torch.from_numpy(orient)),
            body_pose=axis_angle_to_matrix(torch.from_numpy(pose).reshape(*shape, 23, 3)),
            transl=torch.from_numpy(transl).float(),
        )
    ).numpy()
    boxes = np.zeros((*shape, 4), np.float32)
    boxes[0], boxes[1] = [2, 2, 10, 20], [18, 2, 26, 20]
    intrinsics = np.array([[30, 0, WIDTH / 2], [0, 30, HEIGHT / 2], [0, 0, 1]], np.float32)
    return Reconstruction(
        segment=np.zeros(NUM_FRAMES, np.int32),
        timestamps_s=np.arange(NUM_FRAMES) / 6.0,
        frame_indices=np.arange(NUM_FRAMES) * 5,
        source_size=np.array([HEIGHT, WIDTH], np.int32),
        image_size=np.array([HEIGHT, WIDTH], np.int32),
        images=rng.integers(0, 255, (NUM_FRAMES, HEIGHT, WIDTH, 3)).astype(np.uint8),
        intrinsics=np.tile(intrinsics, (NUM_FRAMES, 1, 1)),
        c2w=c2w,
        depth=(rng.random((NUM_FRAMES, HEIGHT, WIDTH)) * 3 + 1).astype(np.float32),
        point_conf=np.ones((NUM_FRAMES, HEIGHT, WIDTH), np.float16),
        person_masks=np.full((NUM_FRAMES, HEIGHT, WIDTH), -1, np.int16),
        person_ids=np.arange(2, dtype=np.int32),
        person_valid=np.ones(shape, bool),
        person_filled=np.zeros(shape, bool),
        boxes_xyxy=boxes,
        landmarks_px=np.full((*shape, 33, 3), np.nan, np.float32),
        betas=np.zeros((2, 10), np.float32),
        global_orient_aa=orient,
        body_pose_aa=pose,
        transl=transl.astype(np.float32),
        joints=joints,
        gravity=np.array([[0, 1, 0]], np.float32),
        floor=np.full((1, 4), np.nan, np.float32),
        faces=BODY.faces.numpy().astype(np.int32),
        body_model="free",
        model="truth",
        version="0",
    )


TRUTH = make_truth()
PERFECT_ZERO = (
    "depth_abs_rel", "depth_abs_rel_metric", "depth_log_rmse", "depth_scale_error", "focal_error",
    "camera_turn_error_deg", "camera_rpe_rotation_deg", "camera_rpe_translation_m", "camera_ate_m",
    "camera_rigid_error_m", "world_size_error", "points_accuracy_m", "points_completeness_m", "mpjpe_mm", "pa_mpjpe_mm",
    "pve_mm", "w_mpjpe_mm", "wa_mpjpe_mm", "person_distance_error", "root_trajectory_percent", "accel_m_s2",
    "jitter_error",
)  # fmt: skip
PERFECT_ONE = ("depth_delta", "depth_delta_metric", "world_size_ratio", "points_normal_consistency", "people_matched")
WITHOUT_MASKS_FLOOR_OR_STANDING_FEET = (
    "human_normal_error_deg", "human_normal_fine_percent", "human_local_depth_mm", "foot_sliding_mm",
    "foot_sliding_error_mm", "foot_floor_gap_cm", "foot_floor_gap_error_cm", "human_scene_distance_cm",
    "human_scene_distance_error_cm",
)  # fmt: skip


class Oracle:
    """A method that answers with what it is given to answer."""

    def __init__(self, answer: Callable[[Request], Reconstruction], report: dict[str, Any] | None = None) -> None:
        self.answer, self.report, self.calls = answer, report or {}, 0

    @property
    def fingerprint(self) -> str:
        return "oracle"

    def predict(self, request: Request) -> Answer:
        self.calls += 1
        return Answer(reconstruction=self.answer(request), report=self.report, body=BODY)


def test_the_truth_scores_perfectly() -> None:
    scores = compare_with_truth(TRUTH, TRUTH, BODY)
    for name in PERFECT_ZERO:
        assert abs(scores[name]) < 2e-2, name
    for name in PERFECT_ONE:
        assert scores[name] == pytest.approx(1.0, abs=1e-5), name
    for name in WITHOUT_MASKS_FLOOR_OR_STANDING_FEET:
        assert np.isnan(scores[name]), name
    own = {"camera_turn_identity_deg", "jitter"}
    assert set(scores) == {*PERFECT_ZERO, *PERFECT_ONE, *WITHOUT_MASKS_FLOOR_OR_STANDING_FEET, *own}
    assert scores["camera_turn_identity_deg"] == pytest.approx(np.degrees(0.3 / (NUM_FRAMES - 1)), rel=1e-3)


def test_people_may_come_in_another_order_and_frames_may_be_missing() -> None:
    swapped = replace(
        TRUTH,
        **{
            name: getattr(TRUTH, name)[::-1].copy()
            for name in ("person_ids", "boxes_xyxy", "betas", "global_orient_aa", "body_pose_aa", "transl", "joints")
        },
        frame_indices=TRUTH.frame_indices + 5,
    )
    scores = compare_with_truth(swapped, TRUTH, BODY)
    assert scores["mpjpe_mm"] > 1  # frames are shifted by one
    aligned = replace(swapped, frame_indices=TRUTH.frame_indices)
    assert compare_with_truth(aligned, TRUTH, BODY)["pve_mm"] < 1e-2


@pytest.mark.long
def test_damage_moves_the_metric_that_is_there_to_see_it() -> None:
    def score(**changes: Any) -> dict[str, float]:
        return compare_with_truth(replace(TRUTH, **changes), TRUTH, BODY)

    twice = score(depth=2 * TRUTH.depth)
    assert twice["depth_abs_rel"] < 1e-5 < 0.99 < twice["depth_scale_error"]
    uneven = TRUTH.timestamps_s + np.array([0, 0, 0.05, 0, 0, 0])
    unknown_rate = compare_with_truth(TRUTH, replace(TRUTH, timestamps_s=uneven), BODY)
    assert np.isnan(unknown_rate["jitter"]) and unknown_rate["mpjpe_mm"] < 1e-2
    c2w = TRUTH.c2w.copy()
    c2w[:, :3, 3] *= 3
    assert score(c2w=c2w)["world_size_ratio"] == pytest.approx(3.0)
    assert score(c2w=c2w)["camera_turn_error_deg"] < 1e-3
    further = score(joints=TRUTH.joints + np.float32([0, 0, 0.5]), transl=TRUTH.transl + np.float32([0, 0, 0.5]))
    assert further["person_distance_error"] > 0.05 > further["mpjpe_mm"]
    assert score(intrinsics=TRUTH.intrinsics * np.float32([[1.1, 1, 1], [1, 1.1, 1], [1, 1, 1]]))["focal_error"] > 0.09


def test_nobody_found_and_nothing_in_common() -> None:
    empty = {
        name: getattr(TRUTH, name)[:0]
        for name in (
            "person_ids", "person_valid", "person_filled", "boxes_xyxy", "landmarks_px", "betas", "global_orient_aa",
            "body_pose_aa", "transl", "joints",
        )
    }  # fmt: skip
    scores = compare_with_truth(replace(TRUTH, **empty), TRUTH, BODY)
    assert scores["people_matched"] == 0.0 and np.isnan(scores["mpjpe_mm"]) and scores["depth_abs_rel"] < 1e-6
    with pytest.raises(InputError, match="frames"):
        compare_with_truth(replace(TRUTH, frame_indices=TRUTH.frame_indices + 1000), TRUTH, BODY)


@pytest.mark.long
def test_synthetic_benchmark_resumes_and_records_failures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(3):
        TRUTH.save(tmp_path / f"clip-{index:06d}.npz")
    out = tmp_path / "scores.json"

    def answer(request: Request) -> Reconstruction:
        assert isinstance(request.source, Clip) and request.people_finder is not None
        if request.name.endswith("1") and oracle.calls < 3:
            raise InputError("does not like this one")
        return TRUTH

    oracle = Oracle(answer)
    first = evaluate("synthetic", data=tmp_path, method=oracle, out=out, max_sequences=2)
    assert first.sequences["clip-000001"] == {"error": "does not like this one"} and first.summary["failed"] == 1
    again = evaluate("synthetic", data=tmp_path, method=oracle, out=out)
    assert oracle.calls == 4  # the one that failed and the new one; the finished one was kept
    assert "failed" not in again.summary and again.summary["mpjpe_mm"] < 1e-2
    written = json.loads(out.read_text())
    assert written["format"] == "unish-evaluation/1" and len(written["sequences"]) == 3
    assert "| clip-000002 |" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_finished_files_can_be_scored(tmp_path: Path) -> None:
    data, files = tmp_path / "data", tmp_path / "files"
    data.mkdir(), (files / "clip-000000").mkdir(parents=True)
    for index in range(3):
        TRUTH.save(data / f"clip-{index:06d}.npz")
    TRUTH.save(files / "clip-000000" / "reconstruction.npz")
    TRUTH.save(files / "clip-000001.npz")
    results = evaluate("synthetic", data=data, method=f"files:{files}", out=tmp_path / "scores.json")
    assert results.sequences["clip-000000"]["pa_mpjpe_mm"] < 1e-2
    assert results.sequences["clip-000001"]["pa_mpjpe_mm"] < 1e-2
    assert "no such file" in results.sequences["clip-000002"]["error"]


@pytest.mark.parametrize(
    ("benchmark", "method", "message"),
    [("nonsense", "files:.", "synthetic"), ("synthetic", "files:nowhere", "nowhere"), ("7scenes", "files:.", "frame-")],
)
def test_bad_requests_are_refused_in_one_line(tmp_path: Path, benchmark: str, method: str, message: str) -> None:
    if benchmark != "7scenes":
        TRUTH.save(tmp_path / "clip-000000.npz")
    with pytest.raises(InputError, match=message) as error:
        evaluate(benchmark, data=tmp_path, method=method, out=tmp_path / "scores.json")
    assert "\n" not in str(error.value)


def test_seven_scenes_scores_the_oracle_and_its_baselines(tmp_path: Path) -> None:
    """One clip of a fifth frame too many; the answer is of twice the size, and what is invalid stays out of it."""
    c2w = TRUTH.c2w[: CLIP_FRAMES + 1].astype(np.float64)
    write_kitchen(tmp_path / "kitchen", c2w)
    first = tmp_path / "kitchen/frame-000000.depth.png"
    millimetres = np.array(Image.open(first))
    millimetres[0, 0] = 65_535
    Image.fromarray(millimetres).save(first)

    def answer(request: Request) -> Reconstruction:
        assert isinstance(request.source, Clip) and request.source.frame_indices.tolist() == [0, 8, 16, 24]
        found = answer_kitchen(c2w, list(range(CLIP_FRAMES)))
        return replace(found, depth=2 * found.depth)

    results = evaluate("7scenes", data=tmp_path / "kitchen", method=Oracle(answer), out=tmp_path / "scores.json")
    assert list(results.sequences) == ["frame-000000"]
    row = results.sequences["frame-000000"]
    assert row["depth_abs_rel"] < 2e-3 and row["depth_delta"] == 1.0  # half a pixel of a floor: .0008 measured
    assert row["depth_abs_rel_metric"] == pytest.approx(1, abs=2e-3)
    assert row["row_prior_abs_rel"] > 0.1
    assert row["camera_turn_error_deg"] < 0.01 < row["identity_turn_error_deg"]
    assert row["fov_error_deg"] < 1e-4


def test_pose2sim_measures_distance_and_pose(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / "videos" / name).touch()
    w2c = np.linalg.inv(TRUTH.c2w)
    camera = TRUTH.joints[0] @ w2c[:, :3, :3].transpose(0, 2, 1) + w2c[:, None, :3, 3]
    landmarks = np.full((26, 33, 3), np.nan)
    for joint, landmark in JOINT_PAIRS:
        landmarks[TRUTH.frame_indices, landmark] = camera[:, joint]
    eye = np.tile(np.eye(3), (2, 1, 1))
    np.savez(
        tmp_path / "triangulated_truth.npz",
        landmarks_world=landmarks,
        w2c_R=eye,
        w2c_t=np.zeros((2, 3)),
        intrinsics=eye,
    )

    def answer(request: Request) -> Reconstruction:
        assert request.settings["fps"] == 12 and len(request.settings["intrinsics"]) == 4
        if request.name == "a":
            return TRUTH
        return replace(
            TRUTH, c2w=np.tile(np.eye(4, dtype=np.float32), (NUM_FRAMES, 1, 1)), joints=1.1 * camera[None].repeat(2, 0)
        )

    results = evaluate("pose2sim", data=tmp_path, method=Oracle(answer), out=tmp_path / "scores.json")
    assert results.sequences["a"]["mpjpe_mm"] < 1e-2
    assert results.sequences["b"]["pelvis_distance_error_percent"] == pytest.approx(10, abs=0.01)
    assert results.sequences["b"]["pelvis_distance_bias_percent"] == pytest.approx(10, abs=0.01)
    assert results.sequences["b"]["pa_mpjpe_mm"] < 1e-2


def test_clips_take_their_numbers_from_the_report(tmp_path: Path) -> None:
    (tmp_path / "walk.mp4").touch()
    (tmp_path / "notes.txt").touch()
    report = {
        "seconds": {"read video": 1.25, "network": 2.25},
        "quality": {"reprojection_percent": 3.0, "body_to_points_cm": 4.0, "body_to_points_before_cm": float("nan")},
        "people": [{"height_m": 1.7}, {"height_m": 1.82}],
        "warnings": ["dark"],
    }
    results = evaluate("clips", data=tmp_path, method=Oracle(lambda _: TRUTH, report), out=tmp_path / "scores.json")
    row = results.sequences["walk.mp4"]
    assert (row["people"], row["seconds"], row["heights_m"]) == (2, 3.5, [1.7, 1.82])
    assert row["camera_extent_m"] == pytest.approx(0.5)
    assert results.summary["reprojection_percent"] == 3.0 and results.summary["failed"] == 0


def test_the_shipped_row_prior_is_a_depth_profile() -> None:
    rows = load_row_prior()
    assert rows.shape == (60,) and rows.min() > 0.3 and rows.max() < 70
    depth = row_prior_depth(rows, (48, 64))
    assert depth.shape == (1, 48, 64) and (depth[..., 0] == depth[..., -1]).all()


def test_row_prior_is_the_mean_of_each_band(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        measure_row_prior(tmp_path)
    depth = np.zeros((NUM_FRAMES, 120, 8), np.float32) + np.linspace(1, 6, 120, dtype=np.float32)[None, :, None]
    depth[0, :, 0] = 0
    depth[1, :, 0] = 200
    sized = np.array([120, 8], np.int32)
    shape = (NUM_FRAMES, 120, 8)
    replace(
        TRUTH, depth=depth, image_size=sized, images=np.zeros((*shape, 3), np.uint8),
        point_conf=np.ones(shape, np.float16), person_masks=np.zeros(shape, np.int16),
    ).save(tmp_path / "clip-000000.npz")  # fmt: skip
    np.testing.assert_allclose(measure_row_prior(tmp_path), depth[0, :, 1].reshape(60, 2).mean(1), rtol=1e-5)
