"""Windows of a video that is still coming: the frames that a file would give, and a source that is held back or not."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest

from unish.live.windows import MAX_WAITING, LiveWindow, WindowFeed
from unish.settings import Settings


@dataclass
class Picture:
    """What ``unish.video.again.SourceFrame`` asks for."""

    index: int
    time_s: float
    bright: int = 90
    size: tuple[int, int] = (36, 64)

    def pixels(self, long_side: int) -> np.ndarray:
        return np.full((*self.size, 3), self.index % 200, np.uint8)

    def thumbnail(self) -> np.ndarray:
        rng = np.random.default_rng(self.bright)
        return rng.integers(0, 255, (36, 64, 3)).astype(np.uint8)


def film(count: int, fps: float = 12.0) -> list[Picture]:
    return [Picture(index, index / fps) for index in range(count)]


def gather(feed: WindowFeed, pictures: list[Picture]) -> list[LiveWindow]:
    """All windows, with a consumer as quick as the source."""
    windows: list[LiveWindow] = []
    taking = threading.Thread(target=lambda: windows.extend(feed))
    taking.start()
    for picture in pictures:
        if not feed.push(picture):
            break
    feed.finish()
    taking.join()
    return windows


def indices(windows: list[LiveWindow]) -> list[list[int]]:
    return [window.clip.frame_indices.tolist() for window in windows]


def test_windows_overlap_and_show_every_frame_once() -> None:
    windows = gather(WindowFeed(Settings(window=8, overlap=3, fps=6.0), waits=True, name="a"), film(60))
    assert indices(windows)[:2] == [list(range(0, 16, 2)), list(range(10, 26, 2))]
    new = [index for window in windows for index in window.clip.frame_indices[-window.num_new :].tolist()]
    assert new == list(range(0, 60, 2))
    assert all(window.clip.num_frames == 8 for window in windows), "the last one is moved back"


@pytest.mark.parametrize(
    ("options", "used"),
    [
        ({"fps": 3.0}, list(range(0, 60, 4))),
        ({"start": 1.0, "end": 2.0}, list(range(12, 25, 2))),
        ({"max_frames": 5}, [0, 2, 4, 6, 8]),
        ({"max_frames": 30}, list(range(0, 60, 2))),
    ],
    ids=str,
)
def test_settings_choose_frames(options: dict[str, float], used: list[int]) -> None:
    settings = Settings(window=4, overlap=1, **options)  # type: ignore[arg-type]
    windows = gather(WindowFeed(settings, waits=True, name="a"), film(60))
    assert [i for window in windows for i in window.clip.frame_indices[-window.num_new :].tolist()] == used


def test_fewer_frames_than_a_window_and_none() -> None:
    (window,) = gather(WindowFeed(Settings(), waits=True, name="a"), film(9))
    assert window.num_new == window.clip.num_frames == 5 and window.clip.source_size == (36, 64)
    assert gather(WindowFeed(Settings(), waits=True, name="a"), []) == []


def test_hard_cuts_are_found() -> None:
    pictures = film(60)
    for picture in pictures[21:]:
        picture.bright = 7
    windows = gather(WindowFeed(Settings(window=8, overlap=3), waits=True, name="a"), pictures)
    told = {
        index: segment
        for window in windows[1:2]
        for index, segment in zip(window.clip.frame_indices.tolist(), window.clip.segment.tolist(), strict=True)
    }
    assert told == {10: 0, 12: 0, 14: 0, 16: 0, 18: 0, 20: 0, 22: 1, 24: 1}
    assert windows[0].clip.segment.tolist() == [0] * 8 == windows[-1].clip.segment.tolist()


def test_a_source_that_can_wait_is_held_back() -> None:
    feed, pushed = WindowFeed(Settings(window=6, overlap=2, fps=12.0), waits=True, name="a"), list[int]()

    def read() -> None:
        for picture in film(100):
            feed.push(picture)
            pushed.append(picture.index)
        feed.finish()

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    time.sleep(0.5)
    at_most = 6 + 4 * MAX_WAITING + 2
    assert 6 + 4 < len(pushed) <= at_most, "two windows wait, and one is whole"
    seen = [index for window in feed for index in window.clip.frame_indices[-window.num_new :].tolist()]
    reading.join()
    assert seen == list(range(100)) and feed.num_left_out == 0


def test_a_source_that_cannot_wait_leaves_out_whole_frames() -> None:
    feed = WindowFeed(Settings(window=6, overlap=2, fps=12.0), waits=False, name="a")
    for picture in film(100):
        assert feed.push(picture)
    closing = threading.Thread(target=feed.finish)
    closing.start()
    windows = list(feed)
    closing.join()
    assert len(windows) == MAX_WAITING + 1 and feed.num_left_out > 0
    assert sum(window.num_new for window in windows) + feed.num_left_out == 100


def test_nobody_takes_windows_any_more() -> None:
    feed = WindowFeed(Settings(window=4, overlap=1), waits=True, name="a")
    feed.close()
    assert not feed.push(film(1)[0])
    for picture in film(100):
        feed.push(picture)
    feed.finish()
