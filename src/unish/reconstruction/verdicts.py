"""Good, doubtful or bad: what a result says about itself, per person and per shot, in plain sentences.

The limits are choices, not laws. They were taken from results that were looked at from all sides and from faults put
into the good ones (``tools/measure_verdicts.py``, docs/research/verdicts.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.body import Body
from unish.reconstruction.checks.pairs import PairOverlap, Swap, find_swaps, measure_overlaps
from unish.reconstruction.checks.views import measure_reflections
from unish.reconstruction.findings import Finding, Limit
from unish.reconstruction.shot import MetricShot
from unish.reconstruction.unusual import judge_pictures, judge_reflections, judge_views
from unish.reconstruction.world_checks import PersonMeasures, ShotMeasures, measure_people, measure_shots
from unish.structs import Reconstruction

GRADES = ("good", "doubtful", "bad")


RAY_JITTER_CM = Limit(doubtful=9.0, bad=20.0)
SPEED_M_S = Limit(doubtful=6.0, bad=12.0)
FOOT_TO_FLOOR_CM = Limit(doubtful=20.0, bad=40.0)
FOOT_SPREAD_CM = Limit(doubtful=30.0, bad=60.0)
TALL_M = Limit(doubtful=1.98, bad=2.1)
"""One man in three hundred is taller than 1.98 m, hardly one in a hundred thousand than 2.1 m."""

SMALL_M = Limit(doubtful=-0.75, bad=-0.6)
SIZE_IN_PICTURE = Limit(doubtful=0.06, bad=0.12)
SCENE_RATIO = Limit(doubtful=0.22, bad=0.4)
FLOOR_OVER_FOOT = Limit(doubtful=0.3, bad=0.5)
"""These three are |log ratio|."""

BOX_MISS = Limit(doubtful=0.4, bad=0.6)
"""1 − intersection over union of the body's box and the tracked one."""

REPROJECTION_PERCENT = Limit(doubtful=3.0, bad=8.0)
UNCERTAINTY = Limit(doubtful=0.6, bad=1.0)
"""1 − certainty, see ``describe_people``: never bad by itself."""

MIN_FRAMES = 5
MIN_FOOT_FRAMES = 3
SHARED_FRAMES, SHARED_SHARE = 3, 0.5
DOUBLED_CONTAINED, DOUBLED_APART, DOUBLED_STACKED = 0.6, 0.1, 0.6
SWAP_JUMP_M, SWAP_GAIN, SWAP_COLOUR = 0.3, 3.0, 0.3

STATIC_PERCENT = Limit(doubtful=7.5, bad=15.0)
DEPTH_JUMP = Limit(doubtful=0.1, bad=0.25)
"""|log ratio| from one frame to the next: good clips have .05 at most, those with wrong frames more than .2."""

SHIFT_PERCENT = Limit(doubtful=1.75, bad=5.0)
STILL_EXTENT_M = Limit(doubtful=0.2, bad=0.5)
FLOOR_LEVEL_CM = Limit(doubtful=12.0, bad=30.0)
FLOOR_TILT_DEG = Limit(doubtful=6.5, bad=15.0)
OVERHANG_SHARE = Limit(doubtful=0.2, bad=0.4)
LENS_DEG = (25.0, 115.0)
NETWORK_RATIO = Limit(doubtful=0.7, bad=1.4)
"""|log| of the people's scale over the network's own, which is a guess itself: twice, and four times as large."""


