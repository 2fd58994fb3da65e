"""``unish view`` and ``--blur-faces``: what the command line makes of good and bad input."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from small_record import make_record
from unish.body import load_body
from unish.cli import main


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A finished run with a person whose head lies in the picture."""
    folder = tmp_path / "run"
    folder.mkdir()
    record = make_record(load_body("free"), num_people=1, num_frames=2)
    landmarks = np.full_like(record.landmarks_px, np.nan)
    landmarks[:, :, :11] = (30, 14, 1)
    landmarks[:, :, 7, 0], landmarks[:, :, 8, 0] = 26, 34  # ears
    replace(record, landmarks_px=landmarks).save(folder / "reconstruction.npz")
    return folder


def said(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_bad_input_ends_in_a_sentence(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["view", str(tmp_path / "nothing")]) == 2
    assert "no such folder" in said(capsys)
    assert main(["view", str(run_folder), "--static", str(tmp_path / "page.txt")]) == 2
    assert ".html" in said(capsys)
    assert main(["view", str(run_folder), "--port", "-1"]) == 2
    assert "below 0" in said(capsys)
    (run_folder / "report.json").write_text("{")
    for command in (["view", "--static", str(tmp_path / "page.html")], ["export", "--to", "ply"]):
        assert main([command[0], str(run_folder), *command[1:]]) == 2
        assert "not readable as JSON" in said(capsys)
    (run_folder / "report.json").unlink()
    monkeypatch.setitem(sys.modules, "viser4d", None)
    for options in (["--static", str(tmp_path / "page.html")], ["--no-browser"]):
        assert main(["view", str(run_folder), *options]) == 2
        assert "pip install 'unish[view]'" in said(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("asked_by", ["option", "report"])
def test_exports_blur_faces_when_asked_or_when_the_run_did(run_folder: Path, tmp_path: Path, asked_by: str) -> None:
    """Points of the head change their colour; they stay where they are, and so do all others."""
    clouds = []
    for blurred in (False, True):
        options = ["--blur-faces"] if blurred and asked_by == "option" else []
        settings = {"settings": {"blur_faces": blurred and asked_by == "report"}}
        (run_folder / "report.json").write_text(json.dumps(settings))
        out = tmp_path / str(blurred)
        assert main(["export", str(run_folder), "--to", "ply", "--out", str(out), "--quiet", *options]) == 0
        raw = (out / "scene.ply").read_bytes().split(b"end_header\n")[1]
        clouds.append(np.frombuffer(raw, np.uint8).reshape(-1, 12 + 3 + 16))
    changed = (clouds[0][:, 12:15] != clouds[1][:, 12:15]).any(axis=1)
    assert 0 < changed.mean() < 0.5
    np.testing.assert_array_equal(clouds[0][:, :12], clouds[1][:, :12])


@pytest.mark.slow
def test_a_page_is_written(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("viser4d", reason="the extra `view` is not installed")
    (run_folder / "report.json").write_text(json.dumps({"input": "/somewhere/walk.mp4"}))
    page = tmp_path / "new" / "page.html"
    assert main(["view", str(run_folder), "--static", str(page), "--blur-faces"]) == 0
    text = page.read_text(encoding="utf-8")
    assert "<title>walk.mp4</title>" in text and "somewhere" not in text
    assert capsys.readouterr().out.startswith(str(page)) and [path.name for path in page.parent.iterdir()] == [
        "page.html"
    ]
