"""Person masks in the picture: from each person's own mask to one label per pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32, Int16, UInt8
from numpy import ndarray
from torch import Tensor

from unish.people.boxes import clip_box
from unish.people.protocols import Observation, Pose, Segmenter
from unish.structs import Clip, FrameArray, FrameTensor

_MIN_PROBABILITY = 0.5
_SILHOUETTE_SAMPLES = 96
# Limbs, torso and head as pairs of BlazePose landmarks: what "near the body" means where two masks overlap.
# fmt: off
_BONES = np.array([
    [0, 11], [0, 12], [11, 12], [11, 23], [12, 24], [23, 24], [11, 24], [12, 23],  # head and torso
    [11, 13], [13, 15], [15, 19], [12, 14], [14, 16], [16, 20],  # arms
    [23, 25], [25, 27], [27, 31], [24, 26], [26, 28], [28, 32],  # legs
])
# fmt: on


class LandmarkSegmenter:
    """``Segmenter`` that uses the masks that came with the landmarks; an ellipse in the box where there are none."""

    def segment(
        self,
        images: UInt8[FrameTensor, "T H W 3"],
        frame: int,
        people: Sequence[Observation],
        size: tuple[int, int],
    ) -> Float32[ndarray, "P h w"]:
        """Probability of each person at each pixel of the picture, which is not read, shrunk to ``size`` = (h, w)."""
        height, width = size
        factor = np.array([images.shape[2] / width, images.shape[1] / height])
        out = np.zeros((len(people), height, width), np.float32)
        for layer, person in zip(out, people, strict=True):
            pose = person.pose if person.pose is not None and person.pose.mask is not None else None
            bounds = np.asarray(person.box_xyxy if pose is None else pose.region.bounds())
            x0, y0, x1, y1 = clip_box(bounds / np.tile(factor, 2), size)
            rows, columns = slice(int(y0), int(np.ceil(y1))), slice(int(x0), int(np.ceil(x1)))
            y, x = np.mgrid[rows, columns]
            points = (np.stack([x, y], axis=-1) + 0.5) * factor
            layer[rows, columns] = _ellipse(person.box_xyxy, points) if pose is None else sample_mask(pose, points)
        return out


def sample_mask(pose: Pose, points: Float[ndarray, "h w 2"]) -> Float32[ndarray, "h w"]:
    """Bilinear samples of a pose's mask at points of the picture; 0 outside its region."""
    spots = torch.from_numpy(2 * pose.region.from_picture(points) - 1).float()
    mask = torch.tensor(pose.read_mask()).float()[None, None] / 255
    sampled = torch.nn.functional.grid_sample(
        mask, spots[None], mode="bilinear", padding_mode="zeros", align_corners=False
    )
    return sampled[0, 0].numpy()


def silhouette_overlap(first: Pose, second: Pose) -> float:
    """Intersection over union of the masks of two readings; 0 without masks."""
    if first.mask is None or second.mask is None:
        return 0.0
    bounds = np.array([pose.region.bounds() for pose in (first, second)])
    (x0, y0), (x1, y1) = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
    y, x = np.mgrid[y0 : y1 : _SILHOUETTE_SAMPLES * 1j, x0 : x1 : _SILHOUETTE_SAMPLES * 1j]
    inside = [sample_mask(pose, np.stack([x, y], axis=-1)) > _MIN_PROBABILITY for pose in (first, second)]
    either = int(np.sum(inside[0] | inside[1]))
    return int(np.sum(inside[0] & inside[1])) / max(either, 1)


def _ellipse(box: Float[ndarray, "4"], points: Float[ndarray, "h w 2"]) -> Float32[ndarray, "h w"]:
    """A stand-in for a mask: the ellipse that touches the sides of the box, sure enough to count, never to win."""
    centre, half = (box[:2] + box[2:]) / 2, np.maximum((box[2:] - box[:2]) / 2, 0.5)
    return np.where((((points - centre) / half) ** 2).sum(axis=-1) <= 1, 0.51, 0.0).astype(np.float32)


def draw_labels(
    people: Sequence[Mapping[int, Observation]], clip: Clip, size: tuple[int, int], segmenter: Segmenter
) -> Int16[FrameArray, "T h w"]:
    """Index into ``people`` at each pixel of each frame, −1 = scene; drawn when a frame is read.

    ``people`` are observations by frame number.
    """

    def draw(frame: int) -> Int16[Tensor, "h w"]:
        rows = [row for row, person in enumerate(people) if frame in person]
        labels = np.full(size, -1, np.int16)
        if rows:
            present = [people[row][frame] for row in rows]
            found = label_pixels(segmenter.segment(clip.images, frame, present, size), present, clip.size)
            labels = np.where(found >= 0, np.array(rows, np.int16)[found], labels)
        return torch.from_numpy(labels)

    return FrameArray((clip.num_frames, *size), torch.int16, draw)


def label_pixels(
    probabilities: Float32[ndarray, "P h w"], people: Sequence[Observation], picture_size: tuple[int, int]
) -> Int16[ndarray, "h w"]:
    """Index of the person at each pixel, −1 = scene.

    Where several masks claim a pixel, the person whose limbs are nearest (in units of the body's size) gets it, unless
    another mask is clearly surer.
    """
    count, height, width = probabilities.shape
    labels = np.full((height, width), -1, np.int16)
    if count == 0:
        return labels
    claims = probabilities >= _MIN_PROBABILITY
    best = probabilities.argmax(axis=0).astype(np.int16)
    labels = np.where(claims.any(axis=0), best, labels)
    rows, columns = np.nonzero(claims.sum(axis=0) > 1)
    if len(rows):
        factor = np.array([picture_size[1] / width, picture_size[0] / height])
        points = (np.stack([columns, rows], axis=-1) + 0.5) * factor
        distance = np.stack([_distance_to_body(person, points) for person in people])
        distance -= 0.2 * probabilities[:, rows, columns]
        distance[~claims[:, rows, columns]] = np.inf
        labels[rows, columns] = distance.argmin(axis=0)
    return labels


def _distance_to_body(person: Observation, points: Float[ndarray, "N 2"]) -> Float[ndarray, "N"]:
    """Distance of pixels to the nearest limb, in lengths of the box diagonal (a whole one without a pose)."""
    diagonal = max(float(np.hypot(*(person.box_xyxy[2:] - person.box_xyxy[:2]))), 1.0)
    if person.pose is None:
        return np.ones(len(points))
    start, end = person.pose.px[_BONES[:, 0], :2], person.pose.px[_BONES[:, 1], :2]
    along = end - start
    share = ((points[:, None] - start) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-6)
    nearest = start + np.clip(share, 0, 1)[..., None] * along
    return np.linalg.norm(points[:, None] - nearest, axis=-1).min(axis=1) / diagonal
