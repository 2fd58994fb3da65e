"""What of a body can touch a floor: a few support points of every part, and how its feet roll."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy import ndarray
from torch import Tensor

from unish.body import Body, pick_vertices

_STEP = np.radians(1.0)
_ROLL = np.radians(60.0)


@dataclass(frozen=True, kw_only=True)
class SupportBody:
    """A body of few vertices: of every part those that lie furthest in some direction.

    Attributes:
        body: as the full one, double precision, with these vertices only.
        parts: (P,) joint that carries each vertex.
    """

    body: Body
    parts: Int64[ndarray, "P"]

    @classmethod
    def of(cls, body: Body) -> SupportBody:
        """Support points along 26 directions; for feet, which may also lie on their heels, many from back to front."""
        grid = np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        slopes = np.radians(np.arange(-90, 91, 5))
        around = np.stack([np.zeros_like(slopes), -np.cos(slopes), np.sin(slopes)], axis=1)
        tilt = np.array([0.3, 0.0, 0.0])
        directions = np.concatenate([grid[np.abs(grid).sum(1) > 0], around, around + tilt, around - tilt])
        part = body.skin_weights.argmax(dim=1).numpy()
        template = body.template.double().numpy()
        chosen = []
        for joint in range(body.skin_weights.shape[1]):
            members = np.flatnonzero(part == joint)
            if len(members):
                used = directions if joint in (7, 8, 10, 11) else directions[:26]
                chosen.append(np.unique(members[(template[members] @ used.T).argmax(axis=0)]))
        index = np.concatenate(chosen)
        small = pick_vertices(body, torch.from_numpy(index))
        return cls(body=small.to(dtype=torch.float64), parts=part[index])


@dataclass(frozen=True, kw_only=True)
class Sole:
    """A foot that rolls on the floor without sliding: on the heel with its toes up, on the toes with its heel up.

    The foot's own frame: y up, z forward, x to the left; its origin on the floor below the ankle of the flat foot.

    Attributes:
        points: (K, 3) of the rest pose from the ankle; these can touch the floor.
        on_toes: which of them move with the toes.
        ankle: height of the ankle over the floor, foot flat.
        toe_joint: (3,) from the ankle in the rest pose.
        heel_roll: (A, 2) y and z of the ankle on the heel, toes raised by multiples of one degree.
    """

    points: Float[ndarray, "K 3"]
    on_toes: Bool[ndarray, "K"]
    ankle: float
    toe_joint: Float[ndarray, "3"]
    heel_roll: Float[ndarray, "A 2"]

    @classmethod
    def of(cls, points: Float[ndarray, "K 3"], on_toes: Bool[ndarray, "K"], toe_joint: Float[ndarray, "3"]) -> Sole:
        """From points of the foot in the rest pose and its toe joint, both seen from the ankle."""
        angles = np.arange(0, _ROLL + _STEP, _STEP)
        cosine, sine = np.cos(angles), np.sin(angles)
        y = points[:, 1:2] * cosine + points[:, 2:] * sine
        z = points[:, 2:] * cosine - points[:, 1:2] * sine
        # From one angle to the next the foot turns about the point that is lowest at the end.
        carrier, step = y.argmin(axis=0)[1:], np.arange(len(angles) - 1)
        moved = z[carrier, step] - z[carrier, step + 1]
        heel_roll = np.stack([-y.min(axis=0), np.concatenate([[0.0], np.cumsum(moved)])], axis=1)
        return cls(
            points=points, on_toes=on_toes, ankle=float(heel_roll[0, 0]), toe_joint=toe_joint, heel_roll=heel_roll,
        )  # fmt: skip

    def measure_depth(self, feet: Float[ndarray, "N 3 3"], toes: Float[ndarray, "N 3 3"]) -> Float[ndarray, "N"]:
        """How far the lowest point lies below the ankle, for world rotations of foot and toes."""
        down = feet[:, 1] @ self.points.T
        bent = feet[:, 1] @ self.toe_joint
        down[:, self.on_toes] = bent[:, None] + toes[:, 1] @ (self.points[self.on_toes] - self.toe_joint).T
        return -down.min(axis=1)

    def place_ankle(self, elevation: Float[ndarray, "N"]) -> Float[ndarray, "N 3"]:
        """The ankle in the foot's own frame when the foot's axis rises (positive: toes up) by these angles, radians."""
        grid = np.arange(len(self.heel_roll)) * _STEP
        onto_heel = np.stack([np.interp(elevation, grid, self.heel_roll[:, axis]) for axis in range(2)], axis=-1)
        _, up, forward = self.toe_joint
        cosine, sine = np.cos(elevation), np.sin(elevation)
        onto_toes = np.stack(
            [self.ankle + up - up * cosine - forward * sine, forward - forward * cosine + up * sine], axis=-1
        )
        place = np.where(elevation[:, None] >= 0, onto_heel, onto_toes)
        return np.concatenate([np.zeros((len(elevation), 1)), place], axis=1)


def make_soles(
    support: SupportBody, vertices: Float[Tensor, "P 3"], joints: Float[Tensor, "24 3"]
) -> tuple[Sole, Sole]:
    """Left and right sole of a person from support points and joints in the rest pose."""
    points, places = vertices.numpy(), joints.numpy()
    soles = []
    for side in range(2):
        ankle, toes = 7 + side, 10 + side
        foot = np.isin(support.parts, (ankle, toes))
        soles.append(Sole.of(points[foot] - places[ankle], support.parts[foot] == toes, places[toes] - places[ankle]))
    return soles[0], soles[1]
