"""tools/measure_memory.py runs the pipeline of today on a made film, with a network and people models of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from unish.structs import Reconstruction


@pytest.mark.slow
def test_a_short_film_passes(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(repository / "tools"))
    module = __import__("measure_memory")
    monkeypatch.delitem(sys.modules, "measure_memory")
    options = ["--frames", "20", "--size", "64x48", "--window", "8", "--overlap", "2", "--long-side", "64", "--out"]
    monkeypatch.setattr(sys, "argv", ["measure_memory.py", *options, str(tmp_path)])
    module.main()
    said = json.loads(capsys.readouterr().out)
    assert said["frames"] == 20 and len(said["fifths_mb"]) == 5 and {"network", "save"} <= set(said["stages"])
    found = Reconstruction.load(tmp_path / "result")
    assert found.num_frames == 20 and found.num_people == 1 and found.person_valid.all()
