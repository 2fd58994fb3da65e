"""A motion on the body of a certain person: feet that carry stay where they stand, nothing sinks, nothing floats."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.spatial.transform import Rotation
from torch import Tensor

from unish.body.model import ShapedBody
from unish.body.skinning import chain_joints, pose_features
from unish.lab.synthetic.motion.legs import Legs, reach_ankles
from unish.lab.synthetic.motion.record import Motion
from unish.lab.synthetic.motion.skeleton import NOMINAL_REST_JOINTS, leg_length, pose_skeleton
from unish.lab.synthetic.motion.soles import Sole, SupportBody, make_soles
from unish.lab.synthetic.motion.stances import PITCH, Stance, find_stances
from unish.lab.synthetic.motion.uneven import Heights, climb

_BLEND_S = 0.3
_SMOOTHING_S = 0.06
_FLAT = np.radians(6.0)
"""A carrying foot that is tilted by less is set down flat."""
STEP_HEIGHT = 0.025
"""Least height in metres of a foot half way through a step."""
_FEET = (7, 8, 10, 11)


@dataclass(frozen=True, kw_only=True)
class _Feet:
    """Where both feet should be.

    Attributes:
        ankles: metres; feet, toes: world rotations.
        turns: yaw that was added to the motion's.
        clearance: least height of the sole.
    """

    ankles: Float[ndarray, "N 2 3"]
    feet: Float[ndarray, "N 2 3 3"]
    toes: Float[ndarray, "N 2 3 3"]
    turns: Float[ndarray, "N 2"]
    clearance: Float[ndarray, "N 2"]


def ground_motion(
    motion: Motion, support: SupportBody, betas: Float[Tensor, "10"], ground: Heights | None = None
) -> Motion:
    """The motion for a body of this shape, its pelvis path in place of the nominal one.

    Paths and jumps grow with the legs. A foot is locked to one place of the floor, rolling from heel to toes without
    sliding, for as long as it carries (``find_stances``); in between it follows the motion, drawn towards its next
    place. The pelvis gives way, smoothly, where a leg is too short, and no support point goes below the floor.

    Args:
        motion: evenly sampled at some 60 Hz, long enough before and after what is needed (half a second).
        ground: height of the ground where it is not flat: stairs, ramps, platforms.
    """
    rate = (motion.num_frames - 1) / max(motion.duration_s, 1e-6)
    rest = support.body.rest_joints(betas.double())
    shaped = support.body.shape(betas.double())
    soles = make_soles(support, shaped.vertices, rest)
    turned, posed = (part.numpy() for part in _chain(rest, motion.rotations))
    _, nominal = pose_skeleton(motion.rotations)
    root, clearance = _scale_path(motion, nominal, rest)
    feet = turned[:, [7, 8]]
    stances = find_stances(motion, nominal, feet, (posed[:, [7, 8]] + root[:, None])[..., [0, 2]])
    lowest = _lowest_points(support, shaped, motion, turned, posed)
    root[:, 1] = clearance - lowest.min(axis=1)
    standing = _stand(soles, stances, turned, posed + root[:, None])
    root = _follow_feet(root, standing.ankles, posed[:, [7, 8]], stances, rate)
    wanted = _join_stances(standing, stances, turned, posed + root[:, None], rate)
    root = _lower_to_reach(root, posed, wanted.ankles, stances, rate)
    root[:, 1] += _envelope(np.maximum(-(lowest[:, 1] + root[:, 1]), 0), rate)
    wanted = replace(wanted, ankles=_keep_above(soles, wanted))
    if ground is not None:
        root, wanted = _climb(root, posed, wanted, stances, ground, rate)
    return _set_legs(motion, turned, posed, root, wanted)


def _chain(rest: Float[Tensor, "24 3"], rotations: Float[Tensor, "N 24 3 3"]) -> tuple[Tensor, Tensor]:
    """World rotations and positions around the pelvis."""
    return chain_joints((rest - rest[:1]).expand(len(rotations), 24, 3), rotations.double())


def _scale_path(
    motion: Motion, nominal: Float[Tensor, "N 20 3"], rest: Float[Tensor, "24 3"]
) -> tuple[Float[ndarray, "N 3"], Float[ndarray, "N"]]:
    """Path of the pelvis and height of the lowest point, both grown with the legs.

    Args:
        nominal: contact points of the nominal skeleton around its pelvis.
    """
    ratio = leg_length(rest) / leg_length(NOMINAL_REST_JOINTS)
    clearance = (motion.root[:, 1] + nominal[..., 1].amin(dim=-1)).clamp_min(0)
    return motion.root.double().numpy() * ratio, clearance.double().numpy() * ratio


def _lowest_points(
    support: SupportBody,
    shaped: ShapedBody,
    motion: Motion,
    turned: Float[ndarray, "N 24 3 3"],
    posed: Float[ndarray, "N 24 3"],
) -> Float[ndarray, "N 2"]:
    """Lowest height, from the pelvis, of the feet and of everything else."""
    points = shaped.vertices
    if support.body.pose_directions is not None:
        moved = pose_features(motion.body_pose.double()) @ support.body.pose_directions
        points = points + moved.unflatten(-1, (-1, 3))
    # The second row of skinning alone: only heights are wanted.
    up = turned[:, :, 1]
    shift = posed[..., 1] - (up * shaped.joints.numpy()).sum(axis=-1)
    weights, along = support.body.skin_weights.numpy(), points.numpy().T.reshape(3, len(support.parts), -1)
    heights = weights @ shift.T + sum(weights @ up[..., axis].T * along[axis] for axis in range(3))
    of_feet = np.isin(support.parts, _FEET)
    return np.stack([heights[of_feet].min(axis=0), heights[~of_feet].min(axis=0)], axis=1)


def _stand(
    soles: tuple[Sole, Sole],
    stances: tuple[list[Stance], list[Stance]],
    turned: Float[ndarray, "N 24 3 3"],
    posed: Float[ndarray, "N 24 3"],
) -> _Feet:
    """Feet of every stance, locked: one place and one heading, rolling as the motion does. NaN where none carries."""
    num = len(turned)
    ankles, turns = np.full((num, 2, 3), np.nan), np.zeros((num, 2))
    feet, toes = np.full((num, 2, 3, 3), np.nan), np.full((num, 2, 3, 3), np.nan)
    for side, sole in enumerate(soles):
        axis = turned[:, 7 + side, :, 2]
        yaw = np.unwrap(np.arctan2(axis[:, 0], axis[:, 2]))
        elevation = np.arcsin(np.clip(axis[:, 1], -1, 1)).clip(*PITCH)
        elevation = np.sign(elevation) * np.maximum(np.abs(elevation) - _FLAT, 0)
        rolled = sole.place_ankle(elevation)
        for stance in stances[side]:
            frames = stance.frames
            # The flat middle of a stance says where the foot stands better than landing and pushing off do.
            weight = np.exp(-((elevation[frames] / _FLAT) ** 2)) + 1e-3
            heading = float(np.average(yaw[frames], weights=weight))
            turn = Rotation.from_rotvec([0, heading, 0]).as_matrix()
            offset = rolled[frames] @ turn.T
            spot = np.average((posed[frames, 7 + side] - offset)[:, [0, 2]], axis=0, weights=weight)
            ankles[frames, side] = offset + np.insert(spot, 1, 0.0)
            tilts = Rotation.from_rotvec(-elevation[frames, None] * [1.0, 0, 0]).as_matrix()
            feet[frames, side] = turn @ tilts
            toes[frames, side] = turn @ np.where((elevation[frames] > 0)[:, None, None], tilts, np.eye(3))
            turns[frames, side] = heading - yaw[frames]
    return _Feet(ankles=ankles, feet=feet, toes=toes, turns=turns, clearance=np.zeros((num, 2)))


def _follow_feet(
    root: Float[ndarray, "N 3"],
    targets: Float[ndarray, "N 2 3"],
    ankles: Float[ndarray, "N 2 3"],
    stances: tuple[list[Stance], list[Stance]],
    rate: float,
) -> Float[ndarray, "N 3"]:
    """The pelvis path, shifted smoothly to bring carrying feet near their places: the legs have little left to bend."""
    carrying = _carrying(stances, len(ankles))
    count = carrying.sum(axis=1)
    shift = np.where(carrying[..., None], targets - ankles - root[:, None], 0).sum(axis=1)
    shift /= np.maximum(count, 1)[:, None]
    known = count > 0
    if known.any():
        index = np.arange(len(shift))
        for axis in (0, 2):
            shift[:, axis] = np.interp(index, index[known], shift[known, axis])
    return gaussian_filter1d(root + shift, _SMOOTHING_S * rate, axis=0, mode="nearest")


def _carrying(stances: tuple[list[Stance], list[Stance]], num: int) -> Bool[ndarray, "N 2"]:
    carrying = np.zeros((num, 2), bool)
    for side in range(2):
        for stance in stances[side]:
            carrying[stance.frames, side] = True
    return carrying


def _join_stances(
    standing: _Feet,
    stances: tuple[list[Stance], list[Stance]],
    turned: Float[ndarray, "N 24 3 3"],
    posed: Float[ndarray, "N 24 3"],
    rate: float,
) -> _Feet:
    """Between stances a foot follows the motion plus what is left of the correction before and already of the next."""
    num, blend = len(turned), round(_BLEND_S * rate)
    wanted = {
        "ankles": posed[:, [7, 8]].copy(), "feet": turned[:, [7, 8]].copy(), "toes": turned[:, [10, 11]].copy(),
        "turns": np.zeros((num, 2)), "clearance": np.zeros((num, 2)),
    }  # fmt: skip
    for side in range(2):
        for before, after in pairwise([None, *stances[side], None]):
            start, stop = (before.stop if before else 0), (after.start if after else num)
            index = np.arange(start, stop)
            length = min(blend, stop - start + 1)
            for stance, frame, gone in (
                (before, start - 1, (index - start + 1) / length),
                (after, stop, (stop - index) / length),
            ):
                if stance is not None and len(index):
                    _add_correction(wanted, standing, (posed, turned), side, frame, index, 1 - _ease(gone))
            if before is not None and after is not None and len(index):
                moved = float(np.linalg.norm(standing.ankles[stop, side] - standing.ankles[start - 1, side]))
                arc = np.sqrt(np.sin(np.pi * (index - start + 1) / (len(index) + 1)))
                wanted["clearance"][index, side] = STEP_HEIGHT * arc * min(1.0, moved / 0.1)
        for stance in stances[side]:
            for name, values in wanted.items():
                values[stance.frames, side] = getattr(standing, name)[stance.frames, side]
    return _Feet(**wanted)


def _add_correction(
    wanted: dict[str, ndarray],
    standing: _Feet,
    free: tuple[Float[ndarray, "N 24 3"], Float[ndarray, "N 24 3 3"]],
    side: int,
    frame: int,
    index: ndarray,
    weight: Float[ndarray, "K"],
) -> None:
    """Add a weighted share of the difference that the stance makes at ``frame`` to the frames ``index``."""
    posed, turned = free
    wanted["ankles"][index, side] += weight[:, None] * (standing.ankles[frame, side] - posed[frame, 7 + side])
    wanted["turns"][index, side] += weight * standing.turns[frame, side]
    for name, joint in (("feet", 7), ("toes", 10)):
        apart = getattr(standing, name)[frame, side] @ turned[frame, joint + side].T
        turn = Rotation.from_rotvec(Rotation.from_matrix(apart).as_rotvec() * weight[:, None]).as_matrix()
        wanted[name][index, side] = turn @ wanted[name][index, side]


def _lower_to_reach(
    root: Float[ndarray, "N 3"],
    posed: Float[ndarray, "N 24 3"],
    ankles: Float[ndarray, "N 2 3"],
    stances: tuple[list[Stance], list[Stance]],
    rate: float,
) -> Float[ndarray, "N 3"]:
    """Let the pelvis down where a carrying leg cannot reach its place."""
    hips = posed[:, [1, 2]] + root[:, None]
    length = sum(np.linalg.norm(posed[:, [a, a + 1]] - posed[:, [a + 3, a + 4]], axis=-1) for a in (1, 4)) * 0.998
    away = hips - ankles
    level = np.linalg.norm(away[..., [0, 2]], axis=-1)
    drop = away[..., 1] - np.sqrt(np.maximum(length**2 - level**2, 0.01))
    drop = np.where(_carrying(stances, len(root)), np.maximum(drop, 0), 0).max(axis=1)
    return root - _envelope(drop, rate)[:, None] * [0.0, 1.0, 0.0]


def _envelope(values: Float[ndarray, "N"], rate: float) -> Float[ndarray, "N"]:
    """A smooth curve that is nowhere (to within what smoothing leaves) below the given one."""
    if not values.any():
        return values
    width = 2 * round(0.1 * rate) + 1
    return gaussian_filter1d(maximum_filter1d(values, width, mode="nearest"), 0.04 * rate, mode="nearest")


def _keep_above(soles: tuple[Sole, Sole], wanted: _Feet) -> Float[ndarray, "N 2 3"]:
    """Ankles, raised where a foot would dip below its clearance."""
    ankles = wanted.ankles.copy()
    for side, sole in enumerate(soles):
        depth = sole.measure_depth(wanted.feet[:, side], wanted.toes[:, side])
        ankles[:, side, 1] = np.maximum(ankles[:, side, 1], depth + wanted.clearance[:, side])
    return ankles


def _climb(
    root: Float[ndarray, "N 3"],
    posed: Float[ndarray, "N 24 3"],
    wanted: _Feet,
    stances: tuple[list[Stance], list[Stance]],
    ground: Heights,
    rate: float,
) -> tuple[Float[ndarray, "N 3"], _Feet]:
    """Feet on uneven ground, and a pelvis that their legs can carry."""
    shift, turns, rise = climb(wanted.ankles, wanted.feet, stances, ground, rate)
    wanted = replace(
        wanted, ankles=wanted.ankles + shift, feet=turns @ wanted.feet, toes=turns @ wanted.toes
    )  # fmt: skip
    root = root + rise[:, None] * [0.0, 1.0, 0.0]
    return _lower_to_reach(root, posed, wanted.ankles, stances, rate), wanted


def _set_legs(
    motion: Motion,
    turned: Float[ndarray, "N 24 3 3"],
    posed: Float[ndarray, "N 24 3"],
    root: Float[ndarray, "N 3"],
    wanted: _Feet,
) -> Motion:
    """Bend both legs so that the feet are where they should be."""
    world = posed + root[:, None]
    legs = Legs(
        hips=world[:, [1, 2]], knees=world[:, [4, 5]], ankles=world[:, [7, 8]], thighs=turned[:, [1, 2]],
        shanks=turned[:, [4, 5]],
    )  # fmt: skip
    thighs, shanks = reach_ankles(legs, wanted.ankles, 0.5 * wanted.turns)
    local = motion.body_pose.double().numpy().copy()
    chain = [turned[:, None, 0], thighs, shanks, wanted.feet, wanted.toes]
    for level, (parent, child) in enumerate(pairwise(chain)):
        local[:, 3 * level : 3 * level + 2] = np.swapaxes(parent, -1, -2) @ child
    return replace(
        motion, global_orient=motion.global_orient.double(), body_pose=torch.from_numpy(local),
        root=torch.from_numpy(root),
    )  # fmt: skip


def _ease(share: Float[ndarray, "K"]) -> Float[ndarray, "K"]:
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)
