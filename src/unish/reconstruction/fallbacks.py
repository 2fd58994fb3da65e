"""What a run had to guess: one sentence each, so that no fallback goes unsaid.

That nobody measures the scene, and its scale is the network's own guess, is a verdict (``verdicts``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from unish.reconstruction.feet_plane import TWO_LEVELS
from unish.reconstruction.ground import UP_SIGMA, Ground
from unish.reconstruction.shot import MetricShot
from unish.structs import CONFIDENT

MISFIT_PX = 5.0
"""Median Sampson error above which given cameras are taken for wrong. Poses of motion capture miss by up to 4.9, where
clocks of camera and markers differ."""


def describe_fallbacks(shots: Sequence[MetricShot], grounds: Sequence[Ground], person_ids: Sequence[int]) -> list[str]:
    """Sentences for the warnings of the report; those of several shots begin with the shot, counted from 1."""
    found = []
    for number, (shot, ground) in enumerate(zip(shots, grounds, strict=True), start=1):
        where = f"shot {number}: " if len(shots) > 1 else ""
        sentences = [*_of_camera(shot), *_of_scale(shot), *_of_ground(ground), *_of_people(shot, person_ids)]
        found += [where + sentence for sentence in sentences]
    return found


def _of_camera(shot: MetricShot) -> list[str]:
    low, high = shot.camera.field_of_view_interval_deg
    angle = f"{shot.camera.field_of_view_deg:.0f} degrees along the long side, {low:.0f} to {high:.0f} with 90 %"
    if shot.camera.focal_source == "guessed":
        return [
            f"the focal length is guessed ({angle}): distances are as uncertain as it is; give --fov, --focal-35mm or "
            "--intrinsics"
        ]
    if shot.camera.focal_source == "solved":
        return [f"the focal length is solved from the video ({angle}); give --fov or --intrinsics where it is known"]
    return []


def _of_scale(shot: MetricShot) -> list[str]:
    sentences = []
    if shot.given_error_px > MISFIT_PX:
        sentences.append(
            f"the cameras that were given do not fit the pictures: matches miss by {shot.given_error_px:.0f} pixels of "
            "640; look at axes, order of the frames and lens"
        )
    if shot.scale.source == "none":
        sentences.append("the metric scale is unknown: nobody could be measured; lengths are in a unit of their own")
    # A camera on a tripod is told by the pictures themselves, however little there is to match.
    if shot.unplaced.any() and not shot.still:
        frames = shot.dense[shot.unplaced].tolist()
        sentences.append(
            f"the pictures do not tell where the camera of {len(frames)} of {len(shot.dense)} frames was "
            f"({_list_some(frames)}): these stand where a neighbour stands"
        )
    if shot.doubtful.any() and not shot.still:
        frames = shot.dense[shot.doubtful].tolist()
        sentences.append(
            f"the camera of {len(frames)} of {len(shot.dense)} frames is doubtful ({_list_some(frames)}): few matches"
        )
    if shot.unjoined:
        sentences.append(
            f"neighbouring windows without a confident point in common: {shot.unjoined}; their scales may differ"
        )
    confident = (((shot.depth[frame] > 0) & (shot.conf[frame] >= CONFIDENT)).any() for frame in range(len(shot.depth)))
    if not any(confident):
        sentences.append("no point of the scene is confident")
    return sentences


def _of_ground(ground: Ground) -> list[str]:
    if not ground.known:
        return [
            "gravity and floor are unknown: nobody was seen standing upright for long enough, and too little of the "
            "scene is level or upright"
        ]
    sentences = _of_gravity(ground)
    if ground.source == "people":
        sentences.append("no floor was found in the scene: a level plane at the height of the feet stands in for it")
    elif ground.refusal == TWO_LEVELS:
        sentences.append(
            "people stand on more than one level: the ground is the floor that was found, not that of their feet"
        )
    return sentences


def _of_gravity(ground: Ground) -> list[str]:
    error = math.degrees(ground.sigma)
    if ground.source == "directions":
        floor = "" if ground.floor.isfinite().all() else "; the floor is unknown"
        return [
            "nobody was seen standing upright for long enough: which way is down follows from the directions of the "
            f"scene's surfaces, to {error:.0f} degrees{floor}"
        ]
    if ground.against is not None:
        apart, other = math.degrees(ground.against.angle), math.degrees(ground.against.sigma)
        return [
            f"people and the surfaces of the scene disagree by {apart:.0f} degrees about which way is down; they are "
            f"certain to {math.degrees(UP_SIGMA):.0f} and {other:.0f} degrees"
        ]
    return []


def _of_people(shot: MetricShot, person_ids: Sequence[int]) -> list[str]:
    placed, seen = shot.by_network.sum(1).tolist(), shot.valid.sum(1).tolist()
    return [
        f"person {person_id} is placed by the network in {few} of {all_frames} frames: too few landmarks were seen"
        for person_id, few, all_frames in zip(person_ids, placed, seen, strict=True)
        if few
    ]


def _list_some(numbers: Sequence[int], most: int = 8) -> str:
    shown = ", ".join(str(number) for number in numbers[:most])
    return f"frame{'s' if len(numbers) > 1 else ''} {shown}" + (", …" if len(numbers) > most else "")
