"""``unish reconstruct --dry-run``: a plan, and not a byte on the disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from unish.assets import ASSETS
from unish.cli import main
from unish.cli.dry_run import Estimate, estimate_run
from unish.settings import Settings
from unish.video import Headers
from written_videos import numbered_pictures, write_video

HEADERS = Headers(
    size=(720, 1280), num_frames=300, num_decoded=270, used_s=np.arange(48) / 6.0, rate=30.0, seconds=10.0, lens=None,
    notes=(),
)  # fmt: skip


@pytest.fixture
def video(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return write_video(tmp_path / "in" / "walk.mp4", numbered_pictures(20), fps=10)


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNISH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("UNISH_ASSETS", raising=False)


def test_it_says_what_a_run_would_do_and_writes_nothing(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert main(["reconstruct", str(video), "--out", str(tmp_path / "out"), "--dry-run", "--fps", "5"]) == 0
    said = capsys.readouterr()
    assert sorted(tmp_path.rglob("*")) == before and not said.err
    for part in ("128×96", "2.0 s", "10 would be used", "512×384", "fps=5", "GB at once", "MB more while it works"):
        assert part in said.out
    yolo = ASSETS["yolov4-tiny"]
    assert f"yolov4-tiny: {yolo.package.size / 1e6:.0f} MB to download, {yolo.licence}" in said.out


def test_what_is_not_needed_is_not_fetched(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reconstruct", str(video), "--out", "o", "--dry-run", "--people", "0", "--model", "some/body"]) == 0
    said = capsys.readouterr().out
    assert "yolov4" not in said and "transnetv2" in said and "some/body from the Hugging Face hub" in said


def test_a_result_that_would_be_replaced_is_named(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "reconstruction.npz").touch()
    assert main(["reconstruct", str(video), "--out", str(tmp_path), "--dry-run"]) == 0
    assert "would replace" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["-"], "--dry-run reads"),
        (["--camera", "0"], "--dry-run reads"),
        (["no.mp4"], "no such file"),
        (["."], "folder is empty"),
    ],
)
def test_what_a_run_would_refuse_is_refused(
    options: list[str], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert main(["reconstruct", *options, "--out", "out", "--dry-run"]) == 2
    assert what in capsys.readouterr().err
    assert not list((tmp_path / "empty").iterdir())


def test_a_file_in_the_place_of_the_folder_is_refused(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reconstruct", str(video), "--out", str(video), "--dry-run"]) == 2
    assert "this is a file" in capsys.readouterr().err


def estimate(
    headers: Headers = HEADERS, threads: int = 1, size: tuple[int, int] = (288, 512), **given: object
) -> Estimate:
    return estimate_run(headers, size, Settings(**given), threads=threads)  # type: ignore[arg-type]


def test_what_costs_more_is_said_to_cost_more() -> None:
    usual = estimate()
    twice = dataclasses.replace(HEADERS, num_decoded=540, used_s=np.arange(96) / 6.0)
    assert usual.seconds[0] < usual.seconds[1]
    assert estimate(twice).seconds > usual.seconds and estimate(twice).result_mb > usual.result_mb
    assert estimate(size=(576, 1024)).memory_mb > usual.memory_mb
    assert estimate(people=0).seconds[0] < usual.seconds[0] and len(set(estimate(people=0).seconds)) == 1
    assert estimate(sky=True).seconds > usual.seconds
    fast = estimate(fast=True)
    assert all(some < all_of_it for some, all_of_it in zip(fast.seconds, usual.seconds, strict=True))
    assert (fast.memory_mb, fast.result_mb, fast.work_mb) == (usual.memory_mb, usual.result_mb, usual.work_mb)
    sparse = dataclasses.replace(HEADERS, rate=1.0)
    assert estimate(sparse, fast=True).seconds[0] < 0.5 * estimate(sparse).seconds[0]
    assert estimate(threads=2).seconds < usual.seconds
    assert estimate(dataclasses.replace(HEADERS, rate=1.0)).seconds > usual.seconds
    both = dataclasses.replace(HEADERS, used_s=np.arange(240) / 30.0)
    assert estimate(both, fps=30.0).seconds < estimate(both, fps=30.0, scene_fps=30.0).seconds


def test_memory_does_not_grow_with_long_videos() -> None:
    hours = [dataclasses.replace(HEADERS, used_s=np.arange(count) / 6.0) for count in (10_000, 20_000)]
    assert len({estimate(headers).memory_mb for headers in hours}) == 1
