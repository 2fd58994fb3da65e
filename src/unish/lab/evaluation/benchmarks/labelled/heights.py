"""People of stated height before a webcam: who is taller, and when are they farther away?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import torch

from unish.errors import InputError
from unish.lab.evaluation.benchmarks.landmark_truth import joints_in_camera
from unish.lab.evaluation.predictor import Predictor, Request
from unish.lab.evaluation.results import Row, mean_of_rows
from unish.reconstruction.ground import NECK

_LISTED = "labels.txt"


@dataclass(frozen=True, kw_only=True)
class _Label:
    person: int
    stature_cm: float
    distance_m: float


@dataclass(frozen=True, kw_only=True)
class HeightsBenchmark:
    """``rgb/NAME`` and ``labels.txt``: file, person, stated height (cm), stated distance from the camera (cm) a line.

    Each picture is reconstructed alone; the camera is not known, and people are cut off at the hips. So what can be
    asked is order: ``distance_order_share`` of all pairs of pictures, ``stature_order_share`` of all pairs of people
    (each at the mean over their pictures). The errors in percent and centimetres tell what metres are worth under these
    conditions. Distance is that of the neck, along the viewing axis. Of several people found the largest box counts.

    Attributes:
        people: who is scored.
    """

    people: tuple[int, ...]
    needs: str = f"{_LISTED} and the pictures that it names"

    def sequences(self, data: Path) -> list[str]:
        return [name for name, label in _read_labels(data).items() if label.person in self.people]

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        label = _read_labels(data)[sequence]
        answer = predictor.predict(Request(name=sequence, source=data / "rgb" / sequence, settings={"max_frames": 1}))
        found = answer.reconstruction
        seen = [person for person in range(found.num_people) if found.person_valid[person, 0]]
        if not seen:
            raise InputError("nobody was found")
        boxes = found.boxes_xyxy[:, 0]
        person = max(seen, key=lambda one: float((boxes[one, 2:] - boxes[one, :2]).prod()))
        neck = joints_in_camera(found, person, found.frame_indices[:1] * 0)[0, NECK]
        stature = 100 * float(answer.body.standing_height(torch.from_numpy(found.betas[person])[None])[0])
        return {
            "person": label.person,
            "distance_m": float(neck[2]),
            "true_distance_m": label.distance_m,
            "stature_cm": stature,
            "true_stature_cm": label.stature_cm,
            "distance_error_percent": 100 * abs(float(neck[2]) / label.distance_m - 1),
            "stature_error_cm": abs(stature - label.stature_cm),
        }

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Means over pictures, and the share of pairs that are in the true order; what is half right counts half."""
        done = [row for row in rows.values() if "error" not in row]
        means = mean_of_rows(list(rows.values()))
        summary = {key: means[key] for key in ("distance_error_percent", "stature_error_cm", "failed") if key in means}
        statures = [
            (_mean(row["stature_cm"] for row in done if row["person"] == person), _mean(
                row["true_stature_cm"] for row in done if row["person"] == person))
            for person in sorted({row["person"] for row in done})
        ]  # fmt: skip
        distances = [(row["distance_m"], row["true_distance_m"]) for row in done]
        return summary | {
            "distance_order_share": _share_in_order(distances),
            "stature_order_share": _share_in_order(statures),
        }


def _share_in_order(pairs: list[tuple[float, float]]) -> float:
    """Of (found, true): the share of pairs of different truth whose findings are in the same order."""
    known = [(a, b) for a, b in combinations(pairs, 2) if a[1] != b[1]]
    right = [0.5 if a[0] == b[0] else float((a[0] < b[0]) == (a[1] < b[1])) for a, b in known]
    return sum(right) / len(right) if right else math.nan


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)


def _read_labels(data: Path) -> dict[str, _Label]:
    listed = data / _LISTED
    lines = listed.read_text().splitlines()[1:] if listed.is_file() else []
    labels = {}
    for line in lines:
        try:
            name, person, stature, distance = line.split()
            label = _Label(person=int(person), stature_cm=float(stature), distance_m=float(distance) / 100)
        except ValueError:
            raise InputError(f"{listed}: a line is not: file person height distance; copy the sample again") from None
        if (data / "rgb" / name).is_file():
            labels[name] = label
    return labels
