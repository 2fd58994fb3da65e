"""Folders of video: shots, the filter of people, and a cache that finds everybody once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clip_checks import assert_keeps_its_promises
from unish.errors import DegradedResultWarning, InputError
from unish.lab.datasets.video_folder import VideoConfig, find_shots, open_video_folder, prepare_video
from unish.people import PeopleConfig
from unish.structs import Clip, Landmarks, Tracks
from written_videos import numbered_pictures, read_number, write_video

CONFIG = VideoConfig(fps=10, long_side=96, min_height_px=30, min_frames=4, window=6)


@dataclass
class Finder:
    """Sees five people side by side; person p is 16·(p + 1) pixels tall in the video and only seen up to a frame."""

    seen_until: tuple[int, ...] = (40, 40, 40, 40, 40)
    calls: int = 0

    def __call__(self, clip: Clip, size: tuple[int, int]) -> tuple[Tracks, Landmarks]:
        self.calls += 1
        count, total = len(self.seen_until), clip.num_frames
        scale = clip.size[0] / clip.source_size[0]
        valid = torch.arange(total) < torch.tensor(self.seen_until)[:, None]
        boxes = torch.full((count, total, 4), torch.nan)
        masks = torch.full((total, *size), -1, dtype=torch.int16)
        px = torch.full((count, total, 33, 3), torch.nan)
        for person in range(count):
            box = torch.tensor([person * 20.0, 2.0, person * 20 + 16, 2 + 16 * (person + 1)]) * scale
            boxes[person, valid[person]] = box
            left, top, right, bottom = box.round().int().tolist()
            masks[valid[person], top:bottom, left:right] = person
            px[person, valid[person]] = torch.tensor([float(person), 3.0, 1.0])
        tracks = Tracks(person_ids=torch.arange(count), valid=valid, boxes_xyxy=boxes, masks=masks)
        return tracks, Landmarks(px=px, world=px.clone(), score=valid.float())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "below").mkdir()
    write_video(tmp_path / "below" / "walk.mp4", numbered_pictures(20))
    return tmp_path


def test_clips_of_people(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unish.lab.datasets.video_folder.SHARD_PEOPLE", 4)
    finder = Finder()
    source = open_video_folder(folder, CONFIG, finder=finder)
    assert len(source) == 3  # 20 frames in windows of about 6
    clip = assert_keeps_its_promises(source, 3, index=1)
    assert {"depth", "intrinsics", "c2w"} <= set(source.describe().missing)
    numbers = [read_number(image) for image in clip["images"]]
    steps = np.diff(numbers)
    assert (steps == steps[0]).all() and 6 <= numbers[0] <= numbers[-1] <= 14
    np.testing.assert_allclose(clip["timestamps"], 0.1 * (np.array(numbers) - numbers[0]), atol=1e-3)
    # The four tallest, tallest first; the small one has no row.
    heights = (clip["boxes_xyxy"][:, 0, 3] - clip["boxes_xyxy"][:, 0, 1]) * 128 / 96
    np.testing.assert_allclose(heights, [80, 64, 48, 32], atol=1e-3)
    assert clip["landmarks_px"][:, 0, 0, 0].tolist() == [4, 3, 2, 1]
    for person in range(4):
        left, top, right, bottom = clip["boxes_xyxy"][person, 0].round().astype(int)
        assert (clip["ids"][0, top + 1 : bottom - 1, left + 1 : right - 1] == person).all()
    assert (clip["ids"][0, 4:10, 2:10] == 4).all() and (clip["ids"] == -1).any()


def test_people_are_found_once(folder: Path) -> None:
    finder = Finder()
    first = open_video_folder(folder, CONFIG, finder=finder)
    again = open_video_folder(folder, replace(CONFIG, min_people=2, window=10), finder=finder)
    assert finder.calls == 1 and len(again) == 2
    open_video_folder(folder, replace(CONFIG, fps=5), finder=finder)
    open_video_folder(folder, replace(CONFIG, people=PeopleConfig(max_people=3)), finder=finder)
    assert finder.calls == 3
    # A new video is prepared alone; one that was renamed keeps nothing under its old name but is found by its content.
    write_video(folder / "new.mp4", numbered_pictures(12))
    assert len(open_video_folder(folder, CONFIG, finder=finder)) > len(first)
    assert finder.calls == 4
    write_video(folder / "new.mp4", numbered_pictures(10))
    open_video_folder(folder, CONFIG, finder=finder)
    assert finder.calls == 5
    assert not list(folder.rglob("*.part"))


def test_an_interrupted_preparation_goes_on(folder: Path) -> None:
    write_video(folder / "a.mp4", numbered_pictures(12))

    def stop(clip: Clip, size: tuple[int, int]) -> tuple[Tracks, Landmarks]:
        if clip.num_frames == 20:
            raise KeyboardInterrupt
        return finder(clip, size)

    finder = Finder()
    with pytest.raises(KeyboardInterrupt):
        open_video_folder(folder, CONFIG, finder=stop)
    assert finder.calls == 1
    open_video_folder(folder, CONFIG, finder=finder)
    assert finder.calls == 2


def test_shots_and_people_bound_the_clips(folder: Path) -> None:
    video = prepare_video(
        folder / "below" / "walk.mp4", folder / "cache", CONFIG, Finder(seen_until=(20, 20, 20, 14, 9))
    )
    bounds = lambda **settings: [(s.start, s.end) for s in find_shots(video, replace(CONFIG, **settings))]  # noqa: E731
    assert bounds(min_people=1) == [(0, 20)]  # person 2 is 48 pixels tall and always there
    assert bounds(min_people=2, min_height_px=40) == [(0, 14)]
    assert bounds(min_people=3, min_height_px=40) == [(0, 9)]
    assert bounds(min_people=3, min_height_px=40, min_frames=10) == []
    assert bounds(min_people=1, min_height_px=70) == [(0, 9)]
    assert bounds(min_people=0, min_height_px=1000) == [(0, 20)]
    video = replace(video, segment=np.repeat([0, 1, 2], [7, 3, 10]))
    assert bounds(min_people=1) == [(0, 7), (10, 20)]  # the shot between is too short
    assert bounds(min_people=2, min_height_px=40) == [(0, 7), (10, 14)]


def test_bad_videos_are_left_out_and_named(folder: Path) -> None:
    (folder / "broken.mp4").write_bytes(b"not a video")
    with pytest.warns(DegradedResultWarning, match=r"broken\.mp4"):
        assert len(open_video_folder(folder, CONFIG, finder=Finder())) == 3
    with pytest.raises(InputError, match="1000 pixels"), pytest.warns(DegradedResultWarning):
        open_video_folder(folder, replace(CONFIG, min_height_px=1000), finder=Finder())
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match="no video"):
        open_video_folder(folder / "empty", CONFIG)
