"""tools/measure_viewer.py makes a result of the size that was asked for, and all of it can be shown."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from unish.body import load_body
from unish.viewer.record import build_record


def test_what_is_shown_is_of_the_size_that_was_asked_for(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(repository / "tools"))
    module = __import__("measure_viewer")
    monkeypatch.delitem(sys.modules, "measure_viewer")
    result = module.make_result(6)
    assert result.images.shape == (6, 360, 640, 3) and np.isfinite(result.at_dense_frames().depth[3]).all()
    record = build_record(result, load_body("free"), title="made", max_points=20_000)
    assert record.num_steps == 6 and len(record.people) == 4
    assert 10_000 < sum(len(shot.points.xyz) for shot in record.shots) <= 20_000
