"""Feet that stand keep their place between two frames: joints that are blended one by one would let them slide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from numpy import ndarray
from scipy.spatial.transform import Rotation

from unish.body import JOINT_NAMES, Body
from unish.body.skinning import chain_joints
from unish.export.timeline import Timeline, find_runs

PLANTED = 0.5
"""Contact probability from which on a heel or toe stands."""

SLIP_M_S = 1.0
"""What moves faster from one frame to the next does not stand, whatever its probability: hips of who walks do 1.4."""

_REACH = 0.9999
"""Share of the length of a straight leg within which the foot is kept; at 1 the knee's angle has no derivative."""

_SIDES = ("left", "right")
_FADE_S = 0.2
"""A foot that is lifted is back where the reconstruction has it after so long: a fifth of a stride."""

_BENT_RAD = 1.0
"""Toes that are held beside a heel bend by no more than this."""

_SWEEPS = 20
"""Spots of one foot overlap in chains: heel, toes, the next heel. Each sweep brings all pairs within reach."""

_PULLS = 4
"""How often the pelvis is pulled towards feet out of reach; two feet that pull in turns agree after a few."""


@dataclass(frozen=True, kw_only=True)
class Soles:
    """Where heel and toes lie on the rest skeleton of a person, metres, each carried by one joint.

    Attributes:
        heel: left and right, relative to the ankle joint.
        toe: left and right, relative to the foot joint.
    """

    heel: Float64[ndarray, "2 3"]
    toe: Float64[ndarray, "2 3"]


def find_soles(body: Body, betas: Float[torch.Tensor, "S"]) -> Soles | None:
    """Means of the contact vertices of heels and toes; ``None`` for a body that names none."""
    names = [[f"{side}_{part}" for side in _SIDES] for part in ("heel", "toe")]
    if not {name for pair in names for name in pair} <= body.contact_vertices.keys():
        return None
    shaped = body.shape(betas)
    joints, vertices = shaped.joints.double().cpu().numpy(), shaped.vertices.double().cpu().numpy()
    middles = [
        np.stack([vertices[body.contact_vertices[name].cpu().numpy()].mean(0) for name in pair]) for pair in names
    ]
    ankles, feet = (joints[_columns(part)] for part in ("ankle", "foot"))
    return Soles(heel=middles[0] - ankles, toe=middles[1] - feet)


def pose_joints(
    rest: Float64[ndarray, "24 3"], rotations: Float64[ndarray, "N 24 3 3"], pelvis: Float64[ndarray, "N 3"]
) -> tuple[Float64[ndarray, "N 24 3 3"], Float64[ndarray, "N 24 3"]]:
    """Global rotations and places of the joints of one skeleton whose root joint is at ``pelvis``."""
    bones = torch.from_numpy(rest - rest[0]).expand(len(rotations), -1, -1)
    turned, placed = chain_joints(bones, torch.from_numpy(rotations))
    return turned.numpy(), placed.numpy() + pelvis[:, None]


def hold_feet(
    rotations: Float64[ndarray, "N 24 3 3"],
    pelvis: Float64[ndarray, "N 3"],
    key_rotations: Float64[ndarray, "K 24 3 3"],
    key_pelvis: Float64[ndarray, "K 3"],
    planted: Bool[ndarray, "K 2 2"],
    timeline: Timeline,
    rest: Float64[ndarray, "24 3"],
    soles: Soles,
) -> tuple[Float64[ndarray, "N 24 3 3"], Float64[ndarray, "N 3"]]:
    """The blended motion, its legs bent so that what is planted at both frames around a time stays on its spot.

    That spot moves on the straight line between its places in the two frames, which are equal for a foot that stands
    still. The foot turns from its one orientation to the other, the leg follows in closed form (two bones, the plane
    of the knee kept), and the pelvis is moved only where a leg is too short. Frames themselves are not changed.

    Args:
        rotations, pelvis: blended joint rotations and places of the root joint, finite.
        planted: of each frame and side, whether the heel and the toe stand.
    """
    key_turned, key_placed = pose_joints(rest, key_rotations, key_pelvis)
    slips = np.stack(
        [_find_slips(_place_soles(side, key_turned, key_placed, soles), timeline.key_times_s) for side in (0, 1)],
        axis=1,
    )
    standing = timeline.between(planted.T).T & (timeline.share > 0)[:, None, None] & ~slips[timeline.before]
    turned, placed = pose_joints(rest, rotations, pelvis)
    targets = [
        _aim_foot(side, rotations, turned, key_turned, key_placed, standing[:, side], timeline, rest, soles)
        for side in (0, 1)
    ]
    return _reach(rotations, pelvis, turned, placed, targets, np.any(standing, axis=2), rest)


