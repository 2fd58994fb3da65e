"""``unish export``: options, the description beside the files, and what users get wrong."""

from __future__ import annotations

import errno
import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from golden_scene import GAP, NUM_FRAMES, PERSON_IDS, STEP, make_scene
from unish.body import Body, load_body
from unish.cli import main
from unish.export.formats import FORMATS
from unish.export.options import ExportOptions
from unish.structs import Reconstruction

PEOPLE_FORMATS = sorted(name for name, kind in FORMATS.items() if kind.of_people)


@pytest.fixture(scope="module")
def scene() -> Reconstruction:
    return make_scene(load_body("free"))


@pytest.fixture(scope="module")
def folder(scene: Reconstruction, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("result")
    scene.save(folder / "reconstruction.npz")
    return folder


def export(folder: Path, *arguments: str) -> dict:
    """Run the command; the formats of its ``export.json``."""
    assert main(["export", str(folder), *arguments]) == 0
    out = Path(arguments[arguments.index("--out") + 1]) if "--out" in arguments else folder / "export"
    assert not (out / ".unish-run").exists()
    return json.loads((out / "export.json").read_text())


def refuse(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of an export that is refused."""
    capsys.readouterr()
    assert main(["export", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    return said.err


def test_the_sidecar_says_what_the_files_are(folder: Path, tmp_path: Path) -> None:
    said = export(folder, "--to", "bvh", "--to", "amass", "--out", str(tmp_path), "--quiet")
    assert said["format"] == "unish-export/1" and said["body"] == "free" and "CC0" in said["licence"]
    (bvh,), (amass,) = said["formats"]["bvh"], said["formats"]["amass"]
    assert bvh["unit"] == "centimetres" and "y up" in bvh["axes"] and bvh["fps"] == 30 and bvh["start_s"] == 2.5
    assert amass["unit"] == "metres" and "z up" in amass["axes"] and amass["levelled_by_gravity"]
    assert bvh["used_fps"] == pytest.approx(6) and any("--fps 30" in note for note in bvh["notes"])
    assert bvh["files"] == [f"bvh/person-{person}.bvh" for person in PERSON_IDS]
    assert all((tmp_path / file).is_file() for entry in (bvh, amass) for file in entry["files"])
    first, second = bvh["people"]
    assert (first["id"], second["id"]) == PERSON_IDS and first["height_m"] != second["height_m"]
    assert second["gaps_frames"] == [[(GAP[0] - 1) * STEP + 1, (GAP[1] + 1) * STEP - 1]]


def test_what_was_exported_before_stays_described(folder: Path, tmp_path: Path) -> None:
    export(folder, "--to", "ply", "--out", str(tmp_path), "--quiet")
    said = export(folder, "--to", "smplx", "--out", str(tmp_path), "--quiet")
    assert said["formats"].keys() == {"ply", "smplx"}
    (tmp_path / "export.json").write_text("no json")
    assert export(folder, "--to", "ply", "--out", str(tmp_path), "--quiet")["formats"].keys() == {"ply"}


def test_people_who_are_no_longer_asked_for_go(folder: Path, tmp_path: Path) -> None:
    export(folder, "--to", "bvh", "--out", str(tmp_path), "--quiet")
    export(folder, "--to", "bvh", "--out", str(tmp_path), "--people", str(PERSON_IDS[1]), "--quiet")
    assert [path.name for path in (tmp_path / "bvh").iterdir()] == [f"person-{PERSON_IDS[1]}.bvh"]


def test_options_reach_the_files(folder: Path, tmp_path: Path) -> None:
    options = ["--fps", "60", "--rig", "mixamo", "--in-place", "--people", "all", "--gravity", "off"]
    said = export(folder, "--to", "bvh", *options, "--out", str(tmp_path), "--quiet")
    (entry,) = said["formats"]["bvh"]
    assert entry["fps"] == 60 and entry["in_place"] and not entry["levelled_by_gravity"]
    text = (tmp_path / "bvh" / f"person-{PERSON_IDS[0]}.bvh").read_text()
    assert "ROOT mixamorig:Hips" in text and f"Frames: {(NUM_FRAMES - 1) * 10 + 1}\n" in text
    assert "Frame Time: 0.016666667\n" in text
    up = export(folder, "--to", "amass", "--up", "y", "--fps", "source", "--out", str(tmp_path), "--quiet")
    assert "y up" in up["formats"]["amass"][0]["axes"]


@pytest.mark.parametrize(
    ("settings", "arguments", "refines"),
    [
        ({}, [], True), ({}, ["--refine-cameras", "off"], False),
        ({"cameras": "poses.txt", "refine_cameras": False}, [], False),
        ({"cameras": "poses.txt", "refine_cameras": False}, ["--refine-cameras", "on"], True),
        ({"cameras": "poses.txt", "refine_cameras": True}, [], True),
    ],
)  # fmt: skip
def test_known_cameras_stay_as_they_are(
    scene: Reconstruction,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict,
    arguments: list,
    refines: bool,
) -> None:
    """Those that the reconstruction was given and kept are not adjusted by an export, unless it is told to."""
    chosen = []

    def note(path: Path, record: Reconstruction, body: Body, options: ExportOptions) -> dict:
        chosen.append(options.refine_cameras)
        return {"files": []}

    monkeypatch.setattr("unish.passes.sparse_model.write_colmap", note)
    scene.save(tmp_path / "reconstruction.npz")
    (tmp_path / "report.json").write_text(json.dumps({"settings": settings}))
    said = export(tmp_path, "--to", "colmap", "--to", "ply", *arguments, "--quiet")
    assert chosen == [refines]
    assert bool(arguments) == any("--refine-cameras" in note for note in said["formats"]["ply"][0]["notes"])


def test_slow_files_of_motion_are_named(folder: Path, tmp_path: Path) -> None:
    said = export(folder, "--to", "amass", "--fps", "25", "--out", str(tmp_path), "--quiet")
    assert any("want 30 or more" in note for note in said["formats"]["amass"][0]["notes"])


def test_options_without_a_meaning_are_told(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = export(folder, "--to", "ply", "--rig", "vrm", "--in-place", "--out", str(tmp_path))
    printed = capsys.readouterr().out
    for option in ("--rig", "--in-place"):
        sentence = f"{option} means nothing to ply and was left out."
        assert sentence in printed and sentence in said["formats"]["ply"][0]["notes"]


def test_a_file_for_each_person(folder: Path, tmp_path: Path) -> None:
    said = export(folder, "--to", "glb", "--per-person", "--rig", "ue5", "--out", str(tmp_path), "--quiet")
    expected = ["scene.glb", *(f"person-{person}.glb" for person in PERSON_IDS)]
    assert said["formats"]["glb"][0]["files"] == expected
    assert {path.name for path in tmp_path.glob("*.glb")} == set(expected)


def test_shots_have_folders_of_their_own(scene: Reconstruction, tmp_path: Path) -> None:
    """But for formats that hold all of them; shots without people are left out of files of people."""
    segment = np.repeat([0, 1, 2], [5, 5, NUM_FRAMES - 10]).astype(np.int32)
    several = {name: np.repeat(getattr(scene, name), 3, axis=0) for name in ("gravity", "floor")}
    valid = scene.person_valid.copy()
    valid[:, 5:10] = False
    replace(scene, segment=segment, person_valid=valid, **several).save(tmp_path / "reconstruction.npz")
    said = export(tmp_path, "--to", "bvh", "--to", "glb", "--per-person", "--quiet")
    assert [entry["shot"] for entry in said["formats"]["bvh"]] == [0, 2]
    assert said["formats"]["bvh"][1]["files"][0] == f"shot-2/bvh/person-{PERSON_IDS[0]}.bvh"
    (glb,) = said["formats"]["glb"]
    assert [shot["shot"] for shot in glb["shots"]] == [0, 1, 2]
    assert f"person-{PERSON_IDS[0]}-shot-2.glb" in glb["files"]
    assert all((tmp_path / "export" / file).is_file() for file in glb["files"])


def test_heights_reach_readers_of_betas(scene: Reconstruction, folder: Path, tmp_path: Path) -> None:
    """They take 1.66 m + 0.1 · betas[0]."""
    export(folder, "--to", "amass", "--out", str(tmp_path), "--quiet")
    for row, person in enumerate(PERSON_IDS):
        with np.load(tmp_path / "amass" / f"person-{person}.npz", allow_pickle=False) as file:
            assert 1.66 + 0.1 * file["betas"][0] == pytest.approx(float(file["height_m"]), abs=1e-6)
            np.testing.assert_array_equal(file["unish_betas"], scene.betas[row])
            assert str(file["unish_body"]) == "free" and file["contact_prob"].shape == (len(file["trans"]), 4)
            np.testing.assert_allclose(file["pelvis"][:, 2].mean(), 0.8, atol=0.25)  # over the floor


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--to", "docx"], "docx"), (["--to", "bvh", "--fps", "0"], "0 is not above 0"),
        (["--to", "bvh", "--fps", "fast"], "not a number"), (["--to", "glb", "--rig", "dog"], "dog"),
        (["--to", "usd", "--up", "x"], "'x'"), (["--to", "bvh", "--people", "3"], "no person 3; there are 4, 7"),
        (["--to", "bvh", "--people", "anna"], "anna"), (["--to", "bvh", "--gravity", "perhaps"], "neither on nor off"),
    ],
)  # fmt: skip
def test_bad_options(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert sentence in refuse(capsys, str(folder), *arguments, "--out", str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", PEOPLE_FORMATS)
def test_nobody_for_a_format_of_people(
    scene: Reconstruction, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    if FORMATS[kind].module:
        pytest.importorskip(FORMATS[kind].module)
    replace(scene, person_valid=np.zeros_like(scene.person_valid)).save(tmp_path / "reconstruction.npz")
    said = refuse(capsys, str(tmp_path), "--to", "ply", "--to", kind)
    assert f"{kind} holds people, and nobody was found" in said
    assert [path.name for path in tmp_path.iterdir()] == ["reconstruction.npz"]


def test_folders_that_are_no_reconstructions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such folder" in refuse(capsys, str(tmp_path / "nowhere"), "--to", "glb")
    assert "no such file" in refuse(capsys, str(tmp_path), "--to", "glb")
    assert list(tmp_path.iterdir()) == []


def test_another_body(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], scene: Reconstruction) -> None:
    replace(scene, body_model="SMPL_NEUTRAL.npz").save(tmp_path / "reconstruction.npz")
    assert "give its file as --body" in refuse(capsys, str(tmp_path), "--to", "glb")


def test_a_missing_extra(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said before anything is written."""
    there = importlib.util.find_spec
    monkeypatch.setattr("unish.export.formats.find_spec", lambda name: None if name == "pxr" else there(name))
    said = refuse(capsys, str(folder), "--to", "ply", "--to", "usd", "--out", str(tmp_path / "out"))
    assert "pip install 'unish[usd]'" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["glb", "bvh", "amass", "blender"])
def test_a_full_disk(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """What an earlier export left stays whole."""
    export(folder, "--to", "bvh", "--out", str(tmp_path), "--quiet")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def fail(path: Path, *rest: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("unish.export.sidecar.write_json", fail)
    assert "no space left" in refuse(capsys, str(folder), "--to", kind, "--out", str(tmp_path))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
