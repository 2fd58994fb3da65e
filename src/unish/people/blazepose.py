"""BlazePose (Bazarevsky et al., 2020) on LiteRT: a detector for large people in any pose, and landmarks with masks.

The numbers (anchors, thresholds, margins) are those of the published MediaPipe graphs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from numpy import ndarray
from torch import Tensor

from unish.body.joints import MIRRORED_LANDMARKS
from unish.errors import InputError
from unish.people.boxes import box_iou, clip_box
from unish.people.protocols import Detection, Pose
from unish.people.regions import Region, cut_region
from unish.structs import NUM_LANDMARKS

REGION_MARGIN = 1.25
"""Side of a region over the diameter of the circle around the body."""

_DETECTOR_SIZE = 224
_LANDMARK_SIZE = 256
_GRIDS = (28, 2), (14, 2), (7, 6)
_MAX_OVERLAP = 0.3
_REFINE_WINDOW = 7
_REFINE_MIN = 0.5
_HIP_CENTRE, _BODY_CIRCLE = 33, 34
_MASK_SIZE = 128
# The two points that the regions are made of lie in the middle of the body.
_MIRRORED = np.array([*MIRRORED_LANDMARKS, _HIP_CENTRE, _BODY_CIRCLE])


def load_interpreter(path: Path, *, num_threads: int) -> Any:
    """A LiteRT interpreter, ready to run.

    Raises:
        InputError: the file is not a LiteRT model.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(str(path), num_threads=num_threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{path}: not a usable LiteRT model ({error}); remove it and run again") from None
    return interpreter


def run_interpreter(interpreter: Any, picture: Float32[ndarray, "H W 3"]) -> list[ndarray]:
    """The outputs, batch dimension dropped, in the model's order."""
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture[None])
    interpreter.invoke()
    return [interpreter.get_tensor(output["index"])[0] for output in interpreter.get_output_details()]


def sigmoid(x: ndarray) -> ndarray:
    """1 / (1 + e⁻ˣ) without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))


class BlazePoseDetector:
    """``Detector`` for one or two large people, upside down and curled up included.

    It sees the head and the hips; the box that it reports is the upright square around the body circle.
    """

    def __init__(self, model: Path, *, min_score: float = 0.7, num_threads: int = 2):
        self.interpreter = load_interpreter(model, num_threads=num_threads)
        self.min_score = min_score
        self.anchors = make_anchors()

    def detect(self, images: UInt8[Tensor, "T H W 3"]) -> list[list[Detection]]:
        """The people in each picture, best first."""
        return [self._detect_one(image) for image in images]

    @torch.inference_mode()
    def _detect_one(self, image: UInt8[Tensor, "H W 3"]) -> list[Detection]:
        height, width = image.shape[:2]
        whole = Region(x=width / 2, y=height / 2, side=max(height, width))
        square = cut_region(image.permute(2, 0, 1).float(), whole, _DETECTOR_SIZE) / 127.5 - 1
        found = []
        for region, score in self._find(square, whole):
            radius = region.side / REGION_MARGIN / 2
            box = np.array([region.x - radius, region.y - radius, region.x + radius, region.y + radius])
            found.append(Detection(box_xyxy=clip_box(box, (height, width)), score=score, region=region))
        return found

    @torch.inference_mode()
    def find_regions(self, picture: Float32[Tensor, "3 H W"], around: Region) -> list[Region]:
        """See ``RegionFinder``; in a part of the picture, people are found who are too small in the whole of it."""
        return [region for region, _ in self._find(2 * cut_region(picture, around, _DETECTOR_SIZE) - 1, around)]

    def _find(self, square: Float32[Tensor, "3 n n"], around: Region) -> list[tuple[Region, float]]:
        """Regions of the picture and scores, best first, from what was cut out of it, in [−1, 1]."""
        raw, logits = run_interpreter(self.interpreter, square.permute(1, 2, 0).contiguous().numpy())
        scores = sigmoid(logits[:, 0])
        likely = scores >= self.min_score
        # Per anchor: box centre, box size, then four points: hip centre, body circle, two of the chest.
        numbers = raw[likely].reshape(-1, 6, 2) / _DETECTOR_SIZE
        numbers[:, [0, 2, 3, 4, 5]] += self.anchors[likely][:, None]
        return [
            (Region.around_body(*around.to_picture(points[2:4]), margin=REGION_MARGIN), score)
            for points, score in merge_overlapping(numbers, scores[likely])
        ]


def make_anchors() -> Float32[ndarray, "2254 2"]:
    """Centres of the detector's anchors in [0, 1]², x before y, in the order of its outputs."""
    anchors = []
    for grid, count in _GRIDS:
        y, x = np.meshgrid(np.arange(grid), np.arange(grid), indexing="ij")
        centres = (np.stack([x, y], axis=-1).reshape(-1, 1, 2) + 0.5) / grid
        anchors.append(np.repeat(centres, count, axis=1).reshape(-1, 2))
    return np.concatenate(anchors).astype(np.float32)


