"""Real clips without truth: does it run, whom does it find, and does the result agree with itself?"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from unish.evaluation.predictor import Predictor, Request
from unish.evaluation.results import Row
from unish.structs import Reconstruction

MAX_FRAMES = 24
SUFFIXES = {".mp4", ".mov", ".mkv", ".avi", ".webm", ".gif"}


class ClipsBenchmark:
    """Every video of a folder, its first ``MAX_FRAMES`` used frames, defaults otherwise.

    The columns are those of ``report.json``: nothing here has a truth to be compared with. ``seen_share`` is, for each
    person, the share of frames in which they were found.
    """

    needs = "videos"

    def sequences(self, data: Path) -> list[str]:
        return sorted(path.name for path in data.iterdir() if path.suffix.lower() in SUFFIXES)

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        request = Request(name=sequence, source=data / sequence, settings={"max_frames": MAX_FRAMES})
        answer = predictor.predict(request)
        report, found = answer.report, answer.reconstruction
        quality, people = report.get("quality", {}), report.get("people", [])
        return {
            "frames": found.num_frames,
            "people": found.num_people,
            "seen_share": [round(float(share), 2) for share in found.person_valid.mean(1)],
            "seconds": round(sum(report.get("seconds", {}).values()), 1),
            "reprojection_percent": quality.get("reprojection_percent"),
            "body_to_points_before_cm": quality.get("body_to_points_before_cm"),
            "body_to_points_cm": quality.get("body_to_points_cm"),
            "heights_m": [round(person["height_m"], 2) for person in people],
            "camera_extent_m": _camera_extent(found),
            "warnings": report.get("warnings", []),
        }

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Medians over clips; the number of clips with people and of clips that failed."""
        columns = ("seconds", "reprojection_percent", "body_to_points_before_cm", "body_to_points_cm")
        summary: Row = {}
        for column in columns:
            values = [row[column] for row in rows.values() if row.get(column) is not None]
            finite = [value for value in values if np.isfinite(value)]
            if finite:
                summary[column] = statistics.median(finite)
        summary["people"] = sum(row.get("people", 0) > 0 for row in rows.values())
        summary["failed"] = sum("error" in row for row in rows.values())
        return summary


def _camera_extent(found: Reconstruction) -> float:
    """Diagonal in metres of the box around all camera centres of the longest segment."""
    segments, counts = np.unique(found.segment, return_counts=True)
    centres = found.c2w[found.segment == segments[np.argmax(counts)], :3, 3]
    return float(np.linalg.norm(centres.max(0) - centres.min(0)))


CLIPS = ClipsBenchmark()
