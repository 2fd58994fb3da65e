"""Front or back: what a picture says of which way people face, and what the frames around it say.

Seen along the ray from the camera, a body looks like the same one with left and right exchanged and depth turned
around. A landmark model that takes the one for the other in some frames makes somebody who stands still turn around
and back, and their feet leap by half a metre. Each picture tells the two apart a little; bodies do not turn around from
one frame to the next and back again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Float32
from numpy import ndarray

from unish.body.joints import JOINT_LANDMARKS, MIRRORED_LANDMARKS
from unish.people.protocols import Observation, Person, Pose
from unish.structs import Clip

_MIRRORED = np.array(MIRRORED_LANDMARKS)
_LIMBS = np.array(list(JOINT_LANDMARKS))
_LEFT, _RIGHT = [11, 23], [12, 24]  # shoulder and hip
_FACE, _LIMB_POINTS = slice(0, 3), slice(5, 17)  # among key points: nose and eyes; shoulders to ankles

# Log odds that left and right are as read; see docs/decisions/059. The last is for readings of which nobody says more.
_AS_READ, _PER_LOGIT, _PER_FACE, _PER_M, _UNTOLD = 0.7, 0.3, 3.5, 4.0, 2.0
_FACE_SCORE = 0.45  # of nose and eyes, of somebody seen from the side
_MAX_LOGIT = 10.0
_PER_MOVED_M = 10.0  # cost of what limbs move from one frame to the next, around the hips, mean
_NEXT_S = 1.0  # frames farther apart say less about one another


def mirror_world(world: Float32[ndarray, "*batch 33 3"]) -> Float32[ndarray, "*batch 33 3"]:
    """Landmarks of the body that looks the same from the camera: left and right exchanged, and depth turned around."""
    return world[..., _MIRRORED, :] * np.array([1, 1, -1], np.float32)


def weigh_facing(
    world: Float32[ndarray, "B 33 3"], points: Float32[ndarray, "B 17 4"], swapped: Bool[ndarray, "B"]
) -> Float[ndarray, "B"]:
    """Log odds that left and right of B people are as read, from their pictures alone.

    Three things tell: how much stronger key points are in their places than those of the other side would be; that
    nose and eyes are seen of who faces the camera; and what the landmark model had read by itself, the more the farther
    the two bodies lie apart.

    Args:
        world: as read in the end; axes of the camera.
        points: key points (``KeypointModel``) in the same order of left and right.
        swapped: the landmark model had read it the other way round.
    """
    strength = np.log(points[..., 2:].clip(1e-6, 1 - 1e-6)) - np.log1p(-points[..., 2:].clip(1e-6, 1 - 1e-6))
    stronger = (strength[..., 0] - strength[..., 1])[:, _LIMB_POINTS].clip(-_MAX_LOGIT, _MAX_LOGIT).mean(axis=-1)
    across = (world[:, _LEFT] - world[:, _RIGHT]).mean(axis=1)
    frontal = across[:, 0] / np.linalg.norm(across, axis=-1).clip(1e-6)
    face = (points[:, _FACE, 2].mean(axis=-1) - _FACE_SCORE) * frontal
    apart = np.linalg.norm((world - mirror_world(world))[:, _LIMBS], axis=-1).mean(axis=-1)
    return _AS_READ + _PER_LOGIT * stronger + _PER_FACE * face + _PER_M * np.where(swapped, -apart, apart)


def settle_facing(people: Mapping[int, Person], clip: Clip) -> dict[int, Person]:
    """Everybody faces in each frame as that frame and those around it say, together (Viterbi, two states a frame).

    What a frame says are the log odds of its pose (``Pose.facing``); from one frame to the next it costs what the limbs
    move around the hips. Frames of two shots do not know one another.

    Args:
        people: by number.
    """
    return {identity: _turn(person, clip) for identity, person in people.items()}


def _turn(person: Person, clip: Clip) -> Person:
    poses = {frame: seen.pose for frame, seen in sorted(person.items()) if seen.pose is not None}
    if not poses:
        return person
    frames, turned = list(poses), dict[int, Observation]()
    as_read = np.array([_UNTOLD if pose.facing is None else pose.facing for pose in poses.values()])
    world = np.stack([pose.world for pose in poses.values()])
    limbs, mirrored = world[:, _LIMBS], mirror_world(world)[:, _LIMBS]
    gaps = np.diff(clip.timestamps_s.numpy()[frames]).clip(_NEXT_S)
    near = _PER_MOVED_M * _NEXT_S / gaps * (np.diff(clip.segment.numpy()[frames]) == 0)
    keep, change = (np.linalg.norm(limbs[1:] - one[:-1], axis=-1).mean(axis=-1) * near for one in (limbs, mirrored))
    for frame, pose, is_mirrored in zip(frames, poses.values(), _choose(as_read, keep, change), strict=True):
        if is_mirrored:
            turned[frame] = replace(person[frame], pose=_mirror(pose))
    return {**person, **turned}


def _mirror(pose: Pose) -> Pose:
    return replace(
        pose,
        px=pose.px[_MIRRORED],
        world=mirror_world(pose.world),
        sigma_px=None if pose.sigma_px is None else pose.sigma_px[_MIRRORED],
        facing=None if pose.facing is None else -pose.facing,
    )


def _choose(as_read: Float[ndarray, "N"], keep: Float[ndarray, "M"], change: Float[ndarray, "M"]) -> Iterator[bool]:
    """Which of N frames are to be mirrored, at the least cost.

    Args:
        as_read: log odds of each frame for staying as it is.
        keep, change: cost of each of the M = N − 1 steps between two frames of which both or none are mirrored, and
            one alone.
    """
    own = np.stack([np.logaddexp(0, -as_read), np.logaddexp(0, as_read)], axis=-1)
    cost, before = own[0], list[ndarray]()
    for step, here in enumerate(own[1:]):
        ways = cost[:, None] + np.where(np.eye(2, dtype=bool), keep[step], change[step])
        before.append(ways.argmin(axis=0))
        cost = ways.min(axis=0) + here
    chosen = [int(cost.argmin())]
    for step in reversed(before):
        chosen.append(int(step[chosen[-1]]))
    return (bool(one) for one in reversed(chosen))
