"""Tracks that the user brings along: what is taken from the file, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from unish.errors import InputError
from unish.people import read_tracks
from unish.people.protocols import Pose
from unish.structs import Clip

NAN = math.nan


class NoLandmarks:
    """Sees nobody anywhere."""

    def read_pose(self, picture, region):
        empty = np.zeros((33, 3), np.float32)
        return Pose(px=empty, world=empty, score=0.0, region=region, next_region=region)


@pytest.fixture
def clip() -> Clip:
    """Four used frames, 0, 5, 10 and 15 of a source of twice the size."""
    return Clip(
        images=torch.zeros(4, 50, 80, 3, dtype=torch.uint8),
        timestamps_s=torch.arange(4, dtype=torch.float64) / 6,
        frame_indices=torch.arange(4) * 5,
        segment=torch.zeros(4, dtype=torch.int64),
        source_size=(100, 160),
    )


def _arrays(num_people: int = 2, num_frames: int = 20) -> dict[str, np.ndarray]:
    boxes = np.tile(np.array([20.0, 10, 60, 90]), (num_people, num_frames, 1))
    boxes[:, :, [0, 2]] += 60 * np.arange(num_people)[:, None, None]
    return {
        "frame_indices": np.arange(num_frames),
        "person_ids": np.array([7, 4])[:num_people],
        "boxes_xyxy": boxes,
    }


def _read(tmp_path, clip, arrays, **settings):
    np.savez(tmp_path / "tracks.npz", **arrays)
    return read_tracks(tmp_path / "tracks.npz", clip, mask_size=(25, 40), landmarks=NoLandmarks(), **settings)


def test_boxes_are_scaled_to_the_clip_and_sorted_by_id(tmp_path, clip):
    tracks, landmarks = _read(tmp_path, clip, _arrays())
    assert tracks.person_ids.tolist() == [4, 7] and bool(tracks.valid.all())
    assert tracks.boxes_xyxy[1, 2].tolist() == [10, 5, 30, 45]
    assert tracks.boxes_xyxy[0, 2].tolist() == [40, 5, 60, 45]
    assert landmarks.px.shape == (2, 4, 33, 3) and bool(landmarks.px.isnan().all())
    # Without landmarks or masks a person is an ellipse in the box.
    assert tracks.masks[0, 12, 10] == 1 and tracks.masks[0, 12, 25] == 0 and tracks.masks[0, 0, 0] == -1


def test_absent_boxes_and_frames_that_are_not_named_have_nobody(tmp_path, clip):
    arrays = _arrays(1, 13)
    arrays["boxes_xyxy"][0, 5] = NAN
    with pytest.warns(UserWarning, match="left out"), pytest.warns(UserWarning, match="nobody is in"):
        tracks, _ = _read(tmp_path, clip, arrays)
    assert tracks.num_people == 0
    arrays = _arrays(1, 20)
    arrays["boxes_xyxy"][0, 5] = NAN
    tracks, _ = _read(tmp_path, clip, arrays)
    assert tracks.valid.tolist() == [[True, False, True, True]]
    assert bool(tracks.boxes_xyxy[0, 1].isnan().all())


def test_masks_are_taken_over(tmp_path, clip):
    arrays = _arrays()
    arrays["masks"] = np.zeros((2, 20, 100, 160), bool)
    arrays["masks"][0, :, 20:60, 40:80] = True
    arrays["masks"][1, 5, 80:, 120:] = True
    tracks, _ = _read(tmp_path, clip, arrays)
    # Rows follow the sorted ids: 4 (second in the file), then 7.
    assert bool((tracks.masks[:, 6:14, 11:19] == 1).all()) and int((tracks.masks == 1).sum()) < 4 * 110
    assert bool((tracks.masks[1, 21:, 31:] == 0).all()) and not bool((tracks.masks[0] == 0).any())


def test_a_box_outside_the_picture_is_absent(tmp_path, clip):
    arrays = _arrays()
    arrays["boxes_xyxy"][0] += 1000
    tracks, _ = _read(tmp_path, clip, arrays)
    assert tracks.person_ids.tolist() == [4]


def _without(name):
    return lambda arrays: arrays.pop(name)


def _with(name, value):
    return lambda arrays: arrays.update({name: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("boxes_xyxy"), "boxes_xyxy missing"),
        (_without("person_ids"), "person_ids missing"),
        (_with("boxes_xyxy", np.zeros((2, 20, 3))), r"\(2, 20, 4\)"),
        (_with("boxes_xyxy", np.zeros((20, 2, 4))), r"\(2, 20, 4\)"),
        (_with("boxes_xyxy", np.full((2, 20, 4), "a")), "give numbers"),
        (_with("boxes_xyxy", np.full((2, 20, 4), np.inf)), "infinite"),
        (_with("boxes_xyxy", np.full((2, 20, 4), [0, 0, NAN, 5])), "partly NaN"),
        (_with("boxes_xyxy", np.full((2, 20, 4), [50.0, 0, 20, 5])), "x1 <= x0"),
        (_with("frame_indices", np.arange(20)[::-1].copy()), "must increase"),
        (_with("frame_indices", np.arange(20) - 3), "at 0 or above"),
        (_with("frame_indices", np.arange(20) / 2), "whole numbers"),
        (_with("frame_indices", np.arange(20) + 100), "none of its frame_indices"),
        (_with("person_ids", np.array([1, 1])), "twice"),
        (_with("person_ids", np.array(["a", "b"])), "whole numbers"),
        (_with("masks", np.zeros((2, 20, 8, 8))), "give bool"),
        (_with("masks", np.zeros((2, 19, 8, 8), bool)), "give bool"),
        (_with("masks", np.zeros((2, 20, 0, 8), bool)), "empty"),
        (_with("person_ids", np.array([1, object()], dtype=object)), "without objects"),
    ],
)
def test_wrong_contents_are_refused_in_one_line(tmp_path, clip, change, message):
    arrays = _arrays()
    change(arrays)
    with pytest.raises(InputError, match=message) as caught:
        _read(tmp_path, clip, arrays)
    assert "\n" not in str(caught.value) and "tracks.npz" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 not really a zip"])
def test_files_that_are_no_npz_are_refused(tmp_path, clip, content):
    (tmp_path / "tracks.npz").write_bytes(content)
    with pytest.raises(InputError, match="not a readable npz") as caught:
        read_tracks(tmp_path / "tracks.npz", clip, mask_size=(25, 40), landmarks=NoLandmarks())
    assert "\n" not in str(caught.value)


def test_a_single_array_and_a_missing_file_are_refused(tmp_path, clip):
    np.save(tmp_path / "tracks.npy", np.zeros(3))
    with pytest.raises(InputError, match="single array"):
        read_tracks(tmp_path / "tracks.npy", clip, mask_size=(25, 40), landmarks=NoLandmarks())
    with pytest.raises(InputError, match="no such file"):
        read_tracks(tmp_path / "nothing.npz", clip, mask_size=(25, 40), landmarks=NoLandmarks())
