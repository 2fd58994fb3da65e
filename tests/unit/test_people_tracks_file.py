"""Tracks that the user brings along: what is taken from the file, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from unish.body.joints import MIRRORED_LANDMARKS
from unish.errors import InputError
from unish.people import PoseModels, read_tracks
from unish.people.facing import mirror_world
from unish.people.protocols import Pose
from unish.people.regions import Region
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
    return read_tracks(
        tmp_path / "tracks.npz", clip, mask_size=(25, 40), models=PoseModels(landmarks=NoLandmarks()), **settings
    )


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
    assert bool((tracks.masks[:, 6:14, 11:19] == 1).all()) and int((tracks.masks[:] == 1).sum()) < 4 * 110
    assert bool((tracks.masks[1, 21:, 31:] == 0).all()) and not bool((tracks.masks[0] == 0).any())


def test_a_box_outside_the_picture_is_absent(tmp_path, clip):
    arrays = _arrays()
    arrays["boxes_xyxy"][0] += 1000
    tracks, _ = _read(tmp_path, clip, arrays)
    assert tracks.person_ids.tolist() == [4]


def test_what_of_the_file_was_left_out_is_said(tmp_path, clip):
    arrays = _arrays()
    arrays["boxes_xyxy"][0, 5] += 1000
    arrays["boxes_xyxy"][1, :6] = NAN
    tracks, _ = _read(tmp_path, clip, arrays)
    name = tmp_path / "tracks.npz"
    assert f"{name}: 1 of its boxes are outside the picture and were left out" in tracks.warnings
    assert not any("names" in text for text in tracks.warnings)
    arrays = _arrays(1, 14)
    tracks, _ = _read(tmp_path, clip, arrays)
    assert f"{name}: names 3 of the 4 used frames; nobody is in the others" in tracks.warnings
    assert not any("outside" in text for text in tracks.warnings)


def test_landmarks_are_read_inside_each_box_of_each_frame(tmp_path, clip):
    """Boxes touch the sides of the picture, frames are those that the file names, progress ends at the end."""

    class Middle:
        def __init__(self):
            self.seen = []

        def read_pose(self, picture, region):
            self.seen.append((round(float(picture.mean()), 3), region.x, region.y, region.side))
            px = np.zeros((33, 3), np.float32)
            px[:, 0] = region.x + np.linspace(-0.4, 0.4, 33) * region.side
            px[:, 1] = region.y + np.linspace(-0.4, 0.4, 33) * region.side
            px[:, 2] = 1
            return Pose(px=px, world=px, score=0.8, region=region, next_region=region)

    for index, image in enumerate(clip.images):
        image[:] = 50 * index
    arrays = _arrays(1)
    arrays["boxes_xyxy"][0, 10:] = [0, 0, 160, 100]
    arrays["frame_indices"] = arrays["frame_indices"] + 5
    np.savez(tmp_path / "tracks.npz", **arrays)
    model, calls = Middle(), []
    tracks, landmarks = read_tracks(
        tmp_path / "tracks.npz",
        clip,
        mask_size=(25, 40),
        models=PoseModels(landmarks=model),
        progress=lambda *call: calls.append(call),
    )
    assert calls == [("find people", done, 3) for done in (1, 2, 3)]
    assert tracks.valid.tolist() == [[False, True, True, True]] and landmarks.score[0].tolist() == pytest.approx(
        [0, 0.8, 0.8, 0.8]
    )
    assert {level for level, *_ in model.seen} == {round(50 * k / 255, 3) for k in (1, 2, 3)}
    assert {region for _, *region in map(list, model.seen) for region in [tuple(region)]} == {
        (20.0, 25.0, 50.0), (40.0, 25.0, 100.0)
    }  # fmt: skip
    assert tracks.boxes_xyxy[0, 3].tolist() == [0, 0, 80, 50]


def test_masks_are_averaged_down_and_half_a_pixel_is_enough(tmp_path, clip):
    """Four by four pixels of the file in each of the labels; the filter reaches into its neighbours."""
    arrays = _arrays(2)
    masks = np.zeros((2, 20, 100, 160), bool)
    masks[0, :, :, 80:] = True
    masks[1, :, :50, :82] = True
    arrays["masks"] = masks
    tracks, _ = _read(tmp_path, clip, arrays)
    labels = tracks.masks[0].numpy()
    # Rows follow the sorted ids: the file's second person is 0.
    assert (labels[:12, :20] == 0).all() and (labels[:12, 21:] == 1).all()
    assert (labels[13:, :20] == -1).all() and (labels[13:, 20:] == 1).all()
    arrays["masks"] = np.ones((2, 20, 10, 16), bool)
    tracks, _ = _read(tmp_path, clip, arrays)
    assert (tracks.masks[:] == 0).all()


def test_masks_without_people_label_nothing(tmp_path, clip):
    arrays = _arrays(1)
    arrays["masks"] = np.ones((1, 20, 10, 16), bool)
    arrays["boxes_xyxy"][:] = NAN
    tracks, _ = _read(tmp_path, clip, arrays)
    assert tracks.num_people == 0 and (tracks.masks[:] == -1).all()


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


def test_somebody_is_looked_for_where_they_were_in_the_frame_before_if_that_is_of_the_same_shot(tmp_path, clip):
    class Notes(NoLandmarks):
        def __init__(self):
            self.regions: list[Region] = []

        def read_pose(self, picture, region):
            self.regions.append(region)
            px = np.zeros((33, 3), np.float32)
            px[:, 2] = 1
            px[:, :2] = np.linspace([12, 7], [28, 43], 33)
            return Pose(px=px, world=px, score=0.8, region=region, next_region=Region(x=20.0, y=25.0, side=41.0))

    class Points:
        def __init__(self):
            self.asked: list[int] = []

        def read_points(self, picture, regions):
            self.asked.append(len(regions))
            return np.zeros((len(regions), 17, 4), np.float32)

    model, points = Notes(), Points()
    clip = replace(clip, segment=torch.tensor([0, 0, 1, 1]))
    np.savez(tmp_path / "tracks.npz", **_arrays(1))
    models = PoseModels(landmarks=model, keypoints=points, notes=("something is missing",))
    tracks, landmarks = read_tracks(tmp_path / "tracks.npz", clip, mask_size=(25, 40), models=models)
    first = [region.side for region in model.regions if region.x == 20 and region.side != 41]
    # It is asked twice about somebody of whom it sees nothing.
    assert len(first) == 2 and points.asked == [1] * 8 and tracks.warnings[0] == "something is missing"
    assert landmarks.sigma_px.shape == (1, 4, 33) and bool(landmarks.sigma_px.isfinite().all())


def test_who_stands_is_read_from_the_same_side_in_every_frame(tmp_path, clip):
    """One frame takes the front for the back."""

    class Turned(NoLandmarks):
        def __init__(self):
            self.world = np.random.default_rng(0).standard_normal((33, 3)).astype(np.float32)

        def read_pose(self, picture, region):
            px = np.concatenate([10 * self.world[:, :2] + 20, np.ones((33, 1))], axis=-1).astype(np.float32)
            wrong = float(picture.mean()) > 0.5
            pose = Pose(px=px, world=self.world, score=0.8, region=region, next_region=region)
            order = list(MIRRORED_LANDMARKS)
            return replace(pose, px=px[order], world=mirror_world(self.world)) if wrong else pose

    model = Turned()
    clip = replace(clip, images=torch.where(torch.arange(4)[:, None, None, None] == 1, 255, clip.images))
    np.savez(tmp_path / "tracks.npz", **_arrays(1))
    _, landmarks = read_tracks(tmp_path / "tracks.npz", clip, mask_size=(25, 40), models=PoseModels(landmarks=model))
    assert torch.equal(landmarks.world, torch.from_numpy(model.world).expand(1, 4, 33, 3))


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 not really a zip"])
def test_files_that_are_no_npz_are_refused(tmp_path, clip, content):
    (tmp_path / "tracks.npz").write_bytes(content)
    with pytest.raises(InputError, match="not a readable npz") as caught:
        read_tracks(tmp_path / "tracks.npz", clip, mask_size=(25, 40), models=PoseModels(landmarks=NoLandmarks()))
    assert "\n" not in str(caught.value)


def test_a_single_array_and_a_missing_file_are_refused(tmp_path, clip):
    np.save(tmp_path / "tracks.npy", np.zeros(3))
    with pytest.raises(InputError, match="single array"):
        read_tracks(tmp_path / "tracks.npy", clip, mask_size=(25, 40), models=PoseModels(landmarks=NoLandmarks()))
    with pytest.raises(InputError, match="no such file"):
        read_tracks(tmp_path / "nothing.npz", clip, mask_size=(25, 40), models=PoseModels(landmarks=NoLandmarks()))
