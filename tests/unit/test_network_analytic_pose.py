"""The closed-form pose of a stick figure whose landmarks sit exactly on its parts: twist must show in bent limbs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from unish.body.joints import PARENTS
from unish.geometry.rotation import axis_angle_to_matrix, rotation_angle
from unish.network.human.analytic_pose import rotations_from_landmarks

JOINTS = {
    1: (0.1, 0.0, 0.0), 2: (-0.1, 0.0, 0.0), 4: (0.1, -0.4, 0.0), 5: (-0.1, -0.4, 0.0), 7: (0.1, -0.8, 0.0),
    8: (-0.1, -0.8, 0.0), 12: (0.0, 0.6, 0.0), 15: (0.0, 0.7, 0.0), 16: (0.2, 0.5, 0.0), 17: (-0.2, 0.5, 0.0),
    18: (0.45, 0.5, 0.0), 19: (-0.45, 0.5, 0.0), 20: (0.7, 0.5, 0.0), 21: (-0.7, 0.5, 0.0),
}  # fmt: skip
"""T pose, x to the figure's left, y up, z forward; joints that are not listed stand at the pelvis."""

LANDMARKS = {
    0: (15, (0.0, 0.72, 0.1)), 7: (15, (0.08, 0.75, 0.0)), 8: (15, (-0.08, 0.75, 0.0)), 11: (9, JOINTS[16]),
    12: (9, JOINTS[17]), 13: (16, JOINTS[18]), 14: (17, JOINTS[19]), 15: (18, JOINTS[20]), 16: (19, JOINTS[21]),
    17: (20, (0.8, 0.5, -0.03)), 18: (21, (-0.8, 0.5, -0.03)), 19: (20, (0.8, 0.5, 0.03)),
    20: (21, (-0.8, 0.5, 0.03)), 23: (0, JOINTS[1]), 24: (0, JOINTS[2]), 25: (1, JOINTS[4]), 26: (2, JOINTS[5]),
    27: (4, JOINTS[7]), 28: (5, JOINTS[8]), 29: (7, (0.1, -0.85, -0.05)), 30: (8, (-0.1, -0.85, -0.05)),
    31: (7, (0.1, -0.85, 0.15)), 32: (8, (-0.1, -0.85, 0.15)),
}  # fmt: skip
"""Landmark: the joint whose part it sits on, and where in the T pose."""

READ = (0, 1, 2, 4, 5, 7, 8, 9, 16, 17, 18, 19, 20, 21)
"""Joints whose part shows all of its rotation in these landmarks, given the rules of ``bend``."""


def place(rotations: Tensor) -> tuple[Tensor, Tensor]:
    """Local rotations (24, 3, 3) → rotations of the parts in the world, and the 33 landmarks."""
    rest = torch.zeros(24, 3, dtype=torch.float64)
    for joint, where in JOINTS.items():
        rest[joint] = torch.tensor(where)
    world, origin = [rotations[0]], [rest[0]]
    for joint in range(1, 24):
        parent = PARENTS[joint]
        origin.append(origin[parent] + world[parent] @ (rest[joint] - rest[parent]))
        world.append(world[parent] @ rotations[joint])
    points = torch.zeros(33, 3, dtype=torch.float64)
    for landmark, (joint, where) in LANDMARKS.items():
        points[landmark] = origin[joint] + world[joint] @ (torch.tensor(where).double() - rest[joint])
    return torch.stack(world), points


