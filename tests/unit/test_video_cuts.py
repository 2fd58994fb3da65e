"""Hard cuts: found where the picture changes for good, not in pans, flashes or sparse views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from unish.video import read_clip
from unish.video.cuts import CutFinder
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
