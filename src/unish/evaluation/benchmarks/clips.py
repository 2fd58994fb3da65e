"""Real clips without truth: does it run, whom does it find, and does the result agree with itself?"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unish.evaluation.metrics import foot_floor_gap, foot_points, jitter
from unish.evaluation.predictor import Answer, Predictor, Request
from unish.evaluation.results import Row
from unish.reconstruction.report import measure_body_to_points, measure_reprojection, median_or_nan
from unish.structs import Reconstruction

MAX_FRAMES = 24
SUFFIXES = {".mp4", ".mov", ".mkv", ".avi", ".webm", ".gif"}
TOUCHING_CM = 5.0
"""A foot this close to the height at which a person's lowest foot usually is may stand."""

_MEDIANS = (
    "seconds", "reprojection_percent", "body_to_points_before_cm", "body_to_points_cm", "foot_sliding_cm_s", "jitter",
    "foot_to_floor_cm", "penetration_cm",
)  # fmt: skip


class ClipsBenchmark:
    """Every video of a folder, its first ``MAX_FRAMES`` used frames, defaults otherwise.

    Nothing here has a truth to be compared with. The first columns are those of ``report.json``, and are measured here
    where a method brings no report. ``seen_share`` is, for each person, the share of frames in which they were found.
    The others are means over people, of the frames of the longest shot:

    - ``foot_sliding_cm_s``: in each interval in which some toe or heel is within ``TOUCHING_CM`` of the usual height of
      this person's feet (over the floor, wherever that is) at both ends, the speed of the stillest one. Someone who
      walks stands on one foot; who skates has a right to slide.
    - ``jitter``: ``metrics.jitter`` at the used rate (6 per second unless the source is slower), so it compares results
      on the same frames, not with what is published at 30.
    - ``foot_to_floor_cm``, ``penetration_cm``: distance of the lowest point of the body from the floor, and its part
      that is below; people on chairs or in the air have it too.
    """

    needs = "videos"

    def sequences(self, data: Path) -> list[str]:
        return sorted(path.name for path in data.iterdir() if path.suffix.lower() in SUFFIXES)

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        request = Request(name=sequence, source=data / sequence, settings={"max_frames": MAX_FRAMES})
        answer = predictor.predict(request)
        report, found = answer.report, answer.reconstruction
        return {
            "frames": found.num_frames,
            "people": found.num_people,
            "seen_share": [round(float(share), 2) for share in found.person_valid.mean(1)],
            "seconds": round(sum(report.get("seconds", {}).values()), 1),
            **_measure_agreement(answer),
            "heights_m": [round(height, 2) for height in _heights(answer)],
            **_measure_motion(answer),
            "camera_extent_m": _camera_extent(found),
            "warnings": report.get("warnings", []),
        }

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Medians over clips; the number of clips with people and of clips that failed."""
        summary: Row = {}
        for column in _MEDIANS:
            values = [row[column] for row in rows.values() if row.get(column) is not None]
            finite = [value for value in values if np.isfinite(value)]
            if finite:
                summary[column] = statistics.median(finite)
        summary["people"] = sum(row.get("people", 0) > 0 for row in rows.values())
        summary["failed"] = sum("error" in row for row in rows.values())
        return summary


def _measure_agreement(answer: Answer) -> Row:
    """Bodies against landmarks and points, as ``report.json`` has it."""
    found, quality = answer.reconstruction, answer.report.get("quality", {})
    columns = ("reprojection_percent", "body_to_points_before_cm", "body_to_points_cm")
    if quality:
        return {column: quality.get(column) for column in columns}
    distances = measure_body_to_points(found, answer.body, found.depth)
    return {
        "reprojection_percent": median_or_nan(measure_reprojection(found)),
        "body_to_points_before_cm": None,
        "body_to_points_cm": median_or_nan(distances),
    }


def _heights(answer: Answer) -> list[float]:
    if "people" in answer.report:
        return [person["height_m"] for person in answer.report["people"]]
    return answer.body.standing_height(torch.from_numpy(answer.reconstruction.betas)).tolist()


def _measure_motion(answer: Answer) -> Row:
    """Quality of motion of everybody in the longest shot; NaN where nobody, no floor or too few frames tell."""
    found, frames = answer.reconstruction, _longest_shot(answer.reconstruction)
    valid = torch.from_numpy(found.person_valid[:, frames])
    if not valid.any():
        return dict.fromkeys(("foot_sliding_cm_s", "jitter", "foot_to_floor_cm", "penetration_cm"), float("nan"))
    times = torch.from_numpy(found.timestamps_s[frames])
    vertices = torch.from_numpy(found.vertices(answer.body)[:, frames]).double()
    joints = torch.from_numpy(found.joints[:, frames])
    floor = torch.from_numpy(found.floor[_longest_shot_number(found)]).double()
    gap = torch.where(valid, foot_floor_gap(vertices, floor), torch.nan)
    speed = _slide(foot_points(vertices, answer.body), floor, times, valid)
    fps = 1 / float(times.diff().median()) if len(times) > 1 else 1.0
    return {
        "foot_sliding_cm_s": _mean_over_people(speed),
        "jitter": _mean_over_people(jitter(joints, fps=fps, valid=valid)[:, None]),
        "foot_to_floor_cm": _mean_over_people(gap.abs()),
        "penetration_cm": _mean_over_people((-gap).clamp_min(0)),
    }


def _slide(
    contacts: Float[Tensor, "P T 4 3"],
    floor: Float[Tensor, "4"],
    times_s: Float[Tensor, "T"],
    valid: Bool[Tensor, "P T"],
) -> Float[Tensor, "P T-1"]:
    """Speed (cm/s) of the stillest foot point that is low at both ends of an interval, NaN where none is.

    Low is meant for each person by themselves: a floor that was found too low must not take all contact away.
    """
    height = torch.where(valid[..., None], foot_floor_gap(contacts[..., None, :], floor), torch.nan)
    usual = height.amin(-1).nanmedian(1).values
    near = (height - usual[:, None, None]).abs() < TOUCHING_CM
    speed = 100 * contacts.diff(dim=1).norm(dim=-1) / times_s.diff()[:, None]
    stillest = torch.where(near[:, 1:] & near[:, :-1], speed, torch.inf).amin(-1)
    return torch.where(stillest.isfinite(), stillest, torch.nan)


def _mean_over_people(values: Float[Tensor, "P T"]) -> float:
    """Mean over people of the mean over their frames, NaN left out."""
    return float(values.nanmean(1).nanmean())


def _longest_shot_number(found: Reconstruction) -> int:
    """Row of the longest shot in what there is one of per shot."""
    return int(np.argmax(np.unique(found.segment, return_counts=True)[1]))


def _longest_shot(found: Reconstruction) -> Bool[np.ndarray, "T"]:
    return found.segment == np.unique(found.segment)[_longest_shot_number(found)]


def _camera_extent(found: Reconstruction) -> float:
    """Diagonal in metres of the box around all camera centres of the longest shot."""
    centres = found.c2w[_longest_shot(found), :3, 3]
    return float(np.linalg.norm(centres.max(0) - centres.min(0)))


CLIPS = ClipsBenchmark()