@dataclass(frozen=True, kw_only=True)
class ShotFacts:
    """What a run knows of a shot beyond what is in the file.

    Attributes:
        focal_source: ``given``, ``metadata``, ``solved`` or ``guessed``.
        scale_source: ``people``, ``distance``, ``cameras``, ``network`` or ``none``, see ``SceneScale``.
        network_ratio: scale of the shot over the network's own; NaN when either is unknown.
        camera_still: whether the camera was taken for still; ``None`` leaves that to the pictures.
        distance_sigma: (P, T) of the shot's frames with depth, see ``PlacedBodies``; ``None`` when unknown.
    """

    focal_source: str = "guessed"
    scale_source: str = "people"
    network_ratio: float = float("nan")
    camera_still: bool | None = None
    distance_sigma: Float[ndarray, "P T"] | None = None


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What goes into report.json.

    Attributes:
        shots: one row per shot.
        people: one row per person, in the order of ``person_ids``, to be merged into ``describe_people``.
        warnings: a sentence for every reason.
    """

    shots: list[dict[str, Any]] = field(default_factory=list)
    people: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_facts(shots: Sequence[MetricShot]) -> list[ShotFacts]:
    """``ShotFacts`` of a run's shots."""
    return [
        ShotFacts(
            focal_source=shot.camera.focal_source,
            scale_source=shot.scale.source,
            network_ratio=shot.scale.factor / shot.network_scale if shot.network_scale else float("nan"),
            camera_still=shot.still or None,
            distance_sigma=shot.distance_sigma[:, shot.dense].numpy(),
        )
        for shot in shots
    ]


def judge(reconstruction: Reconstruction, body: Body, facts: Sequence[ShotFacts]) -> Verdicts:
    """Measure people and shots, and say which are good, doubtful or bad, and why.

    Args:
        facts: one per shot, in order (``read_facts``).
    """
    shots, people = judge_shots(reconstruction, body, facts), judge_people(reconstruction, body, facts)
    warnings = [
        (f"shot {number}: " if len(shots) > 1 else "") + reason
        for number, row in enumerate(shots, start=1)  # people count from 1, files from 0
        for reason in row["reasons"]
    ]
    warnings += [reason for row in people for reason in row["reasons"]]
    return Verdicts(shots=shots, people=people, warnings=list(dict.fromkeys(warnings)))


def judge_shots(reconstruction: Reconstruction, body: Body, facts: Sequence[ShotFacts]) -> list[dict[str, Any]]:
    """The ``shots`` of report.json."""
    shots = measure_shots(reconstruction, body, [known.camera_still is True for known in facts])
    return [
        _describe_shot(shot, known) | _conclude(judge_shot(shot, known) + judge_pictures(shot))
        for shot, known in zip(shots, facts, strict=True)
    ]


def judge_people(reconstruction: Reconstruction, body: Body, facts: Sequence[ShotFacts]) -> list[dict[str, Any]]:
    """What the verdicts add to every person of report.json, in the order of ``person_ids``."""
    pairs, swaps = measure_overlaps(reconstruction), find_swaps(reconstruction)
    reflections = measure_reflections(reconstruction)
    return [
        _describe_person(reconstruction, person)
        | _conclude(
            judge_person(person, certainty)
            + judge_pairs(person.person_id, pairs, swaps)
            + judge_views(person)
            + judge_reflections(person.person_id, reflections)
        )
        for person, certainty in zip(
            measure_people(reconstruction, body), _certainty(reconstruction, facts), strict=True
        )
    ]