def lock_feet(
    rotations: Float64[ndarray, "K 24 3 3"],
    pelvis: Float64[ndarray, "K 3"],
    planted: Bool[ndarray, "K 2 2"],
    times_s: Float64[ndarray, "K"],
    rest: Float64[ndarray, "24 3"],
    soles: Soles,
) -> tuple[Float64[ndarray, "K 24 3 3"], Float64[ndarray, "K 3"]]:
    """The frames of a reconstruction, changed so that what stands is on one spot for as long as it stands.

    The spot of a heel or of toes is the mean of its places from the first to the last frame in which it stands without
    a break; where both stand, their spots are moved until the foot reaches from one to the other. The foot is moved
    there, and turned where both have a spot; leg and pelvis follow as in ``hold_feet``. In the frames before and after,
    the change fades away.

    Args:
        rotations, pelvis: joint rotations and places of the root joint, finite.
        planted: of each frame and side, whether the heel and the toe stand.
    """
    turned, placed = pose_joints(rest, rotations, pelvis)
    targets, moves, bent = [], np.any(planted, axis=2), rotations.copy()
    for side in (0, 1):
        ankle, foot = _joint(side, "ankle"), _joint(side, "foot")
        heel, toe = _place_soles(side, turned, placed, soles)
        spots = _find_spots((heel, toe), placed[:, foot], planted[:, side])
        lock = _find_lock(heel, placed[:, foot], toe, spots, planted[:, side], placed[:, ankle])
        change = _fade(lock, moves[:, side], times_s)
        shift, turn, bend = change[:, :3], *(Rotation.from_rotvec(change[:, at : at + 3]).as_matrix() for at in (3, 6))
        bent[:, foot] = turned[:, ankle].mT @ bend @ turned[:, foot]
        targets.append((placed[:, ankle] + shift, turn @ turned[:, ankle]))
        moves[:, side] |= np.any(change != 0, axis=1)
    return _reach(bent, pelvis, turned, placed, targets, moves, rest)


def _place_soles(
    side: int, turned: Float64[ndarray, "N 24 3 3"], placed: Float64[ndarray, "N 24 3"], soles: Soles
) -> list[Float64[ndarray, "N 3"]]:
    """Places of the heel and of the toes."""
    ankle, foot = _joint(side, "ankle"), _joint(side, "foot")
    return [
        placed[:, joint] + turned[:, joint] @ offset
        for joint, offset in ((ankle, soles.heel[side]), (foot, soles.toe[side]))
    ]


def _find_slips(places: list[Float64[ndarray, "K 3"]], times_s: Float64[ndarray, "K"]) -> Bool[ndarray, "K 2"]:
    """Whether each point moves too fast, from each frame to the next, to stand; never from the last."""
    ways = np.linalg.norm(np.diff(np.stack(places, axis=1), axis=0), axis=-1)
    return np.concatenate([ways > SLIP_M_S * np.diff(times_s)[:, None], np.zeros((1, 2), bool)])


def _find_spots(
    places: tuple[Float64[ndarray, "K 3"], Float64[ndarray, "K 3"]],
    ball: Float64[ndarray, "K 3"],
    planted: Bool[ndarray, "K 2"],
) -> list[Float64[ndarray, "K 3"]]:
    """Where heel and toes are to be: of every unbroken stretch one spot, in all other frames where they are.

    Of two spots that are too far from or too close to each other for the foot, the one that counts for fewer frames
    moves the more.
    """
    runs = [find_runs(planted[:, part]) for part in (0, 1)]
    spots = [np.array([places[part][a : b + 1].mean(axis=0) for a, b in runs[part]]) for part in (0, 1)]
    # Both lengths are those of bones: heel and ball hang on the ankle, toes on the ball.
    instep, toes = (float(np.linalg.norm(part - ball, axis=1).mean()) for part in places)
    near, far = np.sqrt(instep**2 + toes**2 + 2 * instep * toes * np.cos(_BENT_RAD)), _REACH * (instep + toes)
    together = [
        (one, other, (b - a + 1) / (b - a + 1 + d - c + 1))
        for one, (a, b) in enumerate(runs[0])
        for other, (c, d) in enumerate(runs[1])
        if max(a, c) <= min(b, d)
    ]
    for _ in range(_SWEEPS):
        for one, other, share in together:
            way = spots[1][other] - spots[0][one]
            length = np.linalg.norm(way)
            change = way / max(length, 1e-9) * (np.clip(length, near, far) - length)
            spots[0][one] -= (1 - share) * change
            spots[1][other] += share * change
    out = [part.copy() for part in places]
    for part in (0, 1):
        for spot, (first, last) in zip(spots[part], runs[part], strict=True):
            out[part][first : last + 1] = spot
    return out


