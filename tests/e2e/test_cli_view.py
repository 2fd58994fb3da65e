"""``unish view`` and ``--blur-faces``: what the command line makes of good and bad input."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from small_record import make_record
from unish.body import load_body
from unish.cli import main
from unish.edits import Drop, Edit
from unish.structs import Reconstruction


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
def test_edits_of_the_viewer_are_those_of_refine(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the panel applies goes through ``refine``, touches no file of the user's, and keeps faces blurred."""
    from unish import passes, refinement
    from unish.viewer import live

    served: list[dict[str, Any]] = []
    refined: list[tuple[Path, tuple[Edit, ...]]] = []
    monkeypatch.setattr(live, "serve", lambda reconstruction, body, **options: served.append(options))
    monkeypatch.setattr(refinement, "refine", lambda folder, edits, *, progress: refined.append((folder, edits)))
    (run_folder / "report.json").write_text(json.dumps({"observations": "1"}))
    assert main(["view", str(run_folder), "--no-browser"]) == 0
    there: list[tuple[Path, str]] = []
    monkeypatch.setattr(passes, "can_be_edited", lambda *of: there.append(of) or True)
    (run_folder / "edits.json").write_text("mine")
    (run_folder / "report.json").write_text(json.dumps({"observations": "1", "edits": []}))
    assert main(["view", str(run_folder), "--no-browser", "--no-edits"]) == 0
    for options in (served[0], served.pop(1)):  # it cannot be corrected, or must not be
        assert options["edits"] is None and options["apply"] is None
    has = [{"kind": "drop", "person": 1}]
    (run_folder / "report.json").write_text(json.dumps({"observations": "1", "edits": has}))
    assert main(["view", str(run_folder), "--no-browser", "--blur-faces"]) == 0
    assert served[1]["edits"].applied == (Drop(person=1),)
    wanted = (Drop(person=2),)
    shown, report = served[1]["apply"](wanted, lambda *step: None)
    assert refined == [(run_folder, wanted)] and (run_folder / "edits.json").read_text() == "mine"
    assert set(there) == {(run_folder / ".unish-observations", "1")}
    assert report["edits"] == has and (np.asarray(shown.images) != Reconstruction.load(run_folder).images).any()


def test_a_film_is_asked_for(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", str(run_folder), "--fly-through", str(tmp_path / "fly.avi")]) == 2
    assert ".mp4" in said(capsys)
    assert main(["view", str(run_folder), "--flight", "orbit"]) == 2
    assert "add --fly-through FILE.mp4" in said(capsys)
    for options in (["--follow", "3"], ["--follow", "3", "--fly-through", str(tmp_path / "fly.mp4")]):
        assert main(["view", str(run_folder), *options]) == 2
        assert "--flight follow" in said(capsys)
    asked = ["--fly-through", str(tmp_path / "new" / "fly.mp4"), "--flight", "follow", "--follow", "8"]
    assert main(["view", str(run_folder), *asked]) == 2
    assert "nobody has the id 8" in said(capsys) and [path.name for path in tmp_path.iterdir()] == ["run"]


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
