"""Motions on bodies of any shape: carrying feet stay put, nothing sinks, legs bend as they should."""

import functools

import numpy as np
import pytest
import torch

from unish.body import Body, load_body
from unish.lab.synthetic.motion import Motion, ground_motion, resample_motion, sample_motion
from unish.lab.synthetic.motion.legs import Legs, reach_ankles, swing_between
from unish.lab.synthetic.motion.soles import SupportBody, make_soles
from unish.structs import BodyParams

RATE = 60.0
GRID = torch.arange(-0.6, 3.6, 1 / RATE, dtype=torch.float64)
FEET = ("left_toe", "left_heel", "right_toe", "right_heel")
WALKERS = ("walk", "run", "turn", "idle", "squat", "sit", "lunge", "jump", "kick", "bend")


@functools.lru_cache
def bodies() -> tuple[Body, SupportBody]:
    body = load_body("free")
    return body, SupportBody.of(body)


def sample_betas(seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 1.5, 10).clip(-2.5, 2.5).astype(np.float32))


@functools.lru_cache
def ground(action: str, seed: int) -> Motion:
    motion = sample_motion(np.random.default_rng(seed), GRID, action=action)
    return ground_motion(motion, bodies()[1], sample_betas(seed))


def pose(motion: Motion, betas: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and joints."""
    body, num = bodies()[0], motion.num_frames
    params = BodyParams(
        betas=betas.expand(num, 10),
        global_orient=motion.global_orient.float(),
        body_pose=motion.body_pose.float(),
        transl=(motion.root - body.rest_joints(betas)[0]).float(),
    )
    return body.vertices(params).numpy(), body.joints(params).numpy()


@pytest.mark.long
@pytest.mark.parametrize("action", WALKERS)
def test_no_vertex_goes_below_the_floor(action: str) -> None:
    """Measured over these: 6 mm at worst (soles between support points)."""
    vertices, _ = pose(ground(action, 5), sample_betas(5))
    assert vertices[..., 1].min() > -0.01


@pytest.mark.long
@pytest.mark.parametrize("action", WALKERS)
@pytest.mark.parametrize("rate_hz", [12.0, 30.0])
def test_a_foot_that_carries_does_not_move(action: str, rate_hz: float) -> None:
    """Vertices that stay on the floor from one frame to the next, at any rate and between the samples of the motion."""
    motion, betas = ground(action, 3), sample_betas(3)
    fine = torch.arange(0.004, 3.0, 1 / 60, dtype=torch.float64)
    vertices, _ = pose(resample_motion(motion, fine), betas)
    step = round(60 / rate_hz)
    carried = 0
    for name in FEET:
        points = vertices[:, bodies()[0].contact_vertices[name].numpy()]
        speed = np.linalg.norm(np.diff(points, axis=0), axis=-1) * 60
        still = (points[1:, :, 1] < 0.01) & (speed < 0.03)
        for start in range(0, len(still) - step, step):
            held = still[start : start + step].all(axis=0)
            moved = np.linalg.norm(points[start + step] - points[start], axis=-1)[held]
            carried += len(moved) > 0
            assert not len(moved) or moved.max() < 0.005
    assert carried > (2 if action == "run" else 5)


def test_standing_people_stand_on_both_feet() -> None:
    for action in ("idle", "squat", "bend", "sit"):
        vertices, _ = pose(ground(action, 1), sample_betas(1))
        for toe, heel in (FEET[:2], FEET[2:]):
            foot = torch.cat([bodies()[0].contact_vertices[name] for name in (toe, heel)]).numpy()
            heights = vertices[:, foot, 1].min(axis=1)
            assert (heights < 0.005).mean() > (0.4 if action == "squat" else 0.95), (action, toe)


def test_knees_keep_bending_forward_and_do_not_pop() -> None:
    """A knee turns at most as fast as a runner's (published peaks: about 1000°/s)."""
    for action in WALKERS:
        knees = ground(action, 2).body_pose[:, [3, 4]]
        turn = (knees[1:] @ knees[:-1].transpose(-1, -2)).diagonal(dim1=-2, dim2=-1).sum(-1)
        speed = torch.rad2deg(torch.arccos(((turn - 1) / 2).clamp(-1, 1))) * RATE
        assert speed.max() < 1100, action
        # Bending turns about x: the shank's z axis tips down, never far up.
        assert knees[..., 1, 2].max() < 0.2, action


def test_legs_reach_their_targets_and_leave_alone_what_is_right() -> None:
    rng = np.random.default_rng(0)
    motion = ground("walk", 0)
    _, joints = pose(motion, sample_betas(0))
    joints = joints.astype(np.float64)
    world = np.broadcast_to(np.eye(3), (len(joints), 2, 3, 3)).copy()
    legs = Legs(hips=joints[:, [1, 2]], knees=joints[:, [4, 5]], ankles=joints[:, [7, 8]], thighs=world, shanks=world)
    thighs, shanks = reach_ankles(legs, legs.ankles, np.zeros((len(joints), 2)))
    np.testing.assert_allclose(move_legs(legs, thighs, shanks), legs.ankles, atol=2e-3)
    targets = legs.ankles + np.array([0, 0.1, 0]) + rng.normal(0, 0.02, legs.ankles.shape)
    thighs, shanks = reach_ankles(legs, targets, rng.normal(0, 0.3, (len(joints), 2)))
    np.testing.assert_allclose(move_legs(legs, thighs, shanks), targets, atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(thighs), 1, atol=1e-9)


def move_legs(legs: Legs, thighs: np.ndarray, shanks: np.ndarray) -> np.ndarray:
    """Ankles after the bones (at rest as they are in ``legs``) turned."""
    thigh, shank = legs.knees - legs.hips, legs.ankles - legs.knees
    return legs.hips + (thighs @ thigh[..., None] + shanks @ shank[..., None])[..., 0]


def test_swinging_takes_one_direction_to_another() -> None:
    start, end = np.random.default_rng(1).normal(size=(2, 50, 3))
    start, end = (v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (start, end))
    np.testing.assert_allclose((swing_between(start, end) @ start[..., None])[..., 0], end, atol=1e-9)


def test_soles_roll_without_sinking() -> None:
    _, support = bodies()
    betas = sample_betas(4).double()
    shaped = support.body.shape(betas)
    for sole in make_soles(support, shaped.vertices, shaped.joints):
        elevation = np.radians(np.linspace(0, 35, 30))
        cosine, sine = np.cos(elevation), np.sin(elevation)
        places = sole.place_ankle(elevation)
        heights = places[:, 1:2] + cosine[:, None] * sole.points[:, 1] + sine[:, None] * sole.points[:, 2]
        # The table is linear between whole degrees.
        np.testing.assert_allclose(heights.min(axis=1), 0, atol=1e-4)
        on_toes = sole.place_ankle(-elevation)
        assert (np.diff(on_toes[:, 1]) > 0).all() and on_toes[-1, 2] > on_toes[0, 2]