def _find_lock(
    heel: Float64[ndarray, "K 3"],
    ball: Float64[ndarray, "K 3"],
    toe: Float64[ndarray, "K 3"],
    spots: list[Float64[ndarray, "K 3"]],
    planted: Bool[ndarray, "K 2"],
    ankle: Float64[ndarray, "K 3"],
) -> Float64[ndarray, "K 9"]:
    """How the ankle has to move, and foot and then toes to turn (rotation vectors), where heel or toe stands."""
    both = np.logical_and(planted[:, 0], planted[:, 1])[:, None]
    # The toes bend until they are as far from the heel as their two spots are from each other (law of cosines).
    instep, toes, reach = ball - heel, toe - ball, np.linalg.norm(spots[1] - spots[0], axis=1)
    across = np.cross(instep, toes)
    sine = np.linalg.norm(across, axis=1)
    lengths = [np.linalg.norm(part, axis=1) for part in (instep, toes)]
    cosine = (reach**2 - lengths[0] ** 2 - lengths[1] ** 2) / (2 * lengths[0] * lengths[1])
    angle = np.arccos(cosine.clip(-1, 1)) - np.arctan2(sine, (instep * toes).sum(1))
    bend = np.where(both, across / np.maximum(sine, 1e-9)[:, None] * angle[:, None], 0.0)
    bent = instep + (Rotation.from_rotvec(bend).as_matrix() @ toes[..., None])[..., 0]
    turn = np.where(both[..., None], _shortest_turn(bent, spots[1] - spots[0]), np.eye(3))
    # The foot turns about where it stands.
    on_heel = planted[:, :1]
    point, spot = np.where(on_heel, heel, toe), np.where(on_heel, spots[0], spots[1])
    shift = spot + (turn @ (ankle - point)[..., None])[..., 0] - ankle
    shift[~planted.any(axis=1)] = 0.0
    return np.concatenate([shift, Rotation.from_matrix(turn).as_rotvec(), bend], axis=1)


def _fade(
    change: Float64[ndarray, "K C"], stands: Bool[ndarray, "K"], times_s: Float64[ndarray, "K"]
) -> Float64[ndarray, "K C"]:
    """The same where the foot stands; elsewhere what is left of the changes before and after."""
    known, frames = np.flatnonzero(stands), np.arange(len(stands))
    if not len(known):
        return change
    right = np.searchsorted(known, frames)
    before, after = known[(right - 1).clip(min=0)], known[right.clip(max=len(known) - 1)]
    # Between two steps in quick succession, one change passes into the other.
    length = np.where(before < after, np.minimum(times_s[after] - times_s[before], _FADE_S), _FADE_S)
    left, come = (np.maximum(0.0, 1 - np.abs(times_s - times_s[end]) / length) for end in (before, after))
    come = np.where(before == after, 0.0, come)
    return np.where(stands[:, None], change, left[:, None] * change[before] + come[:, None] * change[after])


def _reach(
    rotations: Float64[ndarray, "N 24 3 3"],
    pelvis: Float64[ndarray, "N 3"],
    turned: Float64[ndarray, "N 24 3 3"],
    placed: Float64[ndarray, "N 24 3"],
    targets: list[tuple[Float64[ndarray, "N 3"], Float64[ndarray, "N 3 3"]]],
    moves: Bool[ndarray, "N 2"],
    rest: Float64[ndarray, "24 3"],
) -> tuple[Float64[ndarray, "N 24 3 3"], Float64[ndarray, "N 3"]]:
    """Rotations and pelvis with the ankles that ``moves`` names at their targets (place and orientation)."""
    pelvis = pelvis + _pull_pelvis([placed[:, _joint(side, "hip")] for side in (0, 1)], targets, moves, rest)
    out = rotations.copy()
    for side in (0, 1):
        some = moves[:, side]
        if some.any():
            ankle, orientation = targets[side]
            _bend_leg(out, some, side, turned[some], pelvis[some], ankle[some], orientation[some], rest)
    return out, pelvis


def _joint(side: int, part: str) -> int:
    return JOINT_NAMES.index(f"{_SIDES[side]}_{part}")


def _columns(part: str) -> list[int]:
    return [_joint(side, part) for side in (0, 1)]


