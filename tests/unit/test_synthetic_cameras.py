"""Paths of cameras: free of obstacles, as quick as people and machines are, looking at something."""

from dataclasses import replace

import numpy as np
import pytest
from numpy import ndarray

from unish.lab.synthetic.cameras import sample_camera_path, sample_intrinsics
from unish.lab.synthetic.cameras.hands import SHAKE, sample_shake, sample_steps
from unish.lab.synthetic.cameras.movements import MOVEMENTS
from unish.lab.synthetic.cameras.poses import look_angles, look_matrices
from unish.lab.synthetic.cameras.scans import move_scan
from unish.lab.synthetic.cameras.subjects import Subjects, sample_distance, sample_side
from unish.lab.synthetic.cameras.views import cast_rays, find_people
from unish.lab.synthetic.clip import Shooting, plan_clip
from unish.lab.synthetic.config import SynthConfig
from unish.lab.synthetic.stage import Prop, Stage

ALL_MOVES = MOVEMENTS | {"scan": move_scan}


def plan(index: int, **settings: object) -> Shooting:
    return plan_clip(np.random.default_rng([5, index]), 5, replace(SynthConfig(num_frames=6, fps=None), **settings))


def subjects_of(shooting: Shooting, timestamps_s: ndarray, seed: int = 0) -> Subjects:
    """The people of a shooting, standing still, at other times."""
    joints = np.stack([actor.joints[:1].repeat(len(timestamps_s), 0) for actor in shooting.actors])
    intrinsics = sample_intrinsics(np.random.default_rng(seed), (160, 224))
    return Subjects(
        stage=shooting.stage, joints=joints, timestamps_s=timestamps_s, intrinsics=intrinsics, size=(160, 224)
    )


def turns_deg(c2stage: ndarray) -> ndarray:
    relative = c2stage[:-1, :3, :3].transpose(0, 2, 1) @ c2stage[1:, :3, :3]
    return np.degrees(np.arccos(np.clip((np.trace(relative, axis1=1, axis2=2) - 1) / 2, -1, 1)))


@pytest.fixture(scope="module")
def shootings() -> list[Shooting]:
    return [plan(index) for index in range(40)]


@pytest.mark.long
def test_cameras_stay_inside_and_away_from_things_and_people(shootings: list[Shooting]) -> None:
    for shooting in shootings:
        position, stage = shooting.camera.c2stage[:, :3, 3], shooting.stage
        assert (position >= stage.low - 0.051).all() and (position <= stage.high + 0.051).all()
        assert all((prop.distance(position) > 0.12).all() for prop in stage.props)
    apart = [
        np.linalg.norm(actor.joints - shooting.camera.c2stage[:, None, :3, 3], axis=-1).min()
        for shooting in shootings
        for actor in shooting.actors
    ]
    assert np.mean(np.array(apart) > 0.2) > 0.95


@pytest.mark.long
def test_people_are_in_view_in_most_clips(shootings: list[Shooting]) -> None:
    seen = [
        find_people(
            np.stack([actor.joints for actor in shooting.actors]),
            shooting.camera.c2stage,
            shooting.camera.intrinsics,
            SynthConfig().size,
        ).mean()
        for shooting in shootings
        if shooting.actors
    ]
    assert len(seen) > 20 and np.mean(np.array(seen) > 0.6) > 0.85


@pytest.mark.long
def test_rotations_are_rigid_and_neighbouring_pictures_overlap(shootings: list[Shooting]) -> None:
    for shooting in shootings:
        rotation = shooting.camera.c2stage[:, :3, :3]
        np.testing.assert_allclose(
            rotation @ rotation.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (6, 3, 3)), atol=1e-9
        )
        assert turns_deg(shooting.camera.c2stage).max() < 60


@pytest.mark.long
@pytest.mark.parametrize("kind", list(ALL_MOVES))
def test_movements_keep_to_real_time(kind: str) -> None:
    """The faster the frames, the smaller the steps: 5 m/s is the quickest (a drone), and shares of it remain."""
    shooting = plan(1, min_people=1, place="open")
    for seed in range(20):
        steps = []
        for fps in (5.0, 50.0):
            subjects = subjects_of(shooting, np.arange(6) / fps, seed)
            move = ALL_MOVES[kind](np.random.default_rng(seed), subjects)
            assert move.position.shape == move.target.shape == (6, 3)
            assert np.isfinite(move.position).all() and np.isfinite(move.target).all()
            steps.append(np.linalg.norm(np.diff(move.position, axis=0), axis=1).max())
            # Changing speed adds up to 75 % to the mean one; drones climb at a quarter of their speed.
            assert steps[-1] * fps < 5.0 * 1.75 * 1.6
        assert steps[1] <= 0.5 * steps[0] + 1e-9


def test_scans_move_like_hand_held_depth_cameras() -> None:
    shooting = plan(1, min_people=1, max_people=1, place="room")
    times = np.arange(40) / 10
    speeds, turns = [], []
    for seed in range(40):
        move = move_scan(np.random.default_rng(seed), subjects_of(shooting, times, seed))
        speeds.append(np.linalg.norm(np.diff(move.position, axis=0), axis=1).max() * 10)
        turns.append(np.degrees(np.abs(np.diff(move.sweep, axis=0)).max()) * 10)
    assert max(speeds) < 1.0 and np.median(speeds) > 0.1
    assert max(turns) < 61 and np.median(turns) > 8


