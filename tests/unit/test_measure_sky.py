"""tools/measure_sky.py: which frames are scored, and how they are summed up."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch


@pytest.fixture
def tool(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "tools"))
    module = __import__("measure_sky")
    monkeypatch.delitem(sys.modules, "measure_sky")
    return module


def test_a_small_sky_drags_the_mean_and_hardly_the_pooled_score(tool: ModuleType) -> None:
    """Half of the first picture is sky and found but for a fifth; one per cent of the second, of which nothing is."""
    truth, found, nowhere = (np.zeros((2, 10, 10), bool) for _ in range(3))
    truth[0, :5], found[0, :4] = True, True
    truth[1, 0, 0], found[1, 9, :5] = True, True
    rows = [tool.score(*one) for one in zip(found, truth, nowhere, strict=True)]
    summary = tool.summarise(rows)
    assert summary["iou"] == pytest.approx(0.4)
    assert summary["iou_pooled"] == pytest.approx(40 / (50 + 6))
    assert np.isnan(tool.summarise([])["iou_pooled"])


def test_the_ends_of_a_clip_are_its_first_and_last_frame(tool: ModuleType, tmp_path: Path) -> None:
    """The frames show their number; the truth is that the last alone has sky."""
    images = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 6, 3), np.uint8)
    sky = np.zeros((4, 4, 6), bool)
    sky[3] = True
    np.savez(tmp_path / "clip-000000.npz", images=images, truth_sky=sky)

    def last_alone(shown: torch.Tensor) -> torch.Tensor:
        return shown[..., 0] == 3

    ends = tool.measure_clips(tmp_path, last_alone, ends=True)
    assert list(ends) == ["clip-000000/0", "clip-000000/3"]
    assert ends["clip-000000/3"]["iou"] == 1 and ends["clip-000000/0"]["sky_percent"] == 0
    assert len(tool.measure_clips(tmp_path, last_alone, ends=False)) == 4
