"""A path for the camera of a clip: drawn until it is free and sees something."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.lab.synthetic.cameras.hands import sample_shake, sample_steps
from unish.lab.synthetic.cameras.lenses import sample_intrinsics
from unish.lab.synthetic.cameras.movements import MOVEMENTS, Move
from unish.lab.synthetic.cameras.poses import look_angles, look_matrices
from unish.lab.synthetic.cameras.scans import move_scan
from unish.lab.synthetic.cameras.subjects import Subjects
from unish.lab.synthetic.cameras.views import View, cast_rays, find_clear, find_people
from unish.lab.synthetic.config import SynthConfig
from unish.lab.synthetic.stage import Stage

Rng = np.random.Generator
WITH_PEOPLE = {"static": 4.2, "pan": 1.4, "tilt": 0.3, "turn": 0.2, "dolly": 1.5, "orbit": 1.8, "follow": 2.2,
               "walk": 2.0, "selfie": 0.5, "mast": 1.4}  # fmt: skip
WITHOUT_PEOPLE = {"static": 0.3, "pan": 1.3, "tilt": 0.4, "turn": 0.2, "dolly": 1.8, "orbit": 1.8, "walk": 2.0}
INDOORS_ONLY = {"scan": 6.5}
OUTDOORS_ONLY = {"drone": 1.0}
TRIES = 40
GOOD_ENOUGH = 1.95
"""Of 2, one for a free path and one for what is seen: no better try is looked for."""
CALM = 0.5
"""Share of people shots in which the camera hardly moves: a stand, a slow operator, a steadied hand."""
CALMEST, LEAST_CALM = 0.02, 0.3
"""Least and greatest share of their motion that such shots keep."""
UNUSUAL_ROLL = 0.12
"""Share of clips in which the camera is held far from level."""
FURNISHED = 0.3
"""Share of a picture without people that things should fill, so that it is more than a bare wall."""
NUM_THINGS = 4
"""How many things should be in such a picture."""
LARGEST_PLANE = 0.55
"""No wall, cupboard or floor should fill more of such a picture than this."""
SPREAD = 2.0
"""Far over near depth that such a picture should have."""


@dataclass(frozen=True, kw_only=True)
class CameraPath:
    """Poses over time.

    Attributes:
        kind: the movement.
        c2stage: (N, 4, 4) camera (OpenCV axes) to stage (y up).
        intrinsics: (3, 3) pixels, constant through the clip.
    """

    kind: str
    c2stage: Float[ndarray, "N 4 4"]
    intrinsics: Float[ndarray, "3 3"]


def sample_camera_path(
    rng: Rng,
    stage: Stage,
    joints: Float[ndarray, "P N 24 3"],
    timestamps_s: Float[ndarray, "N"],
    config: SynthConfig,
) -> CameraPath:
    """A path that films the people (SMPL joints in the stage), or the props when nobody is there.

    Positions stay clear of walls, props and people, most of the picture is farther than an arm's length, and mostly
    somebody is in view. When no try does all of it, the best is taken and the caller removes what is in the way.
    """
    subjects = Subjects(
        stage=stage,
        joints=joints,
        timestamps_s=timestamps_s,
        intrinsics=sample_intrinsics(rng, config.size, config.lenses),
        size=config.size,
        heights=config.heights,
        fill=config.fill,
    )
    kind = _sample_kind(rng, subjects)
    unseen_is_fine = rng.random() < 0.12
    liveliness = _sample_liveliness(rng) if subjects.has_people else 1.0
    best, best_score = None, -1.0
    for attempt in range(TRIES):
        # What does not fit is tried again slower.
        subjects = replace(subjects, pace=liveliness * (1 - 0.8 * attempt / TRIES))
        move = move_scan(rng, subjects) if kind == "scan" else MOVEMENTS[kind](rng, subjects)
        free = find_clear(stage, move.position, joints, 0.28 if kind == "selfie" else 0.5)
        score = float(free.mean())
        if score <= best_score - 1:
            continue
        c2stage = _aim(rng, move, subjects, liveliness)
        score += _rate_view(c2stage, subjects, unseen_is_fine)
        if score > best_score:
            best, best_score = c2stage, score
        if best_score > GOOD_ENOUGH:
            break
    assert best is not None
    return CameraPath(kind=kind, c2stage=best, intrinsics=subjects.intrinsics)


def _sample_kind(rng: Rng, subjects: Subjects) -> str:
    outdoors = subjects.stage.outdoors
    table = WITH_PEOPLE if subjects.has_people else WITHOUT_PEOPLE
    if outdoors:
        table = table | OUTDOORS_ONLY
    elif not subjects.has_people:
        table = table | INDOORS_ONLY
    return str(rng.choice(list(table), p=np.array(list(table.values())) / sum(table.values())))


def _sample_liveliness(rng: Rng) -> float:
    """Share of a movement, and of what hands and feet do to a camera, that is left: all, or little in calm shots."""
    return float(np.exp(rng.uniform(np.log(CALMEST), np.log(LEAST_CALM)))) if rng.random() < CALM else 1.0


def _rate_view(c2stage: Float[ndarray, "N 4 4"], subjects: Subjects, unseen_is_fine: bool) -> float:
    """0–1: is there something to see at the start and at the end, and are people in the picture?"""
    views = [cast_rays(subjects.stage, c2stage[i], subjects.intrinsics, subjects.size) for i in (0, -1)]
    empty = float(max(np.isinf(view.reach).mean() for view in views) < 0.8)
    if not subjects.has_people:
        near = float(max((view.reach < 0.35).mean() for view in views) < 0.2)
        return 0.3 * near + 0.1 * empty + 0.6 * min(_rate_variety(view) for view in views)
    # What is nearer than people ever are in a picture should not hide a quarter of it.
    near = float(max((view.reach < 0.7).mean() for view in views) < 0.25)
    seen = float(find_people(subjects.joints, c2stage, subjects.intrinsics, subjects.size).mean())
    wanted = 0.2 if unseen_is_fine else 0.7
    return 0.3 * near + 0.1 * empty + 0.6 * min(seen / wanted, 1.0)


def _rate_variety(view: View) -> float:
    """0–1: is a picture without people more than one plane seen from near by? Things, at several distances."""
    furnished = min(view.on_prop.mean() / FURNISHED, 1.0)
    things = min(view.num_props / NUM_THINGS, 1.0)
    plane = np.clip((1 - view.largest_plane) / (1 - LARGEST_PLANE), 0, 1)
    spread = np.clip((view.spread - 1) / (SPREAD - 1), 0, 1)
    return float((furnished + things + 2 * plane + 2 * spread) / 6)


def _aim(rng: Rng, move: Move, subjects: Subjects, liveliness: float) -> Float[ndarray, "N 4 4"]:
    """Look at the targets, off-centre, with the sweep and what is left of the hand shake and the steps."""
    yaw, down = look_angles(move.target - move.position)
    aside = rng.normal(0, move.off_centre, 2) * subjects.half_view * [1.0, 0.7]
    sweep = np.broadcast_to(move.sweep, (len(yaw), 2))
    angles = np.stack([yaw + aside[0] + sweep[:, 0], down + aside[1] + sweep[:, 1], 0 * yaw], axis=1)
    angles[:, 2] += np.radians(np.clip(rng.normal(0, 9.0 if rng.random() < UNUSUAL_ROLL else move.rolled), -25, 25))
    position = move.position
    if move.hand > 0:
        turned, moved = sample_shake(rng, subjects.elapsed_s)
        angles += liveliness * move.hand * turned
        position = position + liveliness * move.hand * moved
    speed, heading = move.walking
    if speed > 0:
        turned, moved = sample_steps(rng, subjects.elapsed_s, speed, heading)
        angles += liveliness * turned
        position = position + liveliness * moved
    # From behind a wall there is nothing to see.
    position = np.clip(position, subjects.stage.low - 0.05, subjects.stage.high + 0.05)
    low, high = np.radians(-40), np.radians(75)
    return look_matrices(position, angles[:, 0], np.clip(angles[:, 1], low, high), angles[:, 2])
