"""tools/measure_held_back.py: two evaluations are compared clip by clip, and old checkouts can read the clips."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture
def tool(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "tools"))
    import measure_held_back

    return measure_held_back


def test_clips_that_both_measured_count(tool: ModuleType, tmp_path: Path) -> None:
    old = {
        "a": {"depth_abs_rel": 0.4},
        "b": {"depth_abs_rel": 0.2},
        "c": {"error": "none"},
        "d": {"depth_abs_rel": 9.0},
    }
    new = {"a": {"depth_abs_rel": 0.1}, "b": {"depth_abs_rel": 0.3}, "c": {"depth_abs_rel": 5.0}}
    for name, rows in (("old", old), ("new", new)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"sequences": rows}), encoding="utf-8")
    rows = tool.compare(tmp_path / "old.json", tmp_path / "new.json")
    assert rows[0] == ["depth AbsRel", "0.3000", "0.2000", "0.67", "1 of 2"]
    assert rows[1][1:] == ["-", "-", "-", "0 of 0"]


def test_a_copy_in_format_1_has_the_ground_of_its_only_shot(tool: ModuleType) -> None:
    gravity = np.array([[0.0, 1.0, 0.0]])
    copy = tool.as_format_1({"format": np.array("2"), "gravity": gravity, "depth": np.ones(3), "dense": np.array("")})
    assert str(copy["format"]) == "unish-reconstruction/1" and "dense" not in copy
    assert np.array_equal(copy["gravity"], gravity[0]) and np.array_equal(copy["depth"], np.ones(3))
