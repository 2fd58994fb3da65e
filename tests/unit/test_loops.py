"""Cameras that come back: their paths get better, all others stay as they are."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from textured_room import see_room
from torch import Tensor

from unish.geometry.alignment import align_similarity
from unish.geometry.camera import make_intrinsics, unproject
from unish.geometry.pose_graph import PoseEdges, UnitRatios, solve_pose_graph
from unish.geometry.rigid import invert_rigid, make_rigid
from unish.geometry.rotation import axis_angle_to_matrix, rotation_angle
from unish.passes.loops import find_loops
from unish.passes.packed_records import pack_loops, unpack_loops
from unish.reconstruction import Loop, Window, choose_owner, describe_window, plan_windows, stitch_windows
from unish.reconstruction.loops import close_loops
from unish.structs import Camera, Prediction

DISTANCE = 3.0
"""Of what the cameras see, metres."""


def walk_round(seed: int, num_frames: int = 150, laps: float = 1.7) -> Tensor:
    """(T, 4, 4) poses around a room of some metres, looking ahead; world = first camera."""
    generator = torch.Generator().manual_seed(seed)
    angle = 2 * math.pi * laps * torch.linspace(0, 1, num_frames, dtype=torch.float64)
    size, wave = 1.5 + 2 * torch.rand(1, generator=generator), 6 * torch.rand(1, generator=generator)
    radius = size * (1 + 0.3 * torch.sin(2 * angle + wave))
    places = torch.stack([radius * angle.cos(), 0.1 * (3 * angle).sin(), radius * angle.sin()], dim=-1)
    turns = torch.stack([0.05 * (5 * angle).sin(), -angle, 0 * angle], dim=-1)
    c2w = make_rigid(axis_angle_to_matrix(turns), places)
    return invert_rigid(c2w[:1]) @ c2w


def drift(true: Tensor, seed: int) -> tuple[Tensor, np.ndarray, Tensor]:
    """What windows of 30 frames that share 6 make of a path: noisy steps, and a unit of each window that is off.

    Returns:
        Poses, window of each frame, log of the unit of each window over the true one.
    """
    generator = torch.Generator().manual_seed(1000 + seed)
    windows = plan_windows(len(true), 30, 6)
    owner = choose_owner(windows)
    off = torch.cat([torch.zeros(1), 0.04 * torch.randn(len(windows) - 1, generator=generator)]).cumsum(0)
    path = [torch.eye(4, dtype=torch.float64)]
    for frame, step in enumerate(invert_rigid(true[:-1]) @ true[1:], start=1):
        noise = torch.randn(2, 3, generator=generator, dtype=torch.float64)
        turn = axis_angle_to_matrix(math.radians(0.15) * noise[0])
        moved = step @ make_rigid(turn, 0.04 * step[:3, 3].norm() * noise[1])
        moved[:3, 3] *= off[owner[frame]].exp()
        path.append(path[-1] @ moved)
    return torch.stack(path), owner, off


def measure(true: Tensor, first: int, second: int, owner: np.ndarray, off: Tensor, noise: Tensor) -> Loop:
    """A loop in the units of the windows; ``noise`` are seven standard normal numbers, or zeros."""
    relative = (invert_rigid(true[first]) @ true[second]).clone()
    length = float(relative[:3, 3].norm())
    turn = axis_angle_to_matrix(math.radians(0.3) * noise[:3])
    relative = relative @ make_rigid(turn, (0.01 * DISTANCE + 0.03 * length) * noise[3:6])
    unit, other = off[owner[first]], off[owner[second]]
    relative[:3, 3] *= unit.exp()
    return Loop(
        first=first, second=second, relative=relative.float(),
        log_ratio=float(unit - other + 0.02 * noise[6]), distance=DISTANCE * float(unit.exp()),
    )  # fmt: skip


def revisit(true: Tensor, owner: np.ndarray, off: Tensor, seed: int) -> list[Loop]:
    """Of every fifth frame the nearest one that is far away in time and looks the same way."""
    generator = torch.Generator().manual_seed(2000 + seed)
    found, keys = [], torch.arange(0, len(true), 5)
    for first in keys.tolist():
        later = keys[keys >= first + 30]
        relative = invert_rigid(true[first]) @ true[later]
        apart = relative[:, :3, 3].norm(dim=-1) + 100 * (rotation_angle(relative[:, :3, :3]) > 0.6)
        if len(later) and float(apart.min()) < 1:
            noise = torch.randn(7, generator=generator, dtype=torch.float64)
            found.append(measure(true, first, int(later[apart.argmin()]), owner, off, noise))
    return found


def position_error(path: Tensor, true: Tensor) -> float:
    """After a similarity, root of the mean square."""
    places, wanted = path[:, :3, 3].double(), true[:, :3, 3]
    aligned = align_similarity(places, wanted, torch.ones(len(true), dtype=torch.float64)).apply(places)
    return float((aligned - wanted).square().sum(-1).mean().sqrt())


def no_scale(off: Tensor) -> list[float]:
    return [0.0] * len(off)


def test_walks_that_come_back_miss_by_less() -> None:
    ratios = []
    for seed in range(12):
        true = walk_round(seed)
        path, owner, off = drift(true, seed)
        closed = close_loops(path.float(), owner, no_scale(off), revisit(true, owner, off, seed))
        assert closed is not None
        ratios.append(position_error(closed.c2w, true) / position_error(path, true))
    assert max(ratios) < 0.8 and float(np.mean(ratios)) < 0.3


def test_loops_that_agree_with_the_path_leave_it_to_the_bit() -> None:
    """Errors of loops are larger than those of a path that is right: it must not take them over."""
    for seed in range(4):
        true = walk_round(seed)
        windows = plan_windows(len(true), 30, 6)
        exact = torch.zeros(len(windows))
        owner = choose_owner(windows)
        loops = revisit(true, owner, exact, seed)
        assert loops and close_loops(true.float(), owner, no_scale(exact), loops) is None
    assert close_loops(true.float(), owner, no_scale(exact), []) is None


@pytest.mark.parametrize("distance", [3.0, 4.0, 6.0, 10.0])
def test_rooms_that_look_alike_are_not_one(distance: float) -> None:
    """Five walks each through two rooms that are the same; every frame of one is taken for that of the other."""
    for seed in range(5):
        angle = torch.linspace(0, 2 * math.pi, 60, dtype=torch.float64)
        circle = torch.stack([angle.sin(), 0 * angle, angle.cos() - 1], dim=-1)
        between = torch.linspace(0, distance, 31, dtype=torch.float64)[1:-1, None] * torch.eye(3).double()[0]
        places = torch.cat([circle, between, circle + distance * torch.eye(3).double()[0]])
        turns = torch.zeros_like(places)
        turns[:60, 1] = turns[-60:, 1] = 0.5 * angle.sin()
        true = make_rigid(axis_angle_to_matrix(turns), places)
        path, owner, off = drift(true, seed)
        pretended = torch.cat([true[:-60], true[:60]])
        none = torch.zeros(7, dtype=torch.float64)
        mistaken = [measure(pretended, frame, frame + len(true) - 60, owner, off, none) for frame in range(0, 60, 5)]
        assert close_loops(path.float(), owner, no_scale(off), mistaken) is None


def test_a_few_wrong_loops_among_right_ones_do_not_count() -> None:
    true = walk_round(3)
    path, owner, off = drift(true, 3)
    right = revisit(true, owner, off, 3)
    wrong = [
        replace(loop, relative=loop.relative @ make_rigid(torch.eye(3), torch.tensor([0.7, 0, 0]))) for loop in right
    ]
    closed = close_loops(path.float(), owner, no_scale(off), right)
    mixed = close_loops(path.float(), owner, no_scale(off), [*right, *wrong[::6]])
    assert closed is not None and mixed is not None
    length = float(true[:, :3, 3].diff(dim=0).norm(dim=-1).sum())
    assert float((mixed.c2w - closed.c2w)[:, :3, 3].norm(dim=-1).max()) < 0.01 * length


def test_a_single_loop_is_not_believed() -> None:
    true = walk_round(0)
    path, owner, off = drift(true, 0)
    assert close_loops(path.float(), owner, no_scale(off), revisit(true, owner, off, 0)[:1]) is None


def test_loops_connect_the_frames_that_match_and_not_their_windows() -> None:
    """Frames in the middle of windows, whose own ends stay where the steps between them say."""
    true = walk_round(1)
    path, owner, off = drift(true, 1)
    none = torch.zeros(7, dtype=torch.float64)
    ends = [(14, 102), (15, 103), (16, 104)]
    loops = [measure(true, *pair, owner, off, none) for pair in ends]
    closed = close_loops(path.float(), owner, no_scale(off), loops)
    assert closed is not None and closed.num_loops == 3
    for pair, loop in zip(ends, loops, strict=True):
        before, after = (invert_rigid(poses[pair[0]]) @ poses[pair[1]] for poses in (path.float(), closed.c2w))
        wanted = loop.relative.clone()
        wanted[:3, 3] *= closed.log_unit[owner[pair[0]]].exp()
        missed = [float((found - wanted)[:3, 3].norm()) for found in (before, after)]
        assert missed[1] < 0.2 * missed[0]
    steps, kept = (invert_rigid(poses[:-1]) @ poses[1:] for poses in (path.float(), closed.c2w))
    assert float((steps - kept)[:, :3, :3].abs().max()) < 0.01, "shared out over the path"


def test_a_camera_that_rests_on_the_way_goes_on_resting() -> None:
    true = walk_round(1)
    path = drift(true, 1)[0]
    true, path = (torch.cat([poses[:60], poses[59:60].expand(30, 4, 4), poses[60:]]) for poses in (true, path))
    windows = plan_windows(len(true), 30, 6)
    owner, exact = choose_owner(windows), torch.zeros(len(windows))
    closed = close_loops(path.float(), owner, no_scale(exact), revisit(true, owner, exact, 1))
    assert closed is not None and float((closed.c2w - path.float())[60:90, :3, 3].norm(dim=-1).min()) > 0.01
    assert float((closed.c2w[60:90] - closed.c2w[59]).abs().max()) < 1e-3


def test_depth_follows_the_units_that_loops_tell() -> None:
    """Windows whose units grow by 5 % each: cameras and depth of the last ones come back to the first one's."""
    true = walk_round(2, 100).float()
    camera = Camera(matrix=torch.tensor([[8.0, 0, 4], [0, 8, 3], [0, 0, 1]]), size=(6, 8), focal_source="given")
    planned, described = plan_windows(100, 30, 6), list[Window]()
    for frames in planned:
        index = list(frames)
        prediction = Prediction(
            local_points=unproject(torch.full((30, 6, 8), DISTANCE), camera.matrix.expand(30, 3, 3))[None],
            point_conf_logits=torch.full((1, 30, 6, 8), 3.0),
            c2w=(invert_rigid(true[index[0]]) @ true[index])[None],
        )
        window = describe_window(prediction, frames, described[-1] if described else None)
        if window.link is not None:
            window = replace(window, link=replace(window.link, log_scale=0.05))
        described.append(window)
    owner, exact = choose_owner(planned), torch.zeros(len(planned))
    loops = revisit(true.double(), owner, exact, 2)
    valid = torch.zeros(0, 100, dtype=torch.bool)
    plain, closed = (stitch_windows(described, valid, camera, loops=some) for some in ((), loops))
    assert position_error(closed.c2w, true.double()) < 0.4 * position_error(plain.c2w, true.double())
    grown = [float((shot.depth[99] - shot.shift).median() / DISTANCE) for shot in (plain, closed)]
    assert grown[0] > 1.15 and grown[1] < 1.05


