"""Real clips without truth: does it run, whom does it find, and does the result agree with itself?"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unish.lab.evaluation.clip_facts import STATIC_CAMERAS, TRAINING_CLIPS, load_people_ranges
from unish.lab.evaluation.metrics import foot_floor_gap, foot_points, jitter
from unish.lab.evaluation.predictor import Answer, Predictor, Request
from unish.lab.evaluation.results import Row, is_number
from unish.reconstruction.checks.people import band_medians
from unish.reconstruction.report import measure_body_to_points, measure_reprojection, median_or_nan
from unish.reconstruction.world_checks import PersonMeasures, measure_people, measure_shots
from unish.structs import Reconstruction

MAX_FRAMES = 48
MIN_PERSON_FRAMES = 10
"""Measures of people in the world leave out who is seen in fewer frames."""

SUFFIXES = {".mp4", ".mov", ".mkv", ".avi", ".webm", ".gif"}
TOUCHING_CM = 5.0
"""A foot this close to the height at which a person's lowest foot usually is may stand."""

TRAINING = "training_"
"""Begins the columns of the summary that are over the training clips alone."""

MEDIANS = (
    "seconds", "reprojection_percent", "body_to_points_before_cm", "body_to_points_cm", "foot_sliding_cm_s", "jitter",
    "foot_to_floor_cm", "floor_over_foot_error_percent", "floor_over_foot_ratio_below_4_m",
    "floor_over_foot_ratio_4_to_6_m", "floor_over_foot_ratio_6_to_10_m", "floor_over_foot_ratio_above_10_m",
    "static_disagreement_percent", "ray_jitter_cm", "max_speed_m_s", "static_camera_extent_m",
)  # fmt: skip
"""Columns that are summarised by their median over clips."""

VERDICTS = ("good", "doubtful", "bad")


