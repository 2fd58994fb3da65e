"""A man on a street whose place and height a laser measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unish.errors import InputError
from unish.lab.datasets.sequences import read_image, read_numbers
from unish.lab.evaluation.benchmarks.landmark_truth import joints_in_camera, source_pixels
from unish.lab.evaluation.benchmarks.pictures import clip_of_pictures
from unish.lab.evaluation.metrics import match_people
from unish.lab.evaluation.predictor import Predictor, Request
from unish.lab.evaluation.results import Row, mean_of_rows

_LISTED = "people_boxes.json"


@dataclass(frozen=True, kw_only=True)
class StreetBenchmark:
    """``rgb/NAME.jpg``, ``intrinsics.txt`` (fx fy cx cy) and ``people_boxes.json``, KITTI's boxes of one picture.

    A box says ``height_m`` of the person as they walk, ``distance_z_m`` of its middle along the viewing axis, and
    ``bbox_px``. The person with the best overlap is scored: distance of the pelvis, standing height.

    Attributes:
        give_camera: whether the method is told the true camera.
    """

    give_camera: bool = False
    needs: str = f"rgb/NAME.jpg, intrinsics.txt and {_LISTED}"

    def sequences(self, data: Path) -> list[str]:
        return sorted(_read_boxes(data))

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        truth = _read_boxes(data)[sequence]
        picture = read_image(data / "rgb" / f"{sequence}.jpg")
        clip = clip_of_pictures(picture[None], times_s=np.zeros(1), numbers=np.zeros(1, np.int64), name=sequence)
        fx, fy, cx, cy = read_numbers(data / "intrinsics.txt", (4,)).tolist()
        settings = {"intrinsics": (fx, fy, cx, cy)} if self.give_camera else {}
        answer = predictor.predict(Request(name=sequence, source=clip, settings=settings))
        found = answer.reconstruction
        box = np.array(truth["bbox_px"]).reshape(2, 2) / source_pixels(found)
        pairs = match_people(
            torch.from_numpy(found.boxes_xyxy[:, :1]),
            torch.from_numpy(box.reshape(1, 1, 4).astype(np.float32)),
            torch.from_numpy(found.person_valid[:, :1]),
            torch.ones(1, 1, dtype=torch.bool),
        )
        if not pairs:
            raise InputError("nobody was found where the person is")
        person = pairs[0][0]
        pelvis = joints_in_camera(found, person, np.zeros(1, np.int64))[0, 0]
        height = float(answer.body.standing_height(torch.from_numpy(found.betas[person])[None])[0])
        ratio = float(pelvis[2]) / truth["distance_z_m"]
        return {
            "people": found.num_people,
            "distance_error_percent": 100 * abs(ratio - 1),
            "distance_bias_percent": 100 * (ratio - 1),
            "stature_error_cm": 100 * abs(height - truth["height_m"]),
        }

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Means over pictures."""
        return mean_of_rows(list(rows.values()))


def _read_boxes(data: Path) -> dict[str, dict[str, Any]]:
    """By picture, its first box; a picture with several is not of this sample."""
    listed = data / _LISTED
    if not listed.is_file():
        return {}
    try:
        boxes = {Path(box["image"]).stem: box for box in json.loads(listed.read_text())}
        wanted = ("bbox_px", "distance_z_m", "height_m")
        boxes = {name: {key: box[key] for key in wanted} for name, box in boxes.items()}
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{listed}: not a list of boxes; copy the sample again") from None
    return {name: box for name, box in boxes.items() if (data / "rgb" / f"{name}.jpg").is_file()}