def test_a_graph_of_exact_measurements_gives_poses_and_units_back() -> None:
    true = walk_round(5, 30)
    first = torch.arange(29)
    unit = first // 10
    factors = torch.tensor([1.0, 1.2, 0.9], dtype=torch.float64)
    steps = invert_rigid(true[:-1]) @ true[1:]
    steps[:, :3, 3] /= factors[unit, None]
    far = (invert_rigid(true[2]) @ true[27])[None]
    start = [torch.eye(4, dtype=torch.float64)]
    for step in steps:
        start.append(start[-1] @ step)
    ends = torch.tensor([2]), torch.tensor([27])
    edges = PoseEdges(
        first=torch.cat([first, ends[0]]), second=torch.cat([first + 1, ends[1]]), relative=torch.cat([steps, far]),
        unit=torch.cat([unit, torch.tensor([0])]), sigma_turn=torch.full((30,), 0.01),
        sigma_place=torch.full((30,), 0.01), doubted=torch.arange(30) == 29,
    )  # fmt: skip
    ratios = UnitRatios(
        first=torch.tensor([0, 0]), second=torch.tensor([1, 2]), log_ratio=factors[1:].log(),
        sigma=torch.full((2,), 0.01), doubted=torch.zeros(2, dtype=torch.bool),
    )  # fmt: skip
    found, log_unit = solve_pose_graph(torch.stack(start), edges, ratios, 3)
    torch.testing.assert_close(found, true, rtol=0, atol=1e-6)
    torch.testing.assert_close(log_unit, factors.log(), rtol=0, atol=1e-6)


