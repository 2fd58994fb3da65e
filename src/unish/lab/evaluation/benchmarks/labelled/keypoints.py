"""Annotated keypoints in COCO's format: who is found, and how far points are from where people saw them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64
from numpy import ndarray

from unish.body import JOINT_NAMES, LANDMARK_NAMES
from unish.errors import InputError
from unish.geometry.camera import project
from unish.geometry.rigid import invert_rigid, transform_points
from unish.lab.evaluation.benchmarks.landmark_truth import source_pixels
from unish.lab.evaluation.metrics import match_people
from unish.lab.evaluation.predictor import Predictor, Request
from unish.lab.evaluation.results import Row, mean_of_rows
from unish.structs import Reconstruction

MIN_KEYPOINTS = 5
"""People with fewer annotated keypoints need not be found; finding them is no mistake either."""

MIN_OVERLAP = 0.3
_LIMBS = tuple(name for name in LANDMARK_NAMES if name in JOINT_NAMES)


@dataclass(frozen=True, kw_only=True)
class _Annotated:
    """The people of one picture, in its pixels. Keypoints are NaN where they were not annotated."""

    boxes: Float32[ndarray, "Q 4"]
    keypoints: Float64[ndarray, "Q K 2"]
    names: tuple[str, ...]

    @property
    def wanted(self) -> ndarray:
        return np.isfinite(self.keypoints[..., 0]).sum(1) >= MIN_KEYPOINTS


@dataclass(frozen=True, kw_only=True)
class KeypointsBenchmark:
    """A folder with an annotation file in COCO's keypoint format and the pictures that it names.

    Each picture is reconstructed alone with defaults. People are matched by their boxes (intersection over union of
    ``MIN_OVERLAP``). Errors are means over the annotated keypoints of matched people, in percent of the longer side of
    the annotated box: ``landmark_error_percent`` of the landmarks in the picture (the detector's), and
    ``joint_error_percent`` of the body's joints projected into it, on hips, knees, ankles, shoulders, elbows, wrists.

    Attributes:
        listed: name of the annotation file.
    """

    listed: str

    @property
    def needs(self) -> str:
        return f"{self.listed} and the pictures that it names"

    def sequences(self, data: Path) -> list[str]:
        return sorted(name for name, people in self._read(data).items() if people.wanted.any())

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        answer = predictor.predict(Request(name=sequence, source=data / sequence, settings={"max_frames": 1}))
        return _score_people(answer.reconstruction, self._read(data)[sequence])

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """People added up; errors averaged over the people who were found."""
        done = [row for row in rows.values() if "error" not in row]
        summary: Row = {column: sum(row[column] for row in done) for column in _COUNTS}
        if summary["people_annotated"]:
            summary["people_found_share"] = summary["people_found"] / summary["people_annotated"]
        for column in ("landmark_error_percent", "joint_error_percent"):
            each = [{column: row[column]} for row in done for _ in range(row["people_found"])]
            summary |= mean_of_rows(each)
        failed = len(rows) - len(done)
        return summary | ({"failed": failed} if failed else {})

    def _read(self, data: Path) -> dict[str, _Annotated]:
        path = data / self.listed
        if not path.is_file():
            return {}
        try:
            content: dict[str, Any] = json.loads(path.read_text())
            names = tuple(content["categories"][0]["keypoints"])
            return {
                image["file_name"]: _read_people(
                    [one for one in content["annotations"] if one["image_id"] == image["id"]], names
                )
                for image in content["images"]
                if (data / image["file_name"]).is_file()
            }
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise InputError(f"{path}: not in COCO's keypoint format ({error!r}); copy the file again") from None


_COUNTS = ("people_annotated", "people_found", "people_extra")


def _read_people(annotations: list[dict[str, Any]], names: tuple[str, ...]) -> _Annotated:
    corners = np.array([one["bbox"] for one in annotations], np.float32).reshape(-1, 4)
    keypoints = np.array([one["keypoints"] for one in annotations], np.float64).reshape(-1, len(names), 3)
    return _Annotated(
        boxes=np.concatenate([corners[:, :2], corners[:, :2] + corners[:, 2:]], axis=1),
        keypoints=np.where(keypoints[..., 2:] > 0, keypoints[..., :2], np.nan),
        names=names,
    )


def _score_people(found: Reconstruction, people: _Annotated) -> Row:
    factor = source_pixels(found)
    seen = found.person_valid[:, :1]
    pairs = match_people(
        torch.from_numpy(found.boxes_xyxy[:, :1] * np.tile(factor, 2).astype(np.float32)),
        torch.from_numpy(people.boxes)[:, None],
        torch.from_numpy(seen),
        torch.ones(len(people.boxes), 1, dtype=torch.bool),
        min_overlap=MIN_OVERLAP,
    )
    joints, landmarks = _project_joints(found) * factor, found.landmarks_px[:, 0, :, :2] * factor
    columns = [people.names.index(name) for name in _LIMBS if name in people.names]
    limbs = [name for name in _LIMBS if name in people.names]
    named = [name for name in people.names if name in LANDMARK_NAMES]
    errors: dict[str, list[ndarray]] = {"landmark_error_percent": [], "joint_error_percent": []}
    kept = [(i, j) for i, j in pairs if people.wanted[j]]
    for i, j in kept:
        side = float((people.boxes[j, 2:] - people.boxes[j, :2]).max())
        marks = landmarks[i, [LANDMARK_NAMES.index(name) for name in named]]
        true_marks = people.keypoints[j, [people.names.index(name) for name in named]]
        limb_joints = joints[i, [JOINT_NAMES.index(name) for name in limbs]]
        for name, points, true in (
            ("landmark_error_percent", marks, true_marks),
            ("joint_error_percent", limb_joints, people.keypoints[j, columns]),
        ):
            errors[name].append(100 * np.linalg.norm(points - true, axis=-1) / side)
    return {
        "people_annotated": int(people.wanted.sum()),
        "people_found": len(kept),
        "people_extra": int(seen.sum()) - len(pairs),
        **{name: _mean(values) for name, values in errors.items()},
    }


def _mean(values: list[ndarray]) -> float:
    """Mean over people of the mean over their known keypoints; NaN without any."""
    each = [float(np.nanmean(person)) for person in values if np.isfinite(person).any()]
    return float(np.mean(each)) if each else float("nan")


def _project_joints(found: Reconstruction) -> Float64[ndarray, "P 24 2"]:
    """Joints of the first frame in pixels of the processed picture."""
    num = found.num_people
    w2c = invert_rigid(torch.from_numpy(found.c2w[0]).double()).expand(num, 4, 4)
    local = transform_points(w2c, torch.from_numpy(found.joints[:, 0]).double())
    return project(local, torch.from_numpy(found.intrinsics[0]).double().expand(num, 3, 3)).numpy()
