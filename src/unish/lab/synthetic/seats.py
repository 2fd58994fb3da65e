"""What people sit on: blocks, stools, chairs, benches and beams, made to measure so that they hold and cut nobody."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from unish.lab.synthetic.paints import sample_paint
from unish.lab.synthetic.shapes import Paint, join, make_box, make_cylinder, place
from unish.lab.synthetic.stage import Prop
from unish.lab.synthetic.textures import TextureBank
from unish.render.scene import Mesh

Rng = np.random.Generator
KINDS = ("block", "chair", "chair", "stool", "bench", "beam")
LOWEST = 0.12
"""Someone whose seat would be lower (metres) sits on the floor."""
GAP = 0.004
"""Between body and seat, metres."""


BALANCED = 0.24
"""Metres by which the feet of an adult who squats may be ahead of the pelvis."""
TUCKED = 0.06
"""The same of someone who is known to sit, feet under the seat."""
_ADULT_LEG = 0.83


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """The room that a sitting body leaves, in the seat's axes (z forward, origin below the pelvis)."""

    points: Float[ndarray, "M 3"]
    top: float

    def front(self, half_width: float, low: float) -> float:
        """How far forward something between ``low`` and the top may reach before it meets a leg."""
        x, y, z = self.points.T
        legs = z[(np.abs(x) < half_width + 0.01) & (y > low - 0.01) & (y < self.top) & (z > -0.05)]
        return min(float(legs.min()) - 0.01, 0.26) if len(legs) else 0.26

    def back(self, half_width: float, high: float) -> float:
        """z of the rearmost point of the body between the top and ``high``."""
        x, y, z = self.points.T
        trunk = z[(np.abs(x) < half_width + 0.01) & (y > self.top) & (y < high)]
        return float(trunk.min()) - 0.01 if len(trunk) else -0.2

    def cuts(self, low: Float[ndarray, "3"], high: Float[ndarray, "3"]) -> bool:
        """Is some point more than half a centimetre inside a box?"""
        return bool(((self.points > low + 0.005) & (self.points < high - 0.005)).all(axis=1).any())


def needs_seat(joints: Float[ndarray, "N 24 3"], lead: float = BALANCED) -> Bool[ndarray, "N"]:
    """Frames in which the pelvis is low and further behind the feet than ``lead``: without a seat one would fall.

    ``lead`` and all heights are for an adult, and scaled to the legs of the person.
    """
    pelvis, knees, ankles = joints[:, 0], joints[:, [4, 5]].mean(1), joints[:, [7, 8]].mean(1)
    bones = np.linalg.norm(joints[:, [4, 7, 5, 8]] - joints[:, [1, 4, 2, 5]], axis=-1)
    scale = float(bones.sum(axis=1).mean()) / 2 / _ADULT_LEG
    ahead = (knees - pelvis)[:, [0, 2]]
    ahead /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-6)
    before = ((ankles - pelvis)[:, [0, 2]] * ahead).sum(1) / scale
    low = (pelvis[:, 1] / scale < 0.75) & (np.abs(knees[:, 1] - pelvis[:, 1]) / scale < 0.2)
    upright = (joints[:, 12, 1] - pelvis[:, 1]) / scale > 0.25
    return low & upright & (before > lead)


def make_seat(
    rng: Rng,
    bank: TextureBank,
    joints: Float[ndarray, "N 24 3"],
    vertices: Float[ndarray, "N V 3"],
    facing: Float[ndarray, "N 3"],
    lead: float = BALANCED,
) -> Prop | None:
    """Something to sit on that touches the thighs from below and goes through no vertex in any frame.

    ``None`` when nobody sits, when they sit on the floor, or when their legs leave no room for a seat.

    Args:
        facing: forward axis of the pelvis in each frame.
        lead: see ``needs_seat``; less for those who are known to sit.
    """
    sitting = needs_seat(joints, lead)
    if not sitting.any():
        return None
    lowest = int(np.where(sitting, joints[:, 0, 1], np.inf).argmin())
    pelvis, forward = joints[lowest, 0], facing[lowest]
    yaw = float(np.arctan2(forward[0], forward[2]))
    cosine, sine = np.cos(yaw), np.sin(yaw)
    x, y, z = (vertices.astype(np.float64) - [pelvis[0], 0.0, pelvis[2]]).reshape(-1, 3).T
    points = np.stack([x * cosine - z * sine, y, x * sine + z * cosine], axis=1)
    points = points[(np.abs(points[:, 0]) < 1.0) & (np.abs(points[:, 2]) < 0.9)]
    under = (np.abs(points[:, 0]) < 0.14) & (points[:, 2] > -0.14) & (points[:, 2] < 0.06)
    top = float(points[under, 1].min()) - GAP
    if top < LOWEST:
        return None
    fit = _Fit(points=points, top=top)
    for kind in rng.permutation(KINDS):
        mesh = _build(rng, str(kind), fit, sample_paint(rng, bank, "planks", "noise", "carpet", "cloudy"))
        if mesh is not None:
            return Prop.of(place(mesh, (float(pelvis[0]), 0.0, float(pelvis[2])), yaw))
    return None


def _build(rng: Rng, kind: str, fit: _Fit, paint: Paint) -> Mesh | None:
    """A seat of a kind, or nothing where the legs are in its way."""
    half = {"stool": rng.uniform(0.15, 0.2), "bench": rng.uniform(0.5, 0.9), "beam": rng.uniform(0.4, 0.8)}.get(
        kind, rng.uniform(0.2, 0.3)
    )
    thick = {"block": fit.top, "bench": rng.choice([0.05, fit.top]), "beam": min(0.12, fit.top)}.get(
        kind, rng.uniform(0.02, 0.07)
    )
    front = fit.front(half, fit.top - thick)
    back = -rng.uniform(0.14, 0.26)
    if kind == "beam":
        front = min(front, back + rng.uniform(0.2, 0.3))
    high = fit.top + rng.uniform(0.25, 0.5)
    rest = fit.back(half, high) if kind == "chair" or (kind == "bench" and rng.random() < 0.5) else None
    if rest is not None and rest > -0.5:
        back = min(back, rest)
    if front - back < 0.16:
        return None
    middle, depth = (front + back) / 2, front - back
    boxes = [((-half, fit.top - thick, back), (half, fit.top, front))]
    if rest is not None and rest > -0.5:
        boxes.append(((-half, fit.top, back - 0.05), (half, high, back)))
    if thick < fit.top - 0.05:
        for x in (-half, half - 0.04):
            for z in (back, front - 0.04):
                boxes.append(((x, 0.0, z), (x + 0.04, fit.top - thick, z + 0.04)))
    if any(fit.cuts(np.array(low), np.array(high)) for low, high in boxes):
        return None
    if kind == "stool" and rng.random() < 0.5:
        plate = make_cylinder(min(half, depth / 2), thick, paint)
        boxes = boxes[1:]
        pieces = [place(plate, (0.0, fit.top - thick, middle), 0.0)]
    else:
        pieces = []
    for low, high_corner in boxes:
        size = np.subtract(high_corner, low)
        pieces.append(make_box(size, paint, np.add(low, high_corner) / 2))
    return join(pieces)