def _look_around(size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Cameras that turn away from what they see and come back; pictures, log-depth, c2w and intrinsics."""
    yaw = torch.tensor([0.0, 0.05, 0.1, 1.2, 2.4, 2.5, 2.6, 1.4, 0.2, 0.12, 0.06, 0.02])
    turns = torch.stack([0 * yaw, yaw, 0 * yaw], dim=-1)
    places = torch.stack([torch.linspace(0, 0.4, 12), 0 * yaw, torch.linspace(-1.2, -1.0, 12)], dim=-1)
    c2w = make_rigid(axis_angle_to_matrix(turns), places)
    intrinsics = make_intrinsics(torch.tensor(0.8 * size[1]), *size).expand(12, 3, 3)
    return *see_room(c2w, intrinsics, size), c2w, intrinsics


@pytest.mark.slow
def test_pictures_of_one_place_tell_how_the_camera_came_back() -> None:
    size, units = (128, 160), [1.0, 1.3, 0.8, 1.1, 0.9]
    pictures, log_depth, c2w, intrinsics = _look_around(size)
    windows = [
        Window(
            frames=frames, depth=log_depth[list(frames)].exp() * unit, conf_logits=torch.full((4, *size), 3.0),
            samples=torch.zeros(4, 1, 3), sampled=torch.zeros(4, 1).bool(), c2w=c2w[list(frames)],
            zoom=torch.ones(4), unplaced=torch.zeros(4).bool(), doubtful=torch.zeros(4).bool(), rotations=None,
            betas=None, transl=None, scale=None, mean_distance=1.0, link=None,
        )
        for frames, unit in zip(plan_windows(12, 4, 2), units, strict=True)
    ]  # fmt: skip
    shown = (pictures.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1)
    nobody, nothing = torch.full((12, *size), -1, dtype=torch.int16), torch.zeros(12, *size, dtype=torch.bool)
    loops = find_loops(shown, nobody, nothing, windows, intrinsics)
    owner = choose_owner([window.frames for window in windows])
    assert len(loops) >= 2
    for loop in loops:
        unit, other = (units[owner[frame]] for frame in (loop.first, loop.second))
        true = invert_rigid(c2w[loop.first]) @ c2w[loop.second]
        assert loop.second - loop.first >= 4
        assert float(rotation_angle(true[:3, :3].mT @ loop.relative[:3, :3]).rad2deg()) < 1
        assert float((loop.relative[:3, 3] / unit - true[:3, 3]).norm()) < 0.03
        assert loop.log_ratio == pytest.approx(math.log(unit / other), abs=0.02)
    assert find_loops(shown, nobody + 1, nothing, windows, intrinsics) == [], "people do not stay where they are"
    assert find_loops(shown, nobody, ~nothing, windows, intrinsics) == [], "nor does the sky"
    assert find_loops(shown, nobody, nothing, windows[:2], intrinsics) == [], "neighbours share frames"


def test_loops_are_kept_as_they_are() -> None:
    loops = [Loop(first=3, second=70, relative=torch.rand(4, 4), log_ratio=0.1, distance=2.5)] * 2
    for kept, loop in zip(unpack_loops(pack_loops(loops)), loops, strict=True):
        assert torch.equal(kept.relative, loop.relative) and replace(kept, relative=loop.relative) == loop
    assert unpack_loops(pack_loops([])) == []