def judge_person(person: PersonMeasures, certainty: float) -> list[Finding]:
    """What is wrong with one person by themselves."""
    name = f"person {person.person_id}"
    low, ratio = person.foot_to_floor_cm, person.floor_over_foot_depth
    where = f"floats {low:.0f} cm over the floor" if low > 0 else f"stands {-low:.0f} cm under the floor"
    over = "over" if person.support_cm > 0 else "under"
    ground = "behind" if ratio > 1 else "before"
    if len(person.floor_over_foot_values) < MIN_FOOT_FRAMES:
        ratio = float("nan")
    scene = "nearer" if person.scene_ratio > 1 else "farther"
    picture = "small" if person.size_in_picture < 1 else "large"
    found = [
        (int(person.frames < MIN_FRAMES), f"{name} is seen in {person.frames} frames only"),
        (RAY_JITTER_CM.grade(person.ray_jitter_cm), f"{name} jumps in depth by {person.ray_jitter_cm:.0f} cm"),
        (SPEED_M_S.grade(person.max_speed_m_s), f"{name} moves at {person.max_speed_m_s:.0f} m/s"),
        (FOOT_TO_FLOOR_CM.grade(abs(low)), f"{name} {where}"),
        (
            0 if person.support_confirmed else min(FOOT_TO_FLOOR_CM.grade(abs(person.support_cm)), 1),
            f"{name} stands on something {abs(person.support_cm):.0f} cm {over} the floor that the scene does not show",
        ),
        (
            FOOT_SPREAD_CM.grade(person.foot_to_floor_spread_cm),
            f"{name} moves {person.foot_to_floor_spread_cm:.0f} cm up and down against the floor",
        ),
        (TALL_M.grade(person.stature_m), f"{name} is {person.stature_m:.2f} m tall"),
        (SMALL_M.grade(-person.stature_m), f"{name} is {person.stature_m:.2f} m tall"),
        (
            SIZE_IN_PICTURE.grade(_log_distance(person.size_in_picture)),
            f"{name} is too {picture} in the picture for its distance",
        ),
        (BOX_MISS.grade(1 - person.box_overlap), f"{name} does not fill the box in which it was seen"),
        (REPROJECTION_PERCENT.grade(person.reprojection_percent), f"{name} does not fit its landmarks"),
        (
            SCENE_RATIO.grade(_log_distance(person.scene_ratio)),
            f"the scene sees {name} {100 * abs(1 - 1 / person.scene_ratio):.0f} % {scene} than its body is",
        ),
        (
            FLOOR_OVER_FOOT.grade(_log_distance(ratio)),
            f"the ground under the feet of {name} lies {100 * abs(ratio - 1):.0f} % {ground} them",
        ),
        (UNCERTAINTY.grade(1 - certainty), f"the size of {name} is a guess: too little of the body is seen"),
    ]
    return [Finding(grade=grade, sentence=sentence) for grade, sentence in found if grade]


def judge_pairs(person_id: int, pairs: Sequence[PairOverlap], swaps: Sequence[Swap]) -> list[Finding]:
    """What is wrong between this person and others: one person twice, or two who changed places."""
    found = []
    for pair in pairs:
        if person_id not in (pair.first, pair.second) or not _is_doubled(pair):
            continue
        other = pair.second if person_id == pair.first else pair.first
        found.append(Finding(grade=2, sentence=f"person {person_id} and person {other} are the same person twice"))
    for swap in swaps:
        if person_id not in (swap.first, swap.second) or not _is_swap(swap):
            continue
        other = swap.second if person_id == swap.first else swap.first
        found.append(
            Finding(grade=2, sentence=f"person {person_id} and person {other} change places at frame {swap.frame}")
        )
    return found


def judge_shot(shot: ShotMeasures, facts: ShotFacts) -> list[Finding]:
    """What is wrong with the scene and the camera of one shot."""
    ground, pictures, jump = shot.ground, shot.stillness, shot.depth_jump
    still = _is_still(shot, facts)
    level = "over" if ground.scene_level_cm > 0 else "under"
    low, high = LENS_DEG
    found = [
        (
            STATIC_PERCENT.grade(shot.static_disagreement_percent),
            f"the frames disagree by {shot.static_disagreement_percent:.0f} % about the depth of the still scene",
        ),
        (
            DEPTH_JUMP.grade(abs(jump.log_ratio)),
            f"the depth of the still scene jumps by a factor of {jump.factor:.1f} at frame {jump.frame}",
        ),
        (
            SHIFT_PERCENT.grade(pictures.shift_percent),
            f"still points are seen {pictures.shift_percent:.1f} % of the picture away from where the camera puts them",
        ),
        (
            STILL_EXTENT_M.grade(shot.camera_extent_m) if still else 0,
            f"the camera stands still in the picture and moves {100 * shot.camera_extent_m:.0f} cm in the world",
        ),
        (
            FLOOR_LEVEL_CM.grade(abs(ground.scene_level_cm)),
            f"the ground around the people lies {abs(ground.scene_level_cm):.0f} cm {level} the floor",
        ),
        (
            FLOOR_TILT_DEG.grade(ground.scene_tilt_deg),
            f"the ground around the people is {ground.scene_tilt_deg:.0f} degrees off the floor",
        ),
        (
            OVERHANG_SHARE.grade(shot.overhang_share),
            f"far parts of the scene stand before near ones in {100 * shot.overhang_share:.0f} % of the picture",
        ),
        (
            int(not low <= shot.field_of_view_deg <= high),
            f"the lens would see {shot.field_of_view_deg:.0f} degrees across",
        ),
        (
            int(facts.scale_source not in ("people", "distance", "cameras")),
            "nobody measures the scene, so its size is a guess",
        ),
        (
            NETWORK_RATIO.grade(_log_distance(facts.network_ratio)),
            f"the people make the scene {facts.network_ratio:.1f} times as large as the network thinks it is",
        ),
    ]
    return [Finding(grade=grade, sentence=sentence) for grade, sentence in found if grade]


