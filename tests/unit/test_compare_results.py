"""tools/compare_results.py: by how much two results differ, and how fast limbs are at most."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from small_record import make_figure, make_record
from unish.structs import Reconstruction


@pytest.fixture
def tool(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "tools"))
    import compare_results

    return compare_results


@pytest.fixture
def record() -> Reconstruction:
    """Two people whose joints do not move."""
    made = make_record(make_figure())
    joints = np.where(made.person_valid[..., None, None], np.ones_like(made.joints), np.float32(np.nan))
    return replace(made, joints=joints)


def test_what_was_moved_and_turned_is_told(tool: ModuleType, record: Reconstruction) -> None:
    same = tool.compare(record, record)
    assert same["same_people"] and same["frames"] == record.num_frames
    assert same["camera_turn_deg"] == same["joints_turn_deg"] == 0 == same["joints_over_depth"]["largest"]
    unit = same["median_depth_m"]
    c2w, turn = record.c2w.copy(), np.radians(0.5)
    c2w[2, 0, 3] += 0.01 * unit
    c2w[3, :2, :2] = c2w[3, :2, :2] @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    joints = record.joints.copy()
    joints[1, 1] += [0.0, 0.02 * unit, 0.0]
    found = tool.compare(record, replace(record, c2w=c2w, joints=joints))
    assert found["camera_place_over_depth"] == pytest.approx(0.01, rel=1e-4)
    assert found["camera_turn_deg"] == pytest.approx(0.5, rel=1e-4)
    assert found["joints_over_depth"] == pytest.approx({"median": 0.0, "largest": 0.02}, abs=1e-6)


def test_people_who_differ_are_told_and_frames_that_one_lacks_left_out(
    tool: ModuleType, record: Reconstruction
) -> None:
    valid = record.person_valid.copy()
    valid[1, -1] = ~valid[1, -1]
    assert not tool.compare(record, replace(record, person_valid=valid))["same_people"]
    later = replace(record, frame_indices=record.frame_indices + (record.frame_indices[1] - record.frame_indices[0]))
    assert tool.compare(record, later)["frames"] == record.num_frames - 1
    assert not tool.compare(record, replace(record, person_ids=record.person_ids + 1))["same_people"]


def test_limbs_are_as_fast_as_they_move_against_the_pelvis(tool: ModuleType, record: Reconstruction) -> None:
    joints = record.joints.copy()
    joints[1, 3:, 8, 2] += 0.3
    joints += np.arange(record.num_frames)[:, None, None] * np.array([0.5, 0.0, 0.0])
    step_s = float(record.timestamps_s[1] - record.timestamps_s[0])
    found = tool.peak_speeds(replace(record, joints=joints))
    first, second = (str(number) for number in record.person_ids)
    assert found == {first: 0.0, second: pytest.approx(0.3 / step_s, rel=1e-4)}
