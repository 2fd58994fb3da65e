"""Hard cuts: found where the picture changes for good, not in pans, flashes or sparse views."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from unish.video import read_clip
from unish.video.shots.cuts import CutFinder, _describe, _difference
from unish.video.shots.places import shared_area
from unish.video.sources.files import FileSource
from written_videos import write_video


def shot(seed: int, count: int, speed: float = 1.0) -> np.ndarray:
    """(count, 36, 64, 3) views of a random smooth panorama that slides by ``speed`` pixels per frame."""
    rng = np.random.default_rng(seed)
    width = 64 + int(count * speed) + 1
    panorama = gaussian_filter(rng.normal(size=(36, width, 3)), (4, 4, 0)) * 400 + rng.uniform(60, 190, 3)
    views = [panorama[:, int(i * speed) : int(i * speed) + 64] for i in range(count)]
    return np.stack(views).clip(0, 255).astype(np.uint8)


def find(pictures: np.ndarray, interval_s: float = 0.04) -> list[int]:
    finder = CutFinder()
    for index, picture in enumerate(pictures):
        finder.push(index * interval_s, picture)
    return finder.finish()


def test_two_cuts() -> None:
    assert find(np.concatenate([shot(1, 20), shot(2, 15), shot(3, 25)])) == [20, 35]


def test_fast_pan_is_no_cut() -> None:
    assert find(shot(4, 60, speed=16.0)) == []


@pytest.mark.parametrize("length", [1, 3])
def test_flash_and_foreign_frames_are_no_cut(length: int) -> None:
    white, foreign = shot(5, 40), shot(5, 40)
    white[18 : 18 + length] = 250
    foreign[18 : 18 + length] = shot(6, length)
    assert find(white) == [] and find(foreign) == []


def test_blended_frame_between_shots_counts_once() -> None:
    first, second = shot(7, 20), shot(8, 20)
    blend = ((first[-1].astype(int) + second[0]) // 2).astype(np.uint8)[None]
    cuts = find(np.concatenate([first, blend, second]))
    assert len(cuts) == 1 and cuts[0] in (20, 21)


def test_sparse_views_are_no_cuts() -> None:
    views = np.concatenate([shot(20 + i, 1) for i in range(12)])
    assert find(views, interval_s=1.0) == []
    assert find(views, interval_s=1 / 30) == []  # nor when nobody said how sparse they are
    assert find(views[:2], interval_s=1.0) == []


def sweep(view: np.ndarray, *, width: int, steps: int, first: int = 18, seed: int = 30) -> np.ndarray:
    """The same view while something near, ``width`` pixels wide and textured, crosses it from the right."""
    rng = np.random.default_rng(seed)
    leaves = gaussian_filter(rng.normal(size=(36, width, 3)), (1, 1, 0)) * 300 + rng.uniform(20, 120, 3)
    swept = view.copy()
    for step in range(steps + 1):
        left = round(64 - (64 + width) * step / steps)
        low, high = max(0, left), min(64, left + width)
        swept[first + step, :, low:high] = leaves[:, low - left : high - left].clip(0, 255)
    return swept


@pytest.mark.slow
@pytest.mark.parametrize(("width", "steps"), [(40, 4), (60, 4), (60, 8), (140, 8), (140, 12), (400, 24)])
@pytest.mark.parametrize("speed", [0.0, 1.0])
def test_something_near_that_passes_the_camera_is_no_cut(width: int, steps: int, speed: float) -> None:
    """A plant, a passer-by, a bus: it fills the view for a frame or for many, and the scene goes on."""
    swept = sweep(shot(11, 60, speed), width=width, steps=steps)
    changes = [_difference(_describe(a), _describe(b)) for a, b in pairwise(swept)]
    assert max(changes) > 0.65  # enough for a cut, were it not for what goes on
    assert find(swept) == []


@pytest.mark.parametrize("bar", [0, 5])
def test_cuts_between_bars(bar: int) -> None:
    """Bars go on through every cut; they are no scene."""
    pictures = np.concatenate([shot(14, 20), shot(15, 25)])
    pictures[:, :bar], pictures[:, 36 - bar :] = 16, 16
    assert find(pictures) == [20]


def test_moved_squares_are_found_again() -> None:
    """The shared area of two views of one panorama is all of it at any shift, that of two panoramas hardly any."""
    rng = np.random.default_rng(40)
    panoramas = gaussian_filter(rng.normal(size=(2, 60, 130)), (0, 2, 2)).astype(np.float32) * 2 + 0.5
    base = panoramas[0][12:48, 30:94]
    for down, right in ((0, 0), (8, 0), (-9, 5), (3, -30), (0, 31)):
        moved = panoramas[0][12 + down : 48 + down, 30 + right : 94 + right]
        assert shared_area(base, moved) > 0.8  # squares at the border of the overlap know less of one picture
    half = base.copy()
    half[:, :32] = panoramas[1][:36, :32]
    assert shared_area(base, half) == pytest.approx((32 - 3) / 64, abs=0.05)  # squares at the edge see both
    assert shared_area(base, panoramas[1][12:48, 30:94]) < 0.1
    assert shared_area(base, base + 0.3) < 0.1 and shared_area(base, 0.5 + (base - 0.5) * 0.3) < 0.1
    assert shared_area(base, -base) < 0.1 and shared_area(np.zeros_like(base), np.zeros_like(base)) == 0.0


@pytest.mark.media
@pytest.mark.parametrize(("name", "cuts"), [("yolov7pose_football1.mp4", [116]), ("stgcn_skateboarding.mp4", [])])
def test_cuts_of_real_clips(media_dir: Path, name: str, cuts: list[int]) -> None:
    """A change to a close-up of the same players; a camera that follows fast, with two damaged frames."""
    path = media_dir / "video" / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    finder = CutFinder()
    for frame in FileSource(path=path):
        finder.push(frame.time_s, frame.thumbnail())
    assert finder.finish() == cuts


def test_title_that_appears_is_no_cut() -> None:
    pictures = shot(10, 30)
    pictures[15:, 26:] = 255
    assert find(pictures) == []


def test_still_and_black_pictures() -> None:
    assert find(np.zeros((30, 36, 64, 3), np.uint8)) == []
    assert find(np.repeat(shot(9, 1), 30, axis=0)) == []


def test_segments_of_a_clip(tmp_path: Path) -> None:
    pictures = np.concatenate([shot(1, 30), shot(2, 30)]).repeat(3, axis=1).repeat(3, axis=2)
    height, width = pictures.shape[1] // 2 * 2, pictures.shape[2] // 2 * 2
    path = write_video(tmp_path / "cut.mp4", pictures[:, :height, :width], fps=30.0)
    clip = read_clip(path, fps=6.0)
    assert clip.segment.tolist() == [0] * 6 + [1] * 6 and [0, 30][1] in clip.frame_indices.tolist()
    assert len(clip.warnings) == 1 and "hard cuts" in clip.warnings[0]
