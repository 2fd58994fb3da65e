"""Tracks that the user brings along instead of the detector's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int16
from numpy import ndarray
from torch import Tensor

from unish.errors import InputError
from unish.people.boxes import box_area, clip_box
from unish.people.choice import PeopleChoice
from unish.people.config import PeopleConfig
from unish.people.facing import settle_facing
from unish.people.find import PoseModels, load_pose_models
from unish.people.fuse import add_points
from unish.people.masks import LandmarkSegmenter, draw_labels
from unish.people.observe import observe_box
from unish.people.protocols import Observation, Segmenter
from unish.people.reading import Frame
from unish.people.records import pack, select_people
from unish.people.regions import Region
from unish.structs import Clip, FrameArray, Landmarks, Tracks
from unish.structs.progress import Progress
from unish.values import check_path

_REQUIRED = ("frame_indices", "person_ids", "boxes_xyxy")
_FIELDS = "frame_indices (F,), person_ids (P,), boxes_xyxy (P,F,4)"


def read_tracks(
    path: str | Path,
    clip: Clip,
    *,
    mask_size: tuple[int, int],
    config: PeopleConfig | None = None,
    models: PoseModels | None = None,
    segmenter: Segmenter | None = None,
    choice: PeopleChoice | None = None,
    progress: Progress | None = None,
) -> tuple[Tracks, Landmarks]:
    """Tracks from an npz, landmarks from the pictures inside the given boxes.

    The file holds ``frame_indices`` (F,) in the source, increasing; ``person_ids`` (P,), all different; ``boxes_xyxy``
    (P, F, 4) in source pixels, NaN where absent; and optionally ``masks`` (P, F, h, w) bool over the whole picture in
    any resolution. Frames of the clip that the file does not name have nobody in them.

    Args:
        path: the npz; it is read without pickle.
        clip: the frames.
        mask_size: (h, w) of the masks.
        config: settings; the limits on length and number of people hold here, too.
        models, segmenter: replacements of the default ones; masks of the file go before a segmenter.
        choice: whom to keep; ``None`` keeps everybody.
        progress: called after each frame.

    Raises:
        InputError: the file is missing or unreadable, lacks a key, or holds a wrong shape, type or value; or ``choice``
            names somebody who is not there.
    """
    config = config or PeopleConfig()
    arrays = _load(check_path("tracks", path))
    frame_of = _match_frames(path, arrays["frame_indices"], clip)
    models = models or load_pose_models(config, progress)
    outside = 0
    people: dict[int, dict[int, Observation]] = {int(identity): {} for identity in np.sort(arrays["person_ids"])}
    for done, (column, index) in enumerate(frame_of.items(), start=1):
        frame, seen = Frame.of(clip.images[index]), dict[int, Observation]()
        for identity, boxes in zip(arrays["person_ids"], arrays["boxes_xyxy"], strict=True):
            box = clip_box(clip.from_source(boxes[column].reshape(2, 2)).reshape(4), clip.size)
            if box_area(box) == 0:
                outside += 1
            elif np.isfinite(box).all():
                seen[int(identity)] = observe_box(
                    frame,
                    box,
                    _expect(people[int(identity)], clip, index),
                    models.landmarks,
                    finder=models.finder,
                    min_landmark_score=config.min_landmark_score,
                )
        if models.keypoints is not None:
            fused = add_points(
                frame,
                list(seen.values()),
                models.keypoints,
                models.landmarks,
                min_landmark_score=config.min_landmark_score,
            )
            seen = dict(zip(seen, fused, strict=True))
        for identity, observation in seen.items():
            people[identity][index] = observation
        if progress is not None:
            progress("find people", done, len(frame_of))
    chosen, messages = select_people({key: one for key, one in people.items() if one}, clip, config, choice)
    chosen = settle_facing(chosen, clip)
    messages += models.notes
    messages += _describe_losses(path, outside=outside, unnamed=clip.num_frames - len(frame_of), used=clip.num_frames)
    if not chosen:
        messages.append(f"{path}: nobody is in the used frames: only the scene is reconstructed")
    if "masks" in arrays:
        rows = [int(np.nonzero(arrays["person_ids"] == identity)[0][0]) for identity in chosen]
        masks = _crop_masks(arrays["masks"], clip.source_area or (0.0, 0.0, *clip.source_size), clip.source_size)
        labels = _given_labels(masks, rows, frame_of, clip.num_frames, mask_size)
    else:
        labels = draw_labels(list(chosen.values()), clip, mask_size, segmenter or LandmarkSegmenter())
    return pack(chosen, clip, labels, messages)


def _expect(person: Mapping[int, Observation], clip: Clip, index: int) -> list[Region]:
    """Where somebody is to be looked for first: where they were in the frame before, if that is of the same shot."""
    before = person.get(index - 1)
    if before is None or before.pose is None or clip.segment[index] != clip.segment[index - 1]:
        return []
    return [before.pose.next_region]


def _describe_losses(path: str | Path, *, outside: int, unnamed: int, used: int) -> list[str]:
    """What of the file or of the clip had to be left out, one sentence each."""
    messages = []
    if outside:
        messages.append(f"{path}: {outside} of its boxes are outside the picture and were left out")
    if unnamed:
        messages.append(f"{path}: names {used - unnamed} of the {used} used frames; nobody is in the others")
    return messages


def _load(path: Path) -> dict[str, ndarray]:
    """The arrays, checked one by one."""
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, ndarray):
            raise InputError(f"{path}: holds a single array; save an npz with {_FIELDS}")
        with file:
            arrays = {name: file[name] for name in (*_REQUIRED, "masks") if name in file.files}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give an npz with {_FIELDS}") from None
    except InputError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a readable npz ({reason}); save one with numpy.savez, without objects") from None
    missing = [name for name in _REQUIRED if name not in arrays]
    if missing:
        raise InputError(f"{path}: {', '.join(missing)} missing; save an npz with {_FIELDS}")
    _check_axes(path, arrays)
    _check_boxes(path, arrays["boxes_xyxy"])
    return arrays


def _check_axes(path: Path, arrays: dict[str, ndarray]) -> None:
    frames, ids, boxes = arrays["frame_indices"], arrays["person_ids"], arrays["boxes_xyxy"]
    for name, array in (("frame_indices", frames), ("person_ids", ids)):
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise InputError(f"{path}: {name} is {array.dtype} {array.shape}; give whole numbers in one dimension")
    if (np.diff(frames.astype(np.int64)) <= 0).any() or (len(frames) and frames[0] < 0):
        raise InputError(f"{path}: frame_indices must increase and start at 0 or above; sort them and drop duplicates")
    if len(np.unique(ids)) != len(ids):
        raise InputError(f"{path}: person_ids has an id twice; give each person one row")
    expected = (len(ids), len(frames), 4)
    if boxes.shape != expected or boxes.dtype.kind not in "fiu":
        raise InputError(
            f"{path}: boxes_xyxy is {boxes.dtype} {boxes.shape}; give numbers of shape {expected} (P, F, 4)"
        )
    masks = arrays.get("masks")
    if masks is not None and (masks.dtype != bool or masks.ndim != 4 or masks.shape[:2] != expected[:2]):
        raise InputError(
            f"{path}: masks is {masks.dtype} {masks.shape}; give bool of shape ({expected[0]}, {expected[1]}, h, w)"
        )
    if masks is not None and 0 in masks.shape[2:]:
        raise InputError(f"{path}: masks is empty, {masks.shape}; leave it out if there are none")


def _check_boxes(path: Path, boxes: ndarray) -> None:
    absent = np.isnan(boxes.astype(np.float64))
    if (absent.any(axis=-1) != absent.all(axis=-1)).any() or np.isinf(boxes.astype(np.float64)).any():
        raise InputError(f"{path}: boxes_xyxy has boxes that are partly NaN or infinite; make absent ones all NaN")
    present = boxes[~absent.any(axis=-1)]
    if (present[:, 2:] <= present[:, :2]).any():
        raise InputError(f"{path}: boxes_xyxy has boxes with x1 <= x0 or y1 <= y0; give left, top, right, bottom")


def _match_frames(path: str | Path, frame_indices: ndarray, clip: Clip) -> dict[int, int]:
    """Column in the file → frame of the clip, for the frames that both have."""
    used = {int(source): index for index, source in enumerate(clip.frame_indices)}
    matched = {column: used[int(source)] for column, source in enumerate(frame_indices) if int(source) in used}
    if not matched:
        some = ", ".join(str(int(source)) for source in clip.frame_indices[:4])
        raise InputError(f"{path}: none of its frame_indices is used; the used frames of the source are {some} …")
    return matched


def _crop_masks(
    masks: Bool[ndarray, "P F h w"], shown: tuple[float, float, float, float], source_size: tuple[int, int]
) -> Bool[ndarray, "P F hh ww"]:
    """The part of the user's masks that lies over what the clip shows of the source."""
    height, width = masks.shape[2:]
    factor = np.array([height / source_size[0], width / source_size[1]] * 2)
    top, left, bottom, right = (np.array(shown) * factor).round().astype(int).tolist()
    return masks[:, :, min(top, height - 1) : max(bottom, top + 1), min(left, width - 1) : max(right, left + 1)]


def _given_labels(
    masks: Bool[ndarray, "P F h w"], rows: list[int], frame_of: dict[int, int], num_frames: int, size: tuple[int, int]
) -> Int16[FrameArray, "T hh ww"]:
    """Labels from the user's masks, averaged down (or interpolated up) to the size; the first person wins a tie."""
    column_of = {index: column for column, index in frame_of.items()}

    def draw(frame: int) -> Int16[Tensor, "hh ww"]:
        if not rows or frame not in column_of:
            return torch.full(size, -1, dtype=torch.int16)
        layers = torch.from_numpy(masks[rows, column_of[frame]]).float()[:, None]
        shares = torch.nn.functional.interpolate(layers, size, mode="bilinear", antialias=True)[:, 0]
        best, who = shares.max(dim=0)
        return torch.where(best >= 0.5, who, -1).to(torch.int16)

    return FrameArray((num_frames, *size), torch.int16, draw)
