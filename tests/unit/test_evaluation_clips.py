"""Clips without truth: what is measured of motion when nobody knows the truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labelled_tree import write_answers
from unish.evaluation import evaluate
from unish.evaluation.results import Row
from unish.structs import Reconstruction
from walking_record import make_walk

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


def score(tmp_path: Path, record: Reconstruction) -> Row:
    (tmp_path / "clip.mp4").touch()
    write_answers(tmp_path / "files", {"clip": record})
    out = tmp_path / "scores.json"
    return evaluate("clips", data=tmp_path, method=f"files:{tmp_path / 'files'}", out=out, quiet=True).sequences[
        "clip.mp4"
    ]


def test_people_who_slide_slide_at_their_speed(tmp_path: Path) -> None:
    row = score(tmp_path, slide(make_walk()))
    assert row["foot_sliding_cm_s"] == pytest.approx(100 * STEP_M * FPS, rel=1e-3)
    assert row["jitter"] == pytest.approx(0, abs=1e-3)
    assert row["people"] == 2 and len(row["heights_m"]) == 2 and row["body_to_points_before_cm"] is None


def test_a_jump_is_no_contact_and_moves_the_other_numbers(tmp_path: Path) -> None:
    still, jump = (score(tmp_path, slide(make_walk(), lifted=lifted)) for lifted in (None, 3))
    assert jump["foot_sliding_cm_s"] == pytest.approx(still["foot_sliding_cm_s"], rel=1e-3)
    assert jump["jitter"] > still["jitter"] + 1


def test_the_height_over_the_floor_is_exact(tmp_path: Path) -> None:
    base = slide(make_walk())
    rows = [score(tmp_path, replace(base, floor=np.float32([[0, -1, 0, height]]))) for height in (-5.0, 5.0, 5.5)]
    assert rows[0]["penetration_cm"] == rows[0]["foot_to_floor_cm"] > 100  # everybody is below this floor
    assert rows[1]["penetration_cm"] == 0
    assert rows[2]["foot_to_floor_cm"] - rows[1]["foot_to_floor_cm"] == pytest.approx(50, abs=0.1)
    # The floor's height has no say in what counts as contact.
    assert rows[0]["foot_sliding_cm_s"] == pytest.approx(rows[1]["foot_sliding_cm_s"])


def test_without_a_floor_or_people_there_is_nothing_to_say(tmp_path: Path) -> None:
    row = score(tmp_path, replace(slide(make_walk()), floor=np.full((1, 4), np.nan, np.float32)))
    assert np.isnan(row["foot_sliding_cm_s"]) and np.isnan(row["penetration_cm"]) and row["jitter"] < 1e-3
    row = score(tmp_path, make_walk(num_people=0))
    assert row["people"] == 0 and np.isnan(row["jitter"]) and row["heights_m"] == []
