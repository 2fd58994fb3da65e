"""A video with outlined people: how well does a mask cover its person?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float64
from numpy import ndarray

from unish.errors import InputError
from unish.io.depth_maps import read_values
from unish.lab.evaluation.predictor import Predictor, Request
from unish.lab.evaluation.results import Row, mean_of_rows
from unish.structs import Reconstruction
from unish.video.sources.folders import list_images

_VIDEOS = "video"
_SUFFIX = "_mask"


@dataclass(frozen=True, kw_only=True)
class MasksBenchmark:
    """``NAME_mask/N.png`` (one person, not 0), and a video ``davis_NAME*`` in ``video/`` beside the labelled folder.

    One mask per frame of the video. The person with the best mean intersection over union is scored; a frame in which
    they were not found counts 0. ``box_iou`` is that of the person's box, filled. The masks of this sample were made
    to remove the person from the video: they are wide and hold racket, ball and shadow, so ``mask_inside_share``, the
    part of our mask that lies in theirs, is the number that can reach 1.
    """

    needs: str = "NAME_mask/N.png, and video/davis_NAME* beside the labelled folder"

    def sequences(self, data: Path) -> list[str]:
        names = sorted(path.name.removesuffix(_SUFFIX) for path in data.glob(f"*{_SUFFIX}") if path.is_dir())
        return [name for name in names if _find_video(data, name) is not None]

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        video = _find_video(data, sequence)
        if video is None:
            raise InputError(f"{sequence}: its video is gone")
        found = predictor.predict(Request(name=sequence, source=video)).reconstruction
        masks = list_images(data / f"{sequence}{_SUFFIX}")
        frames = np.flatnonzero(found.frame_indices < len(masks))
        true = np.stack([read_values(masks[index]) > 0 for index in found.frame_indices[frames]])
        sized = torch.nn.functional.interpolate(
            torch.from_numpy(true)[:, None].float(), size=found.person_masks.shape[1:], mode="nearest-exact"
        )
        return _score_masks(found, frames, sized[:, 0].numpy() > 0)

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Means over videos."""
        return mean_of_rows(list(rows.values()))


def _find_video(data: Path, name: str) -> Path | None:
    return next(iter(sorted((data.parent.parent / _VIDEOS).glob(f"davis_{name}*"))), None)


def _score_masks(found: Reconstruction, frames: ndarray, true: Bool[ndarray, "K H W"]) -> Row:
    if found.num_people == 0:
        raise InputError("nobody was found")
    masks = [found.person_masks[frames] == person for person in range(found.num_people)]
    overlaps = np.stack([_overlap(mask, true) for mask in masks])
    person = int(overlaps.mean(1).argmax())
    ours = masks[person]
    return {
        "frames": len(frames),
        "people": found.num_people,
        "seen_share": float(found.person_valid[person, frames].mean()),
        "mask_iou": float(overlaps[person].mean()),
        "mask_inside_share": float((ours & true).sum() / max(1, ours.sum())),
        "box_iou": float(_overlap(_fill_boxes(found, person, frames), true).mean()),
    }


def _overlap(masks: Bool[ndarray, "K H W"], true: Bool[ndarray, "K H W"]) -> Float64[ndarray, "K"]:
    """Intersection over union of each frame; 1 where both are empty."""
    shared, either = (masks & true).sum((1, 2)), (masks | true).sum((1, 2))
    return np.where(either > 0, shared / np.maximum(either, 1), 1.0)


def _fill_boxes(found: Reconstruction, person: int, frames: ndarray) -> Bool[ndarray, "K H W"]:
    height, width = found.person_masks.shape[1:]
    left, top, right, bottom = found.boxes_xyxy[person, frames].T[..., None, None]
    x, y = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
    return (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