def _aim_foot(
    side: int,
    rotations: Float64[ndarray, "N 24 3 3"],
    turned: Float64[ndarray, "N 24 3 3"],
    key_turned: Float64[ndarray, "K 24 3 3"],
    key_placed: Float64[ndarray, "K 24 3"],
    standing: Bool[ndarray, "N 2"],
    timeline: Timeline,
    rest: Float64[ndarray, "24 3"],
    soles: Soles,
) -> tuple[Float64[ndarray, "N 3"], Float64[ndarray, "N 3 3"]]:
    """Place and orientation of the ankle at which heel, toe or the middle of both is where it stands."""
    ankle, foot = _joint(side, "ankle"), _joint(side, "foot")
    instep = rest[foot] - rest[ankle]
    on_keys = _place_soles(side, key_turned, key_placed, soles)
    offsets = [np.broadcast_to(soles.heel[side], (len(rotations), 3)), instep + rotations[:, foot] @ soles.toe[side]]
    weights = standing / np.maximum(1, standing.sum(axis=1, keepdims=True))
    spot = sum(weights[:, [part]] * timeline.blend(on_keys[part]) for part in (0, 1))
    offset = sum(weights[:, [part]] * offsets[part] for part in (0, 1))
    stands = np.any(standing, axis=1, keepdims=True)[..., None]
    orientation = np.where(stands, timeline.turn(key_turned[:, ankle]), turned[:, ankle])
    return spot - (orientation @ offset[..., None])[..., 0], orientation


def _pull_pelvis(
    hips: list[Float64[ndarray, "N 3"]],
    targets: list[tuple[Float64[ndarray, "N 3"], Float64[ndarray, "N 3 3"]]],
    moves: Bool[ndarray, "N 2"],
    rest: Float64[ndarray, "24 3"],
) -> Float64[ndarray, "N 3"]:
    """How far the pelvis has to move so that no leg is longer than it is."""
    pull = np.zeros_like(hips[0])
    for _ in range(_PULLS):
        for side in (0, 1):
            way = targets[side][0] - (hips[side] + pull)
            length = np.linalg.norm(way, axis=1, keepdims=True)
            excess = np.where(moves[:, [side]], np.maximum(0, length - _REACH * sum(_leg(rest, side))), 0.0)
            pull += way / np.maximum(length, 1e-9) * excess
    return pull


def _leg(rest: Float64[ndarray, "24 3"], side: int) -> tuple[float, float]:
    hip, knee, ankle = (rest[_joint(side, part)] for part in ("hip", "knee", "ankle"))
    return float(np.linalg.norm(knee - hip)), float(np.linalg.norm(ankle - knee))


def _bend_leg(
    rotations: Float64[ndarray, "N 24 3 3"],
    some: Bool[ndarray, "N"],
    side: int,
    turned: Float64[ndarray, "M 24 3 3"],
    pelvis: Float64[ndarray, "M 3"],
    target: Float64[ndarray, "M 3"],
    orientation: Float64[ndarray, "M 3 3"],
    rest: Float64[ndarray, "24 3"],
) -> None:
    """Turn hip, knee and ankle, in ``rotations`` of the frames ``some``, so that the ankle is at its target."""
    hip, knee, ankle = (_joint(side, part) for part in ("hip", "knee", "ankle"))
    root = turned[:, 0]
    way = target - (pelvis + root @ (rest[hip] - rest[0]))
    thigh, shank = _leg(rest, side)
    upper, lower = turned[:, hip] @ (rest[knee] - rest[hip]), turned[:, knee] @ (rest[ankle] - rest[knee])
    # Law of cosines; 0 is a straight leg. A straight knee bends about the thigh's own x axis, which is to the left.
    across = np.cross(upper, lower)
    sine = np.linalg.norm(across, axis=1)
    axis = np.where(sine[:, None] > 1e-6, across / np.maximum(sine, 1e-12)[:, None], turned[:, hip, :, 0])
    now = np.arctan2(sine, (upper * lower).sum(1))
    cosine = ((way**2).sum(1) - thigh**2 - shank**2) / (2 * thigh * shank)
    bend = Rotation.from_rotvec(axis * (np.arccos(cosine.clip(-1, 1)) - now)[:, None]).as_matrix()
    swing = _shortest_turn(upper + (bend @ lower[..., None])[..., 0], way)
    new_hip = swing @ turned[:, hip]
    new_knee = swing @ bend @ turned[:, knee]
    rotations[some, hip] = root.mT @ new_hip
    rotations[some, knee] = new_hip.mT @ new_knee
    rotations[some, ankle] = new_knee.mT @ orientation


def _shortest_turn(start: Float64[ndarray, "M 3"], end: Float64[ndarray, "M 3"]) -> Float64[ndarray, "M 3 3"]:
    """The rotation by the smallest angle that brings one direction to another."""
    axis = np.cross(start, end)
    sine = np.linalg.norm(axis, axis=1)
    angle = np.arctan2(sine, (start * end).sum(1))
    return Rotation.from_rotvec(axis / np.maximum(sine, 1e-12)[:, None] * angle[:, None]).as_matrix()
