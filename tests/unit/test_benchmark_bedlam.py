"""The BEDLAM benchmark on a tiny tree in its published layout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from made_answers import Oracle, make_scene
from small_smpl import write_smpl
from unish.body import load_body
from unish.lab.datasets.bedlam import list_bedlam_sequences
from unish.lab.evaluation.benchmarks import BENCHMARKS
from unish.structs import Clip, Reconstruction
from written_bedlam import FRAMES, PLAIN, write_labels, write_scene

BEDLAM, NAME = BENCHMARKS["bedlam"], f"{PLAIN}/seq_000000"


def make_answer(data: Path, *, with_people: bool) -> Reconstruction:
    """What the reader says, as a method would put it; the reader has tests of its own."""
    body = data / "body_models" / "smpl" / "SMPL_NEUTRAL.npz" if with_people else None
    (sequence,) = list_bedlam_sequences(data / PLAIN, body=body)
    arrays = sequence.read(np.arange(sequence.num_frames))
    scene = replace(make_scene(arrays["depth"], c2w=arrays["c2w"]), intrinsics=arrays["intrinsics"])
    if body is None:
        return scene
    people = slice(0, 2)
    count = len(arrays["images"])
    k, w2c = arrays["intrinsics"], np.linalg.inv(arrays["c2w"])
    local = arrays["joints"][people] @ w2c[:, :3, :3].transpose(0, 2, 1) + w2c[:, None, :3, 3]
    pixels = local @ k.transpose(0, 2, 1)
    pixels = pixels[..., :2] / pixels[..., 2:]
    return replace(
        scene,
        person_ids=np.arange(2, dtype=np.int32),
        person_filled=np.zeros((2, count), bool),
        landmarks_px=np.full((2, count, 33, 3), np.nan, np.float32),
        boxes_xyxy=np.concatenate([pixels.min(-2), pixels.max(-2)], axis=-1).astype(np.float32),
        body_model=body.name,
        **{
            key: arrays[key][people]
            for key in ("person_valid", "betas", "global_orient_aa", "body_pose_aa", "transl", "joints")
        },
    )


@pytest.mark.slow
def test_the_truth_scores_perfectly_and_damage_is_seen(tmp_path: Path) -> None:
    write_smpl(tmp_path, "neutral")
    write_scene(tmp_path, PLAIN)
    write_labels(tmp_path, PLAIN)
    assert BEDLAM.sequences(tmp_path) == [NAME]
    body = load_body(tmp_path / "body_models" / "smpl" / "SMPL_NEUTRAL.npz")
    answer = make_answer(tmp_path, with_people=True)
    oracle = Oracle(lambda request: answer, body=body)
    row = BEDLAM.score(tmp_path, NAME, oracle)
    clip = oracle.requests[0].source
    assert isinstance(clip, Clip) and clip.num_frames == len(FRAMES)
    np.testing.assert_allclose(clip.timestamps_s.diff(), 1 / 6, atol=1e-6)
    assert oracle.requests[0].settings["body"].endswith("SMPL_NEUTRAL.npz")
    assert row["people_matched"] == 1
    for column in ("depth_abs_rel", "depth_abs_rel_metric", "camera_ate_m", "mpjpe_mm", "pve_mm", "wa_mpjpe_mm"):
        assert row[column] < 0.02, column
    longer = np.diag([2.0, 2, 1]).astype(np.float32)
    damaged = replace(answer, depth=1.5 * answer.depth, transl=answer.transl + 1, joints=answer.joints + 1,
                      intrinsics=answer.intrinsics @ longer)  # fmt: skip
    row = BEDLAM.score(tmp_path, NAME, Oracle(lambda request: damaged, body=body))
    assert row["depth_abs_rel_metric"] == pytest.approx(0.5, rel=1e-4) and row["depth_abs_rel"] < 1e-4
    assert row["mpjpe_mm"] < 0.1 < 0.2 < row["person_distance_error"]
    assert row["focal_error"] == pytest.approx(1)


def test_without_a_body_model_depth_and_cameras_are_scored(tmp_path: Path) -> None:
    write_scene(tmp_path, PLAIN)
    write_labels(tmp_path, PLAIN)
    oracle = Oracle(lambda request: make_answer(tmp_path, with_people=False))
    row = BEDLAM.score(tmp_path, NAME, oracle)
    assert "body" not in oracle.requests[0].settings
    assert row["depth_abs_rel"] < 1e-5 and row["camera_ate_m"] < 1e-4 and np.isnan(row["mpjpe_mm"])


def test_large_pictures_are_compared_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scene(tmp_path, PLAIN)
    answer = make_answer(tmp_path, with_people=False)
    monkeypatch.setattr("unish.lab.evaluation.benchmarks.bedlam.LONG_SIDE", 32)
    oracle = Oracle(lambda request: answer)
    row = BEDLAM.score(tmp_path, NAME, oracle)
    assert isinstance(oracle.requests[0].source, Clip) and oracle.requests[0].source.size == (36, 64)
    assert row["focal_error"] < 1e-6 and row["camera_ate_m"] < 1e-4
    assert row["depth_abs_rel"] < 0.05  # of a neighbouring pixel


def test_an_empty_folder_holds_no_sequence(tmp_path: Path) -> None:
    assert BEDLAM.sequences(tmp_path) == [] and "be_seq.csv" in BEDLAM.needs
