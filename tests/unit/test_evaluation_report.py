"""Data by frame agrees with the scores, and the page holds what it promises and nothing from elsewhere."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from unish.body import load_body
from unish.cli import main
from unish.errors import InputError
from unish.lab.evaluation import compare_with_truth, evaluate
from unish.lab.evaluation.frame_data import FrameData, compare_frames, frame_file
from unish.lab.evaluation.methods import BaselinePredictor
from unish.lab.evaluation.report import write_page
from unish.lab.evaluation.report.charts import check_charts
from walking_record import make_walk

BODY = load_body("free")
TRUTH = make_walk()


def test_the_truth_has_no_errors_and_its_own_paths() -> None:
    shown = compare_frames(TRUTH, TRUTH)
    for name, values in shown.curves.items():
        assert np.nanmax(values) < 1e-3, name
    np.testing.assert_allclose(shown.paths["camera"], shown.true_paths["camera"])
    np.testing.assert_allclose(shown.paths["camera"][:, 0], TRUTH.c2w[:, 0, 3], atol=1e-6)
    np.testing.assert_allclose(shown.paths["person 1"], TRUTH.joints[1, :, 0][:, [0, 2]], atol=1e-5)
    assert len(shown.maps) == 3 and shown.maps[0].image.shape == (*TRUTH.depth.shape[1:], 3)


def test_curves_have_the_mean_of_the_scores() -> None:
    wrong = replace(
        TRUTH,
        joints=TRUTH.joints * np.float32(1.1),
        depth=TRUTH.depth * np.linspace(1, 2, 6, dtype=np.float32)[:, None, None],
    )
    shown, scores = compare_frames(wrong, TRUTH), compare_with_truth(wrong, TRUTH, BODY)
    for curve, score in (("mpjpe_mm", "mpjpe_mm"), ("pa_mpjpe_mm", "pa_mpjpe_mm"), ("depth_abs_rel", "depth_abs_rel")):
        assert np.nanmean(shown.curves[curve]) == pytest.approx(scores[score], rel=1e-5, abs=1e-6)
    moved = (wrong.joints[:, :, 0] - TRUTH.joints[:, :, 0]).astype(np.float64)
    np.testing.assert_allclose(shown.curves["pelvis_position_m"], np.linalg.norm(moved, axis=-1).mean(0), rtol=1e-5)


def test_paths_do_not_depend_on_the_choice_of_the_truths_world() -> None:
    """Seen from above means along gravity; the first shared camera is the origin."""
    tilt = np.array([[1, 0, 0], [0, np.cos(0.4), -np.sin(0.4)], [0, np.sin(0.4), np.cos(0.4)]], np.float32)
    moved = TRUTH.c2w.copy()
    moved[:, :3, :3], moved[:, :3, 3] = tilt @ TRUTH.c2w[:, :3, :3], TRUTH.c2w[:, :3, 3] @ tilt.T + 3
    down = np.array([0, 1, 0], np.float32)
    there = replace(TRUTH, c2w=moved, joints=TRUTH.joints @ tilt.T + 3, gravity=(tilt @ down)[None])
    here, other = compare_frames(TRUTH, replace(TRUTH, gravity=down[None])), compare_frames(there, there)
    for name, path in here.true_paths.items():
        np.testing.assert_allclose(other.true_paths[name], path, atol=1e-5)


def test_frame_data_survive_the_file(tmp_path: Path) -> None:
    shown = compare_frames(TRUTH, TRUTH)
    path = frame_file(tmp_path / "scores.json", "a/b c.mp4")
    assert path.parent == tmp_path / "scores.frames"
    shown.save(path)
    again = FrameData.load(path)
    assert again.curves.keys() == shown.curves.keys() and again.paths.keys() == shown.paths.keys()
    np.testing.assert_allclose(again.maps[1].true_m, shown.maps[1].true_m, rtol=1e-3)
    assert path.stat().st_size < 100_000
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="frame data"):
        FrameData.load(path)


def test_nothing_predicted_is_drawn_as_nothing() -> None:
    empty = replace(TRUTH, depth=np.zeros_like(TRUTH.depth), person_valid=np.zeros_like(TRUTH.person_valid))
    shown = compare_frames(empty, TRUTH)
    assert shown.maps == [] and "person 0" not in shown.paths and shown.curves["depth_abs_rel"].min() == 1


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Result files of two baselines on two walks, one of which fails for the second baseline."""
    folder = tmp_path_factory.mktemp("report")
    for index in range(2):
        make_walk(seed=index, num_frames=4).save(folder / f"clip-{index:06d}.npz")

    class Broken(BaselinePredictor):
        def predict(self, request):  # type: ignore[no-untyped-def]
            if request.name == "clip-000001":
                raise InputError("cannot <do> this")
            return super().predict(request)

    paths = folder / "prior.json", folder / "broken.json"
    evaluate("synthetic", data=folder, method="baseline:row-prior", out=paths[0], quiet=True)
    evaluate("synthetic", data=folder, method=Broken("static-camera"), out=paths[1], quiet=True)
    return paths


@pytest.mark.long
def test_the_page_stands_alone(scored: tuple[Path, Path], tmp_path: Path) -> None:
    page = tmp_path / "out" / "report.html"
    assert main(["evaluate", "report", *map(str, scored), "--out", str(page)]) == 0
    text = page.read_text()
    drawings = re.findall(r"<svg.*?</svg>", text, re.S)
    assert len(drawings) == 8 + 2 * 2 + 2  # bars; paths and curves of both; depth where there is one
    for drawing in drawings:
        ElementTree.fromstring(drawing)
    assert "cannot &lt;do&gt; this" in text and "1 failed" in text and "baseline:row-prior" in text
    assert not re.search(r"(?:src|href)=[\"'](?:https?:)?//", text.replace("http://www.w3.org", ""))
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', text)) <= set(ids)
    assert len(ids) == len(set(ids))


@pytest.mark.long
def test_the_page_is_the_same_twice_and_can_be_made_shorter(scored: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = tmp_path / "a.html", tmp_path / "b.html"
    for page in (first, second):
        write_page([scored[0]], page, columns=["mpjpe_mm"], shown_sequences=1)
    assert first.read_bytes() == second.read_bytes()
    assert "1 of 2 sequences" in first.read_text() and first.read_text().count("<svg") == 4
    with pytest.raises(InputError, match="nothing"):
        write_page([scored[0]], first, columns=["nothing"])
    assert second.read_bytes() == first.read_bytes()


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"pip install 'unish\[report\]'"):
        check_charts()
