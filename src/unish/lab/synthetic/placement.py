"""Where the people of a clip are and which way they face: groups whose bodies keep apart, arms and all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.spatial import cKDTree

from unish.body import Body, pick_vertices
from unish.lab.synthetic.motion import Motion

Rng = np.random.Generator
ARRANGEMENTS = {"scattered": 0.35, "talking": 0.2, "row": 0.15, "queue": 0.1, "crossing": 0.1, "together": 0.1}
"""Ways in which several people stand or walk, with their shares."""
APART = 0.075
"""Least distance between surface points of two people, metres: about the spacing of the points that are compared."""
_NUM_POINTS = 600
_ATTEMPTS = 30


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Where somebody should be in the middle of the clip.

    Attributes:
        place: (2,) x, z in metres; heading: radians about y, 0 faces +z.
        away: (2,) unit vector along which to give way.
    """

    place: Float[ndarray, "2"]
    heading: float
    away: Float[ndarray, "2"]


def arrange_people(rng: Rng, count: int, spread: float) -> list[Spot]:
    """Spots of a group about the origin, within some ``spread`` metres where the arrangement allows it."""
    kind = str(rng.choice(list(ARRANGEMENTS), p=list(ARRANGEMENTS.values()))) if count > 1 else "scattered"
    yaw = rng.uniform(-np.pi, np.pi)
    ahead, across = np.array([np.sin(yaw), np.cos(yaw)]), np.array([np.cos(yaw), -np.sin(yaw)])
    order = np.arange(count) - (count - 1) / 2
    gap = rng.uniform(0.5, 1.1)
    if kind == "talking":
        # A ring that looks inward; two people face each other.
        angles = yaw + 2 * np.pi * np.arange(count) / count + rng.normal(0, 0.15, count)
        ring = np.stack([np.sin(angles), np.cos(angles)], axis=1)
        places, headings = ring * gap * max(0.5, count / 5), angles + np.pi
    elif kind == "row":
        places, headings = order[:, None] * gap * across, np.full(count, yaw)
    elif kind == "queue":
        places, headings = order[:, None] * gap * ahead, np.full(count, yaw)
    elif kind == "crossing":
        headings = yaw + np.where(np.arange(count) % 2, np.pi, 0) + rng.normal(0, 0.4, count)
        places = order[:, None] * gap * across
    elif kind == "together":
        places, headings = order[:, None] * gap * across + rng.normal(0, 0.2, (count, 2)), np.full(count, yaw)
    else:
        places, headings = rng.normal(0, 0.6 * spread, (count, 2)), rng.uniform(-np.pi, np.pi, count)
    headings = headings + (0 if kind == "scattered" else rng.normal(0, 0.2, count))
    spots = []
    for place, heading in zip(places, headings, strict=True):
        distance = float(np.linalg.norm(place))
        side = rng.uniform(-np.pi, np.pi)
        away = place / distance if distance > 0.05 else np.array([np.sin(side), np.cos(side)])
        spots.append(Spot(place=place, heading=float(heading), away=away))
    return spots


def thin_body(body: Body) -> Body:
    """The same body with a fixed random choice of its vertices, for collisions."""
    chosen = np.random.default_rng(0).permutation(body.num_vertices)[:_NUM_POINTS]
    return pick_vertices(body, torch.from_numpy(np.sort(chosen)))


def find_heading(motion: Motion) -> float:
    """Where somebody walks to in the course of the motion, or faces in the middle of it when staying."""
    walked = (motion.root[-1] - motion.root[0]).numpy()[[0, 2]]
    if np.linalg.norm(walked) > 0.5:
        return float(np.arctan2(walked[0], walked[1]))
    facing = motion.global_orient[motion.num_frames // 2, :, 2].numpy()
    return float(np.arctan2(facing[0], facing[2]))


def find_place(
    rng: Rng, spot: Spot, points: Float[ndarray, "N P 3"], others: list[Float[ndarray, "N _ 3"]]
) -> Float[ndarray, "2"] | None:
    """The place nearest to the spot, along its way out, where the body touches nobody in any frame.

    Args:
        points: the body, at home around the origin; others: those who are already placed.
    """
    for attempt in range(_ATTEMPTS):
        place = spot.place + spot.away * (0.12 * attempt) + rng.normal(0, 0.02 + 0.02 * attempt, 2)
        moved = points + np.insert(place, 1, 0.0)
        if not any(bodies_touch(moved, other) for other in others):
            return place
    return None


def bodies_touch(first: Float[ndarray, "N P 3"], second: Float[ndarray, "N Q 3"], apart: float = APART) -> bool:
    """Do points of two bodies come closer than ``apart`` in some frame?"""
    low, high = (np.maximum(first.min(1), second.min(1)) - apart, np.minimum(first.max(1), second.max(1)) + apart)
    for frame in np.flatnonzero((low < high).all(axis=1)):
        near = [
            part[frame][((part[frame] > low[frame]) & (part[frame] < high[frame])).all(axis=1)]
            for part in (first, second)
        ]
        if all(map(len, near)) and np.isfinite(cKDTree(near[0]).query(near[1], distance_upper_bound=apart)[0]).any():
            return True
    return False