def test_hands_shake_as_much_as_they_should() -> None:
    times = np.arange(3000) / 30
    rng = np.random.default_rng(0)
    angles = np.concatenate([sample_shake(rng, times)[0] for _ in range(20)])
    expected = np.radians(np.sqrt(sum(degrees**2 for _, degrees, _ in SHAKE)))
    # 20 draws of 100 s: measured within 5 %.
    np.testing.assert_allclose(angles.std(0), expected, rtol=0.15)


@pytest.mark.parametrize("speed", [0.6, 1.4])
def test_a_walker_bobs_with_every_step_and_swings_with_every_second(speed: float) -> None:
    times = np.arange(3000) / 100
    _, moved = sample_steps(np.random.default_rng(0), times, speed, heading=0.0)
    rates = np.fft.rfftfreq(len(times), 0.01)
    up, side = (rates[np.abs(np.fft.rfft(moved[:, axis] - moved[:, axis].mean())).argmax()] for axis in (1, 0))
    assert abs(up - (1.2 + 0.53 * speed)) < 0.09 * up + 0.04
    assert abs(side - up / 2) < 0.05
    assert 0.003 < np.ptp(moved[:, 1]) < 0.06 and np.ptp(moved[:, 2]) < 1e-12


def test_looking_at_a_direction_looks_there() -> None:
    away = np.random.default_rng(0).normal(size=(50, 3))
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    forward = look_matrices(np.zeros((50, 3)), *look_angles(away), np.zeros(50))[:, :3, 2]
    np.testing.assert_allclose(forward, away, atol=1e-9)


@pytest.mark.long
def test_rays_meet_what_stands_there(shootings: list[Shooting]) -> None:
    mesh = shootings[0].stage.shell
    wall = Prop(mesh=mesh, low=np.array([-50.0, -50.0, 2.0]), high=np.array([50.0, 50.0, 3.0]))
    stage = Stage(
        kind="open",
        shell=mesh,
        props=(wall,),
        lighting=shootings[0].stage.lighting,
        low=np.full(3, -60.0),
        high=np.full(3, 60.0),
        ground=lambda positions: np.full(len(positions), -1e6),
        outdoors=True,
    )
    intrinsics = np.array([[100.0, 0, 50], [0, 100, 50], [0, 0, 1]])
    ahead, behind = look_matrices(np.zeros((2, 3)), np.array([0.0, np.pi]), np.zeros(2), np.zeros(2))
    view = cast_rays(stage, ahead, intrinsics, (100, 100))
    assert view.on_prop.all() and 2.0 <= view.reach.min() < 2.01 and view.reach.max() < 2.0 * np.sqrt(1.5)
    np.testing.assert_allclose(view.depth, 2.0)
    # One flat wall is one plane of one thing without any depth in it.
    assert (view.largest_plane, view.num_props) == (1.0, 1) and view.spread == pytest.approx(1.0)
    assert not cast_rays(stage, behind, intrinsics, (100, 100)).on_prop.any()


@pytest.mark.long
def test_rooms_without_people_are_seen_across_and_not_as_one_plane() -> None:
    """Few stare at a blank wall or at a cupboard; most see several things at several distances."""
    views = []
    for index in range(40):
        shooting = plan(index, place="room", max_people=0)
        camera = shooting.camera
        views.append(cast_rays(shooting.stage, camera.c2stage[0], camera.intrinsics, SynthConfig().size))
    assert np.mean([view.largest_plane > 0.8 or view.spread < 1.4 for view in views]) < 0.1
    assert np.median([view.spread for view in views]) > 2.2
    assert np.median([view.num_props for view in views]) >= 4


@pytest.mark.long
def test_half_of_the_people_shots_hardly_turn_and_some_turn_fast(shootings: list[Shooting]) -> None:
    """Degrees per second between neighbouring frames at 6 per second, people standing still."""
    times, turns = np.arange(3) / 6, []
    with_people = [shooting for shooting in shootings if shooting.actors]
    for number, shooting in enumerate(with_people):
        joints = np.stack([actor.joints[:1].repeat(3, 0) for actor in shooting.actors])
        for draw in range(3):
            path = sample_camera_path(
                np.random.default_rng([number, draw]), shooting.stage, joints, times, SynthConfig(size=(160, 224))
            )
            turns.append(turns_deg(path.c2stage) * 6)
    # Of 34 real clips: 1.2 in the middle, 29 at 95 %.
    assert np.median(turns) < 3 and 12 < np.quantile(turns, 0.95) < 60


def test_people_are_filmed_from_near_and_far() -> None:
    """Distances spread over an order of magnitude where there is room."""
    shooting = plan(1, min_people=1, max_people=1, place="open")
    rng = np.random.default_rng(0)
    distances = [sample_distance(rng, subjects_of(shooting, np.arange(3) / 10, seed)) for seed in range(200)]
    low, middle, high = np.quantile(distances, [0.05, 0.5, 0.95])
    assert 1.2 <= low < 3 and 3 < middle < 7 and high > 8


@pytest.mark.long
def test_a_stand_has_room_to_the_walls(shootings: list[Shooting]) -> None:
    stage = next(shooting.stage for shooting in shootings if shooting.stage.kind == "room")
    focus = (stage.low + stage.high) / 2
    for seed in range(50):
        azimuth, distance = sample_side(np.random.default_rng(seed), stage, focus, 50.0)
        stand = focus + distance * np.array([np.cos(azimuth), 0, np.sin(azimuth)])
        assert distance < 50 and (stand >= stage.low - 1e-9).all() and (stand <= stage.high + 1e-9).all()