class ClipsBenchmark:
    """Every video of a folder, its first ``MAX_FRAMES`` used frames, defaults otherwise.

    Nothing here has a truth to be compared with. The first columns are those of ``report.json``, and are measured here
    where a method brings no report. ``seen_share`` is, for each person, the share of frames in which they were found.
    Of the frames of the longest shot, means over people:

    - ``foot_sliding_cm_s``: in each interval in which some toe or heel is within ``TOUCHING_CM`` of the usual height of
      this person's feet (over the floor, wherever that is) at both ends, the speed of the stillest one. Someone who
      walks stands on one foot; who skates has a right to slide.
    - ``jitter``: ``metrics.jitter`` at the used rate (6 per second unless the source is slower), so it compares results
      on the same frames, not with what is published at 30.

    What the picture cannot show, of people with ``MIN_PERSON_FRAMES`` valid frames or more and as defined by
    ``unish.reconstruction.world_checks``:

    - ``foot_to_floor_cm``: median over people of the distance of the body's lowest point from the floor, on either
      side; ``foot_over_floor_cm`` with its sign. People on chairs or in the air have it too.
    - ``floor_over_foot_ratio_…``: median over all frames of the depth of the ground just under the lower foot ÷ the
      foot's depth, by the foot's depth; right is 1. ``floor_over_foot_error_percent``: median distance from 1.
    - ``ray_jitter_cm``: median over people; ``max_speed_m_s``: of the fastest.
    - ``static_disagreement_percent`` and ``camera_extent_m`` of the longest shot; ``static_camera_extent_m`` is the
      latter where the camera is known to stand still.

    ``people_in_range`` says whether as many people were found as somebody counted (``load_people_ranges``), and
    ``people_good`` … ``shots_bad`` how many people and shots have which verdict, where a method gives verdicts.
    """

    needs = "videos"

    def sequences(self, data: Path) -> list[str]:
        return sorted(path.name for path in data.iterdir() if path.suffix.lower() in SUFFIXES)

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        request = Request(name=sequence, source=data / sequence, settings={"max_frames": MAX_FRAMES})
        answer = predictor.predict(request)
        report, found = answer.report, answer.reconstruction
        low, high = load_people_ranges().get(sequence, (0, -1))
        world = _measure_world(answer)
        still = {"static_camera_extent_m": world["camera_extent_m"]} if sequence in STATIC_CAMERAS else {}
        return {
            "frames": found.num_frames,
            "people": found.num_people,
            **({"people_in_range": int(low <= found.num_people <= high)} if low <= high else {}),
            "seen_share": [round(float(share), 2) for share in found.person_valid.mean(1)],
            "seconds": round(sum(report.get("seconds", {}).values()), 1),
            **_measure_agreement(answer),
            "heights_m": [round(height, 2) for height in _heights(answer)],
            **_measure_motion(answer),
            **world,
            **still,
            **_count_verdicts(report),
            "warnings": report.get("warnings", []),
        }

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Medians over clips, shares and counts; those of the training clips under names that begin with ``TRAINING``.

        ``people``: clips with people; ``people_in_range_share``: of the clips that somebody counted;
        ``people_good_share``, ``shots_bad_share`` …: of all people and shots with a verdict.
        """
        apart = {name: row for name, row in rows.items() if name in TRAINING_CLIPS}
        rest = {name: row for name, row in rows.items() if name not in TRAINING_CLIPS}
        summary = _summarise(rest)
        summary |= {f"{TRAINING}{column}": value for column, value in _summarise(apart).items()} if apart else {}
        return summary | {"failed": sum("error" in row for row in rows.values())}


def _summarise(rows: Mapping[str, Row]) -> Row:
    def known(column: str) -> list[float]:
        return [row[column] for row in rows.values() if is_number(row.get(column))]

    summary: Row = {column: statistics.median(known(column)) for column in MEDIANS if known(column)}
    summary["people"] = sum(row.get("people", 0) > 0 for row in rows.values())
    if known("people_in_range"):
        summary["people_in_range_share"] = statistics.mean(known("people_in_range"))
    for what in ("people", "shots"):
        counts = {verdict: sum(known(f"{what}_{verdict}")) for verdict in VERDICTS}
        if total := sum(counts.values()):
            summary |= {f"{what}_{verdict}_share": count / total for verdict, count in counts.items()}
    return summary


def _count_verdicts(report: dict[str, Any]) -> Row:
    """How many people and shots of ``report.json`` have which verdict; nothing where it has none."""
    counts: Row = {}
    for what in ("people", "shots"):
        verdicts = [one["verdict"] for one in report.get(what, []) if isinstance(one, dict) and "verdict" in one]
        if verdicts:
            counts |= {f"{what}_{verdict}": verdicts.count(verdict) for verdict in VERDICTS}
    return counts


def _measure_world(answer: Answer) -> Row:
    """People and the longest shot in the world."""
    people = [one for one in measure_people(answer.reconstruction, answer.body) if one.frames >= MIN_PERSON_FRAMES]
    shot = max(measure_shots(answer.reconstruction, answer.body), key=lambda one: len(one.frames))
    over_floor = [one.foot_to_floor_cm for one in people]
    speeds = [one.max_speed_m_s for one in people if np.isfinite(one.max_speed_m_s)]
    return {
        "foot_to_floor_cm": _median([abs(height) for height in over_floor]),
        "foot_over_floor_cm": _median(over_floor),
        **_measure_ground(people),
        "ray_jitter_cm": _median([one.ray_jitter_cm for one in people]),
        "max_speed_m_s": max(speeds, default=float("nan")),
        "static_disagreement_percent": shot.static_disagreement_percent,
        "camera_extent_m": shot.camera_extent_m,
    }


def _measure_ground(people: list[PersonMeasures]) -> Row:
    """Depth of the ground under the feet ÷ that of the feet, over the frames of everybody."""
    ratios = np.concatenate([one.floor_over_foot_values for one in people] or [np.zeros(0)])
    depths = np.concatenate([one.foot_depths_m for one in people] or [np.zeros(0)])
    bands = {f"floor_over_foot_ratio_{name}": value for name, value in band_medians(ratios, depths).items()}
    return {"floor_over_foot_error_percent": _median((100 * np.abs(ratios - 1)).tolist()), **bands}


def _median(values: list[float]) -> float:
    """Of the finite ones; NaN without any."""
    finite = [value for value in values if np.isfinite(value)]
    return float(statistics.median(finite)) if finite else float("nan")


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
        return dict.fromkeys(("foot_sliding_cm_s", "jitter"), float("nan"))
    times = torch.from_numpy(found.timestamps_s[frames])
    vertices = torch.from_numpy(found.vertices(answer.body)[:, frames]).double()
    joints = torch.from_numpy(found.joints[:, frames])
    floor = torch.from_numpy(found.floor[_longest_shot_number(found)]).double()
    speed = _slide(foot_points(vertices, answer.body), floor, times, valid)
    fps = 1 / float(times.diff().median()) if len(times) > 1 else 1.0
    return {
        "foot_sliding_cm_s": _mean_over_people(speed),
        "jitter": _mean_over_people(jitter(joints, fps=fps, valid=valid)[:, None]),
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


CLIPS = ClipsBenchmark()
