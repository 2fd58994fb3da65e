"""Do verdicts notice what is wrong? Finished results against a list made by eye, and faults put into the good ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unish.body import Body
from unish.lab.evaluation.injected_faults import (
    add_ray_noise,
    compress_far_half,
    double_person,
    drift_camera,
    enlarge_person,
    move_person,
    raise_floor,
    scale_lengths,
    split_person,
    swap_tracks,
    tilt_floor,
)
from unish.reconstruction.verdicts import ShotFacts, judge_people, judge_shots
from unish.structs import Reconstruction

MAX_PEOPLE = 3
"""Faults of people are put into at most this many good people of one result."""

MIN_SWAP_FRAMES = 8


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One fault in one result.

    Attributes:
        kind: of fault.
        record: with the fault.
        people: ids of the people whose verdicts may notice it; shot: whether that of the shot may.
    """

    kind: str
    record: Reconstruction
    people: tuple[int, ...]
    shot: bool


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Outcome: of one fault, or of one untouched item (``kind`` then says what the eye said of it)."""

    kind: str
    clip: str
    item: str
    flagged: bool
    reasons: tuple[str, ...]


def try_result(
    clip: str, record: Reconstruction, body: Body, facts: Sequence[ShotFacts], eye: Mapping[str, Any], *, seed: int = 0
) -> list[Seen]:
    """Verdicts of a result as it is, and of every fault put into what is good by eye.

    A fault counts as noticed when something that is good by eye, and was not flagged before, is flagged with it. Faults
    that only what was flagged before could notice are left out. Results of several shots get no faults of shots.

    Args:
        facts: one per shot.
        eye: ``{"shots": [{"verdict"}], "people": {id: {"verdict"}}}`` with ``good``, ``failed`` or ``unclear``.
    """
    shots = judge_shots(record, body, facts)
    people = dict(zip(_ids(record), judge_people(record, body, facts), strict=True))
    seen = [
        _note(f"shots {said['verdict']} by eye", clip, f"shot {number}", row)
        for number, (row, said) in enumerate(zip(shots, eye["shots"], strict=True))
    ]
    seen += [
        _note(f"people {eye['people'][str(one)]['verdict']} by eye", clip, f"person {one}", row)
        for one, row in people.items()
    ]
    good = [one for one in people if eye["people"][str(one)]["verdict"] == "good" and not _flagged(people[one])]
    shot_good = len(shots) == 1 and eye["shots"][0]["verdict"] == "good" and not _flagged(shots[0])
    for trial in make_trials(record, body, good, shot_good, seed=seed):
        seen.append(_judge_trial(clip, trial, body, facts))
    return seen


def make_trials(record: Reconstruction, body: Body, good: list[int], shot_good: bool, *, seed: int) -> Iterator[Trial]:
    """Every fault that can be put into the good people (ids) and the shot of one result."""
    everybody = tuple(good)
    if everybody:
        yield Trial(kind="all lengths x 1.3", record=scale_lengths(record, body, 1.3), people=everybody, shot=shot_good)
    if shot_good:
        yield from _shot_trials(record, everybody)
    for one in good[:MAX_PEOPLE]:
        yield from _person_trials(record, body, one, seed)
    yield from _swap_trials(record, good)


def _shot_trials(record: Reconstruction, everybody: tuple[int, ...]) -> Iterator[Trial]:
    faults: list[tuple[str, Reconstruction]] = []
    if np.isfinite(record.floor).all():
        faults += [("floor 25 cm up", raise_floor(record, 0.25)), ("floor 25 cm down", raise_floor(record, -0.25))]
        faults += [("floor 8 degrees", tilt_floor(record, 8.0, heading)) for heading in (0.0, np.pi / 2)]
    faults += [("camera drifts 30 cm", drift_camera(record, 0.3 * direction)) for direction in np.eye(3)]
    faults += [("far half x 0.7", compress_far_half(record, 0.7))]
    faults += [("far half x 0.7, gradually", compress_far_half(record, 0.7, gradually=True))]
    for kind, changed in faults:
        yield Trial(kind=kind, record=changed, people=everybody, shot=True)


def _person_trials(record: Reconstruction, body: Body, one: int, seed: int) -> Iterator[Trial]:
    person = _ids(record).index(one)
    faults = {
        "a person's distance x 1.2": move_person(record, person, np.full(record.num_frames, 1.2)),
        "a person's size and distance x 1.2": enlarge_person(record, body, person, 1.2),
        "a person twice": double_person(record, person),
        "a person in two halves": split_person(record, body, person),
        "15 cm of ray noise": add_ray_noise(record, person, 0.15, seed),
    }
    for kind, changed in faults.items():
        yield Trial(kind=kind, record=changed, people=(one,), shot=False)


def _swap_trials(record: Reconstruction, good: list[int]) -> Iterator[Trial]:
    ids = _ids(record)
    for one in good[:MAX_PEOPLE]:
        for other in ids:
            if other == one or (other in good[:MAX_PEOPLE] and other < one):
                continue
            pair = ids.index(one), ids.index(other)
            shared = np.flatnonzero(record.person_valid[list(pair)].all(0))
            if len(shared) >= MIN_SWAP_FRAMES:
                changed = swap_tracks(record, *pair, int(shared[len(shared) // 2]))
                yield Trial(kind="swapped tracks", record=changed, people=(one,), shot=False)


def _judge_trial(clip: str, trial: Trial, body: Body, facts: Sequence[ShotFacts]) -> Seen:
    # How certain people are does not change with the fault, and nothing is known of a person who was added.
    known = [replace(fact, distance_sigma=None) for fact in facts]
    rows = dict(zip(_ids(trial.record), judge_people(trial.record, body, known), strict=True))
    asked = [rows[one] for one in trial.people]
    if trial.shot:
        asked += judge_shots(trial.record, body, known)
    reasons = tuple(reason for row in asked for reason in row["reasons"])
    item = "shot 0" if trial.shot else f"person {trial.people[0]}"
    return Seen(kind=trial.kind, clip=clip, item=item, flagged=any(map(_flagged, asked)), reasons=reasons)


def _ids(record: Reconstruction) -> list[int]:
    return [int(one) for one in record.person_ids]


def _flagged(row: Mapping[str, Any]) -> bool:
    return bool(row["verdict"] != "good")


def _note(kind: str, clip: str, item: str, row: Mapping[str, Any]) -> Seen:
    return Seen(kind=kind, clip=clip, item=item, flagged=_flagged(row), reasons=tuple(row["reasons"]))
