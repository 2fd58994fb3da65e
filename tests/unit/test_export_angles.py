"""Joint angles: known turns of a body come out as the angles that laboratories call them by, on both sides."""

from __future__ import annotations

import numpy as np
import pytest
from numpy import ndarray
from scipy.spatial.transform import Rotation

from unish.body import JOINT_NAMES
from unish.export.angles import measure_angles
from unish.export.axes import FLIP_YZ, Y_UP_TO_Z_UP
from unish.export.take import TakePerson

ARMS_DOWN = {"left_shoulder": (0, 0, -90), "right_shoulder": (0, 0, 90)}
"""Of the T-pose of the body model (x to its left, y up, z ahead), degrees about x, y, z."""


def pose(**turns: tuple[float, float, float]) -> TakePerson:
    """One frame and one without a body, of somebody who faces away from the camera that looks along −z."""
    rotations = np.tile(np.eye(3), (2, 24, 1, 1))
    for name, angles in turns.items():
        rotations[:, JOINT_NAMES.index(name)] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    rotations[:, 0] = Rotation.from_euler("y", 180, degrees=True).as_matrix() @ rotations[:, 0]
    rotations[1] = np.nan
    known = np.array([True, False])
    pelvis = np.where(known[:, None], [0.2, 0.9, -3.0], np.nan)
    return TakePerson(
        person_id=1, betas=np.zeros(10, np.float32), height_m=1.7, rest_joints=np.zeros((24, 3)), rotations=rotations,
        pelvis=pelvis, joints=np.full((2, 24, 3), np.nan), valid=known, observed=known, contact_prob=None,
        contact_names=(),
    )  # fmt: skip


def measure(up: str | None = "y", **turns: tuple[float, float, float]) -> dict[str, ndarray]:
    return measure_angles(pose(**(ARMS_DOWN | turns)), up)  # type: ignore[arg-type]


def test_turns_of_the_spine_follow_one_another_from_the_pelvis_up() -> None:
    """Bent forward below and turned above is another posture than turned below and bent above."""
    bent, turned = (30.0, 0.0, 0.0), (0.0, 40.0, 0.0)
    low, high = measure(spine1=bent, spine2=turned), measure(spine1=turned, spine2=bent)
    for found, order in ((low, (bent, turned)), (high, (turned, bent))):
        first, second = (Rotation.from_euler("xyz", angles, degrees=True) for angles in order)
        # The back of a level head: where the spine's own up went, and how far that is to the side.
        up = (first * second).apply([0.0, 1.0, 0.0])
        assert abs(found["lumbar_bending"][0]) == pytest.approx(abs(np.degrees(np.arcsin(up[0]))), abs=1e-4)
    assert abs(low["lumbar_bending"][0]) < 1e-4 and abs(high["lumbar_bending"][0]) > 15


def test_who_stands_straight_with_hanging_arms_has_no_angle() -> None:
    for name, values in measure().items():
        assert np.isnan(values[1]), "nobody is there"
        if not name.startswith("pelvis_t") or name == "pelvis_tilt":
            assert abs(values[0]) < 1e-6, name
    found = measure()
    # Ahead, up and to the right of the first camera.
    np.testing.assert_allclose([found[f"pelvis_t{axis}"][0] for axis in "xyz"], [3.0, 0.9, 0.2], atol=1e-9)


@pytest.mark.parametrize(
    ("joint", "turn", "angle", "degrees"),
    [
        # A leg that swings ahead turns about −x of the body, whose x points to its left.
        ("right_hip", (-30, 0, 0), "hip_flexion_r", 30),
        ("left_hip", (-30, 0, 0), "hip_flexion_l", 30),
        # A leg that moves away from the middle.
        ("left_hip", (0, 0, 20), "hip_adduction_l", -20),
        ("right_hip", (0, 0, -20), "hip_adduction_r", -20),
        # The toes turn outwards.
        ("left_hip", (0, 15, 0), "hip_rotation_l", -15),
        ("right_hip", (0, -15, 0), "hip_rotation_r", -15),
        ("left_knee", (70, 0, 0), "knee_angle_l", 70),
        ("right_knee", (70, 0, 0), "knee_angle_r", 70),
        # The toes go up.
        ("left_ankle", (-12, 0, 0), "ankle_angle_l", 12),
        ("right_ankle", (-12, 0, 0), "ankle_angle_r", 12),
        # The trunk leans ahead, to the right, and turns to the left.
        ("spine2", (25, 0, 0), "lumbar_extension", -25),
        ("spine2", (0, 0, 10), "lumbar_bending", 10),
        ("spine1", (0, 18, 0), "lumbar_rotation", 18),
        # Forearms go up in front of the body; in the T-pose the left one turns about −y.
        ("left_elbow", (0, -80, 0), "elbow_flex_l", 80),
        ("right_elbow", (0, 80, 0), "elbow_flex_r", 80),
        # Arms out to the sides.
        ("left_shoulder", (0, 0, -50), "arm_add_l", -40),
        ("right_shoulder", (0, 0, 50), "arm_add_r", -40),
        ("right_shoulder", (0, 0, 0), "arm_elevation_r", 90),
        ("pelvis", (20, 0, 0), "pelvis_tilt", -20),
        ("pelvis", (0, 30, 0), "pelvis_rotation", 30),
    ],
)  # fmt: skip
def test_a_turn_of_one_joint_is_the_angle_of_its_name(
    joint: str, turn: tuple[float, float, float], angle: str, degrees: float
) -> None:
    found, rest = measure(**{joint: turn}), measure()
    assert found[angle][0] == pytest.approx(degrees, abs=1e-6)
    side = "_r" if joint.startswith("left") else "_l"
    for name, values in found.items():
        if name.endswith(side) and joint != "pelvis":
            assert values[0] == pytest.approx(rest[name][0], abs=1e-6), f"{name} is of the other side"


@pytest.mark.parametrize(("up", "world"), [("z", Y_UP_TO_Z_UP), (None, FLIP_YZ)])
def test_angles_do_not_depend_on_the_axis_that_points_up(up: str | None, world: ndarray) -> None:
    person = pose(pelvis=(10, 25, 5), left_knee=(30, 0, 0))
    turned = person.rotations.copy()
    turned[:, 0] = world @ turned[:, 0]
    other = TakePerson(**vars(person) | {"rotations": turned, "pelvis": person.pelvis @ world.T})
    expected, found = measure_angles(person, "y"), measure_angles(other, up)  # type: ignore[arg-type]
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-6, err_msg=name)


def test_a_turn_beyond_half_a_circle_does_not_jump() -> None:
    person = pose()
    spin = Rotation.from_euler("y", np.linspace(0, 500, 30)[:, None], degrees=True).as_matrix()
    rotations = np.tile(person.rotations[:1], (30, 1, 1, 1))
    rotations[:, 0] = spin @ rotations[:, 0]
    known = np.ones(30, bool)
    changes = {"rotations": rotations, "pelvis": np.zeros((30, 3)), "joints": np.zeros((30, 24, 3))}
    many = TakePerson(**vars(person) | changes | {"valid": known, "observed": known})
    turned = measure_angles(many, "y")["pelvis_rotation"]
    np.testing.assert_allclose(turned, np.linspace(0, 500, 30), atol=1e-6)