def _is_doubled(pair: PairOverlap) -> bool:
    if pair.frames < SHARED_FRAMES or pair.share < SHARED_SHARE:
        return False
    alike = pair.contained > DOUBLED_CONTAINED and pair.landmarks_apart < DOUBLED_APART
    return bool(alike or pair.stacked > DOUBLED_STACKED)


def _is_swap(swap: Swap) -> bool:
    nearer = swap.jump_m > SWAP_JUMP_M and swap.jump_m > SWAP_GAIN * swap.swapped_m
    return bool(nearer or swap.colour > SWAP_COLOUR)


def _is_still(shot: ShotMeasures, facts: ShotFacts) -> bool:
    return shot.stillness.camera_still if facts.camera_still is None else facts.camera_still


def _log_distance(ratio: float) -> float:
    return abs(float(np.log(ratio))) if ratio > 0 else float("nan")


def _certainty(reconstruction: Reconstruction, facts: Sequence[ShotFacts]) -> list[float]:
    """Per person the median of 0.05 over the relative error of their distance, at most 1; NaN where no run tells it."""
    known = [fact.distance_sigma for fact in facts if fact.distance_sigma is not None]
    if len(known) < len(facts) or not known:
        return [float("nan")] * reconstruction.num_people
    sigma = np.concatenate(known, axis=1)
    return [
        min(float(np.median(0.05 / row[valid])), 1.0) if valid.any() else float("nan")
        for row, valid in zip(sigma, reconstruction.person_valid, strict=True)
    ]


def _conclude(findings: Sequence[Finding]) -> dict[str, Any]:
    grade = max((finding.grade for finding in findings), default=0)
    return {"verdict": GRADES[grade], "reasons": [finding.sentence for finding in findings]}


def _describe_shot(shot: ShotMeasures, facts: ShotFacts) -> dict[str, Any]:
    return {
        "frames": len(shot.frames),
        "field_of_view_deg": shot.field_of_view_deg,
        "zoom": shot.zoom,
        "focal_source": facts.focal_source,
        "camera_still": _is_still(shot, facts),
        "camera_extent_m": shot.camera_extent_m,
        "gravity_known": shot.gravity_known,
        "floor_known": shot.floor_known,
        "static_disagreement_percent": shot.static_disagreement_percent,
        "depth_jump": shot.depth_jump.factor,
        "static_shift_percent": shot.stillness.shift_percent,
    }


def _describe_person(reconstruction: Reconstruction, person: PersonMeasures) -> dict[str, Any]:
    index = reconstruction.person_ids.tolist().index(person.person_id)
    times = reconstruction.timestamps_s[reconstruction.person_valid[index]]
    return {
        "first_s": float(times[0]) if len(times) else float("nan"),
        "last_s": float(times[-1]) if len(times) else float("nan"),
        "distance_m": list(person.distance_m),
        "foot_to_floor_cm": person.foot_to_floor_cm,
        "floor_over_foot_depth": person.floor_over_foot_depth,
        "ray_jitter_cm": person.ray_jitter_cm,
        "max_speed_m_s": person.max_speed_m_s,
    }