def merge_overlapping(
    numbers: Float32[ndarray, "N 6 2"], scores: Float32[ndarray, "N"]
) -> list[tuple[Float32[ndarray, "6 2"], float]]:
    """Weighted non-maximum suppression: each best detection becomes the score-weighted mean of those it overlaps."""
    boxes = np.concatenate([numbers[:, 0] - numbers[:, 1] / 2, numbers[:, 0] + numbers[:, 1] / 2], axis=-1)
    overlap = box_iou(boxes, boxes)
    left = np.ones(len(scores), bool)
    merged = []
    for index in np.argsort(-scores, kind="stable"):
        if left[index]:
            group = left & (overlap[index] > _MAX_OVERLAP)
            group[index] = True
            merged.append((np.average(numbers[group], axis=0, weights=scores[group]), float(scores[index])))
            left &= ~group
    return merged


class BlazePoseLandmarks:
    """``LandmarkModel``: 33 landmarks, 3-D landmarks and a mask, 256² pixels at a time.

    Args:
        model: LiteRT file, full or heavy.
        mirror: read the mirrored crop, too, and average.
        num_threads: for LiteRT.
    """

    def __init__(self, model: Path, *, mirror: bool = False, num_threads: int = 2):
        self.interpreter = load_interpreter(model, num_threads=num_threads)
        self.mirror = mirror

    @torch.inference_mode()
    def read_pose(self, picture: Float32[Tensor, "3 H W"], region: Region) -> Pose:
        """``picture`` is RGB in [0, 1]. Always answers; ``Pose.score`` says whether there is anybody."""
        crop = cut_region(picture, region, _LANDMARK_SIZE).permute(1, 2, 0)
        reading = self._read_crop(crop)
        if self.mirror:
            reading = average_readings(reading, mirror_reading(self._read_crop(crop.flip(1))))
        px = region.to_picture(reading.spots)
        # The model sees an upright crop; what is left to undo is the turn of the crop in the picture plane.
        world = np.concatenate([reading.world[:, :2] @ region.axes().T, reading.world[:, 2:]], axis=-1)
        return Pose(
            px=np.concatenate([px[:NUM_LANDMARKS], reading.visibility[:, None]], axis=-1).astype(np.float32),
            world=world.astype(np.float32),
            score=reading.score,
            region=region,
            next_region=Region.around_body(px[_HIP_CENTRE], px[_BODY_CIRCLE], margin=REGION_MARGIN),
            mask=np.round(reading.mask * 255).astype(np.uint8),
        )

    def _read_crop(self, crop: Float32[Tensor, "n n 3"]) -> Reading:
        points, score, mask, heat, world = run_interpreter(self.interpreter, crop.contiguous().numpy())
        points = points.reshape(39, 5)
        return Reading(
            spots=refine_by_heat(points[:, :2] / _LANDMARK_SIZE, sigmoid(heat))[: NUM_LANDMARKS + 2],
            visibility=sigmoid(points[:NUM_LANDMARKS, 3]),
            world=world.reshape(39, 3)[:NUM_LANDMARKS],
            score=float(score[0]),
            mask=shrink_mask(mask[..., 0]),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """What the model says about one crop.

    Attributes:
        spots: in [0, 1]² of the crop: the landmarks, then hip centre and a point on the circle around the body.
        visibility: 0..1.
        world: metres, axes of the crop.
        score: probability that somebody is there.
        mask: probability of belonging to the person.
    """

    spots: Float32[ndarray, "35 2"]
    visibility: Float32[ndarray, "33"]
    world: Float32[ndarray, "33 3"]
    score: float
    mask: Float32[ndarray, "m m"]


def mirror_reading(reading: Reading) -> Reading:
    """What would have been read from the mirrored crop: x turned around, left and right landmarks exchanged."""
    spots, world = reading.spots[_MIRRORED].copy(), reading.world[_MIRRORED[:NUM_LANDMARKS]].copy()
    spots[:, 0] = 1 - spots[:, 0]
    world[:, 0] *= -1
    return Reading(
        spots=spots,
        visibility=reading.visibility[_MIRRORED[:NUM_LANDMARKS]],
        world=world,
        score=reading.score,
        mask=reading.mask[:, ::-1],
    )


def average_readings(first: Reading, second: Reading) -> Reading:
    """The mean of two readings of one crop."""
    means = {field.name: (getattr(first, field.name) + getattr(second, field.name)) / 2 for field in fields(Reading)}
    return Reading(**means)


def refine_by_heat(spots: Float32[ndarray, "N 2"], heat: Float32[ndarray, "h w N"]) -> Float32[ndarray, "N 2"]:
    """Move each landmark in [0, 1]² to the centre of mass of its heat map nearby, where the map is sure."""
    height, width = heat.shape[:2]
    reach = _REFINE_WINDOW // 2
    refined = spots.copy()
    for index, (x, y) in enumerate(spots):
        column, row = math.floor(x * width), math.floor(y * height)
        if not (0 <= column < width and 0 <= row < height):
            continue
        top, left = max(row - reach, 0), max(column - reach, 0)
        window = heat[top : row + reach + 1, left : column + reach + 1, index]
        if window.max() >= _REFINE_MIN:
            total = window.sum()
            refined[index, 0] = (left + window.sum(axis=0) @ np.arange(window.shape[1]) / total) / width
            refined[index, 1] = (top + window.sum(axis=1) @ np.arange(window.shape[0]) / total) / height
    return refined


def shrink_mask(logits: Float32[ndarray, "H W"]) -> Float32[ndarray, "m m"]:
    """Mean probability of blocks of pixels: enough for masks at the network's resolution."""
    factor = logits.shape[0] // _MASK_SIZE
    return sigmoid(logits).reshape(_MASK_SIZE, factor, _MASK_SIZE, factor).mean(axis=(1, 3))
