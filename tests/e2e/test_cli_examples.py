"""The numbered examples run one after the other, as a reader would run them, and stay short."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from small_record import make_record
from unish.body import load_body
from unish.lab.evaluation import Results
from unish.network import UniSH
from unish.network.config import tiny_config
from walking_record import make_walk
from written_videos import numbered_pictures, write_video


def run_example(path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(path), *arguments])
    runpy.run_path(str(path), run_name="__main__")


def test_examples_are_short(repository: Path) -> None:
    paths = sorted((repository / "examples").glob("*.py"))
    assert len(paths) >= 3
    for number, path in enumerate(paths, start=1):
        assert path.name.startswith(f"{number:02d}_") and len(path.read_text().splitlines()) < 60


def test_reconstruct(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    UniSH(tiny_config()).save_pretrained(tmp_path / "tiny")
    video = write_video(tmp_path / "in.mp4", numbered_pictures(8))
    options = ["--model", str(tmp_path / "tiny"), "--people", "0", "--max-frames", "4"]
    example = repository / "examples" / "01_reconstruct.py"
    run_example(example, [str(video), str(tmp_path / "out"), *options], monkeypatch)
    assert "4 frames, 0 people" in capsys.readouterr().out and (tmp_path / "out" / "reconstruction.npz").is_file()


def test_read_and_export(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "reconstruction.npz"
    make_record(load_body("free")).save(file)
    run_example(repository / "examples" / "02_people_and_points.py", [str(file)], monkeypatch)
    assert "person 4 at" in capsys.readouterr().out
    run_example(repository / "examples" / "03_export.py", [str(file), str(tmp_path / "out")], monkeypatch)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"preview.mp4", "scene.glb", "scene.ply"}


def test_score_your_method(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, outputs = tmp_path / "data", tmp_path / "mine"
    data.mkdir(), outputs.mkdir()
    for seed in range(2):
        make_walk(seed=seed, num_frames=3).save(data / f"clip-{seed:06d}.npz")
    truth = make_walk(seed=0, num_frames=3)
    np.savez(
        outputs / "clip-000000.npz",
        valid=truth.person_valid,
        pose=np.concatenate([truth.global_orient_aa, truth.body_pose_aa], -1),
        transl=truth.transl,
        c2w=truth.c2w,
        intrinsics=truth.intrinsics,
        depth=1.1 * truth.depth,
    )
    out = tmp_path / "mine.json"
    run_example(repository / "examples" / "04_score_your_method.py", [str(data), str(outputs), str(out)], monkeypatch)
    rows = Results.load(out).sequences
    assert rows["clip-000000"]["mpjpe_mm"] < 0.1 and rows["clip-000000"]["depth_scale_error"] == pytest.approx(0.1)
    assert "no such file" in rows["clip-000001"]["error"] and "| clip-000000 |" in capsys.readouterr().out
