"""``unish refine``: what it needs beside a result, what it leaves, and what it says where it cannot."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from input_place import Place

from unish import refinement
from unish.cli import main
from unish.passes import OBSERVATIONS, can_be_edited
from unish.structs import Reconstruction

pytestmark = pytest.mark.slow

FLOOR = {"kind": "floor", "shot": 0, "plane": [0.0, -1.0, 0.0, 1.5]}


@pytest.fixture(scope="module")
def made(shared: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = Place(folder=tmp_path_factory.mktemp("made"), video=shared[0], model=shared[1])
    assert main([*place.command(), "--quiet"]) == 0
    return place.folder / "out"


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    """A finished result of three frames without people."""
    return Path(shutil.copytree(made, tmp_path / "out"))


def edits(folder: Path, *items: dict[str, Any]) -> str:
    path = folder / "edits.json"
    path.write_text(json.dumps({"format": "unish-edits/1", "edits": items}))
    return str(path)


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


def refuse(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of a command that is refused."""
    capsys.readouterr()
    assert main(["refine", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "\\n" not in said.err
    return said.err


def test_there_and_back_again(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(out)
    assert main(["export", str(out), "--to", "ply", "--quiet"]) == 0
    assert main(["refine", str(out), edits(tmp_path, FLOOR)]) == 0
    said = capsys.readouterr().out
    assert str(out / "reconstruction.npz") in said
    assert f"{out / 'export'}: ply of before show other edits" in said and (out / "export" / "scene.ply").is_file()
    found = Reconstruction.load(out)
    np.testing.assert_array_equal(found.floor, np.array([[0, -1, 0, 1.5]], np.float32))
    report = json.loads((out / "report.json").read_text())
    assert found.edits == report["edits"] == [FLOOR]
    assert f"{out / 'preview.mp4'}: showed other edits and is gone" in said and not (out / "preview.mp4").exists()
    assert report["input"] == json.loads(before["report.json"])["input"] and report["seconds"]["network"] > 0
    assert main(["export", str(out), "--to", "ply", "--quiet"]) == 0
    assert main(["refine", str(out), edits(tmp_path, FLOOR)]) == 0
    assert "of before" not in capsys.readouterr().out, "these exports show the same edits"
    assert main(["refine", str(out), edits(tmp_path), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    after = files(out)
    assert all(after[name] == before[name] for name in before if name != "report.json")
    assert json.loads(after["report.json"])["edits"] == [] and not (out / ".unish-run").exists()


def test_a_film_is_drawn_when_it_is_asked_for_and_shows_the_result(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    film, other = out / "preview.mp4", FLOOR | {"plane": [0.0, -1.0, 0.1, 1.2]}
    first = film.read_bytes()
    assert main(["refine", str(out), edits(tmp_path, FLOOR), "--preview", "--quiet"]) == 0
    edited = film.read_bytes()
    assert edited != first
    # The same edits again leave their film; it is the one that is drawn later, too.
    assert main(["refine", str(out), edits(tmp_path, FLOOR), "--quiet"]) == 0 and film.read_bytes() == edited
    assert main(["refine", str(out), edits(tmp_path, other), "--quiet"]) == 0 and not film.exists()
    assert main(["refine", str(out), edits(tmp_path, FLOOR), "--quiet"]) == 0 and not film.exists()
    assert main(["refine", str(out), "--preview"]) == 0 and film.read_bytes() == edited
    assert capsys.readouterr().out == f"{film}\n"
    # The first one is kept, and need not be drawn; where it is lost, it is.
    with monkeypatch.context() as patched:
        patched.setattr("unish.passes.outputs.write_preview", lambda *args, **options: pytest.fail("drawn"))
        assert main(["refine", str(out), edits(tmp_path), "--quiet"]) == 0 and film.read_bytes() == first
    assert main(["refine", str(out), edits(tmp_path, FLOOR), "--quiet"]) == 0 and not film.exists()
    (out / OBSERVATIONS / "preview.mp4").unlink()
    assert main(["refine", str(out), edits(tmp_path), "--quiet"]) == 0 and film.read_bytes() == first
    assert "nothing is to be done" in refuse(capsys, str(out))
    (out / "report.json").unlink()
    assert "report.json cannot be read" in refuse(capsys, str(out), "--preview")
    assert "no finished result is there" in refuse(capsys, str(tmp_path), "--preview")


def test_a_film_of_another_version_shows_nothing_of_this_one(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unish.passes.films.__version__", "9.9")
    assert main(["refine", str(out), edits(tmp_path, FLOOR), "--quiet"]) == 0
    assert not (out / OBSERVATIONS / "preview.mp4").exists(), "what it shows is not what an empty list gives"
    assert main(["refine", str(out), "--preview", "--quiet"]) == 0
    assert main(["refine", str(out), edits(tmp_path, FLOOR), "--quiet"]) == 0
    assert not (out / "preview.mp4").exists(), "the same edits may look different in it"


def test_the_video_and_the_weights_are_not_needed(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video, model = (Path(shutil.copy(place.video, tmp_path)), Path(shutil.copytree(place.model, tmp_path / "model")))
    moved = Place(folder=tmp_path, video=video, model=model)
    assert main([*moved.command(), "--quiet"]) == 0
    video.unlink()
    shutil.rmtree(model)
    monkeypatch.setattr("unish.passes.models.UniSH.from_pretrained", lambda *args, **options: pytest.fail("loaded"))
    assert main(["refine", str(tmp_path / "out"), edits(tmp_path, FLOOR), "--quiet"]) == 0


def test_results_that_cannot_be_edited(
    place: Place, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = edits(tmp_path, FLOOR)
    assert "no such folder" in refuse(capsys, str(tmp_path / "missing"), file)
    assert "no finished result is there" in refuse(capsys, str(tmp_path), file)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["edits.json", "out"]
    assert "no such file" in refuse(capsys, str(out), str(tmp_path / "missing.json"))
    before, kept = files(out), out / OBSERVATIONS
    report = json.loads((out / "report.json").read_text())
    known_as = report["observations"]
    assert can_be_edited(kept, known_as)
    assert not can_be_edited(kept, None) and not can_be_edited(kept, "0" * 64)
    for change, said in (
        ({"observations": None}, "made with --keep-observations off"),
        ({"observations": "0" * 64}, "belongs to another result"),
    ):
        (out / "report.json").write_text(json.dumps(report | change))
        assert said in refuse(capsys, str(out), file)
    del report["observations"]
    (out / "report.json").write_text(json.dumps(report))
    assert "results of earlier versions" in refuse(capsys, str(out), file)
    (out / "report.json").write_bytes(before["report.json"])
    facts = json.loads((kept / "observations.json").read_text())
    (kept / "observations.json").write_text(json.dumps(facts | {"format": "unish-observations/0"}))
    assert "format is 'unish-observations/0', this version reads" in refuse(capsys, str(out), file)
    assert not can_be_edited(kept, known_as)
    (kept / "observations.json").write_text(json.dumps(facts))
    (kept / "frames" / "00000001.npz").write_bytes(b"broken")
    assert "cannot be read" in refuse(capsys, str(out), file)
    shutil.rmtree(kept)
    assert "it is missing, and edits need it" in refuse(capsys, str(out), file)
    assert not can_be_edited(kept, known_as)
    assert files(out) == before and not (out / ".unish-run").exists()


def test_observations_are_kept_unless_they_are_not_wanted(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    out = place.folder / "out"
    assert main([*place.command(), "--quiet"]) == 0
    assert len(list((out / OBSERVATIONS / "frames").iterdir())) == 3
    assert main([*place.command(**{"keep-observations": "off"}), "--quiet"]) == 0
    assert list((out / OBSERVATIONS).iterdir()) == [], "those of the older result are gone"
    assert "--keep-observations off" in refuse(capsys, str(out), edits(place.folder))


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_ended_edit_leaves_the_old_result(
    error: type[BaseException], out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(record: Any, body: Any, report: Any, folder: Path, **options: Any) -> list[str]:
        (folder / "scene.glb").write_bytes(b"half")
        raise error

    monkeypatch.setenv("UNISH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(refinement, "write_files", end)
    before = files(out)
    assert main(["refine", str(out), edits(tmp_path, FLOOR), "--quiet"]) in (1, 130)
    assert files(out) == before and not (out / ".unish-run").exists()


def test_the_work_of_an_unfinished_run_stays(out: Path, tmp_path: Path) -> None:
    kept = out / ".unish-run" / "kept"
    kept.mkdir(parents=True)
    (kept / "run.json").write_text("{}")
    assert main(["refine", str(out), edits(tmp_path, FLOOR), "--quiet"]) == 0
    assert (kept / "run.json").is_file()