def bend(knee: float, elbow: float, *, twist: float, rng: torch.Generator) -> Tensor:
    """A turned person: the chest twisted on the hips, limbs swung and twisted, knees and elbows bent, hands and feet
    turned. Knees bend about x and elbows about y, in the way that they can."""
    angles = torch.zeros(24, 3, dtype=torch.float64)
    angles[0] = torch.tensor([0.4, 2.0, -0.3])
    angles[9, 1] = 0.5
    for hip, shoulder, side in ((1, 16, 1.0), (2, 17, -1.0)):
        angles[hip] = 0.4 * torch.randn(3, generator=rng, dtype=torch.float64)
        angles[hip, 1] += twist
        angles[shoulder] = 0.4 * torch.randn(3, generator=rng, dtype=torch.float64)
        angles[shoulder, 0] += twist * side
        angles[hip + 3, 0] = knee
        angles[shoulder + 2, 1] = -elbow * side
    angles[7:9, 0] = torch.tensor([0.3, -0.2])  # feet are taken to roll with the shank
    angles[20:22] = 0.3 * torch.randn(2, 3, generator=rng, dtype=torch.float64)
    return axis_angle_to_matrix(angles)


@pytest.mark.parametrize("twist", [0.7, -0.7])
def test_limbs_that_are_bent_show_their_twist(rng, twist: float) -> None:
    """The measured axis of knee and elbow says it; where the straight one were taken, or the sign were wrong, the twist
    of 40 degrees would be lost."""
    _, rest = place(torch.eye(3, dtype=torch.float64).expand(24, 3, 3))
    for knee, elbow in ((0.6, 0.6), (1.2, 0.8), (2.0, 1.5)):
        rotations = bend(knee, elbow, twist=twist, rng=rng)
        world, points = place(rotations)
        found = rotations_from_landmarks(points, rest)
        torch.testing.assert_close(_to_world(found)[list(READ)], world[list(READ)], atol=1e-6, rtol=0)


def test_straight_limbs_follow_the_trunk(rng) -> None:
    """Straight arms carry no twist to see: the shortest turn from the side of the chest is assumed."""
    _, rest = place(torch.eye(3, dtype=torch.float64).expand(24, 3, 3))
    angles = torch.zeros(24, 3, dtype=torch.float64)
    angles[0] = torch.tensor([0.4, 2.0, -0.3])
    angles[9, 1] = 0.5
    angles[16, 1:], angles[17, 1:] = torch.tensor([0.5, -0.9]), torch.tensor([-0.3, 0.6])
    world, points = place(axis_angle_to_matrix(angles))
    found = _to_world(rotations_from_landmarks(points, rest))
    arms = [9, 16, 17, 18, 19]
    torch.testing.assert_close(found[arms], world[arms], atol=1e-6, rtol=0)


def test_a_joint_bent_against_its_nature_is_not_believed(rng) -> None:
    """An elbow that seems to bend backwards is a wrong landmark: it must not turn the arm by half a turn."""
    _, rest = place(torch.eye(3, dtype=torch.float64).expand(24, 3, 3))
    for knee, elbow in ((-0.6, 0.6), (0.6, -0.6)):
        world, points = place(bend(knee, elbow, twist=0.0, rng=rng))
        found = _to_world(rotations_from_landmarks(points, rest))
        limbs = [1, 2, 4, 5] if knee < 0 else [16, 17, 18, 19]
        assert rotation_angle(found[limbs].mT @ world[limbs]).max() < 1.2


def test_between_straight_and_bent_the_axis_changes_evenly(rng) -> None:
    """Sines of the bend from 0.17 to 0.5: the twist comes in by and by, never beyond what it is."""
    _, rest = place(torch.eye(3, dtype=torch.float64).expand(24, 3, 3))
    lost = []
    for angle in (0.1, 0.25, 0.35, 0.45, 0.6):
        world, points = place(bend(1.0, angle, twist=0.7, rng=torch.Generator().manual_seed(0)))
        found = _to_world(rotations_from_landmarks(points, rest))
        lost.append(rotation_angle(found[16].mT @ world[16]).item())
    assert lost[-1] < 1e-6 < lost[-2] < lost[-3] < lost[-4] and lost[0] > 0.6, lost


def _to_world(local: Tensor) -> Tensor:
    world = [local[0]]
    for joint in range(1, 24):
        world.append(world[PARENTS[joint]] @ local[joint])
    return torch.stack(world)
