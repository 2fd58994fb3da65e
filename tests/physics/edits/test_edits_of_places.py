"""Sizes, contacts, floor and camera: what a user tells of a known world is right afterwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import oracle_world
from edited_worlds import (
    CONFIG,
    Settle,
    camera,
    observe,
    scene_ratio,
    seconds,
    source_pixel,
)
from oracle_world import NUM_FRAMES, SHOTS, OracleNetwork, World, make_world
from unish.body import load_body
from unish.edits import ClosedLoop, Contact, Floor, KnownDistance, PersonHeight
from unish.geometry.camera import unproject
from unish.geometry.rigid import make_rigid
from unish.geometry.rotation import axis_angle_to_matrix
from unish.pipeline import Result
from unish.reconstruction import REGIONS
from unish.structs import BodyParams, Prediction, Reconstruction

pytestmark = pytest.mark.slow


def test_a_height_is_exact_and_brings_the_scene(world: World, first: tuple[Path, Result], settle: Settle) -> None:
    true = float(world.body.standing_height(world.betas[0]))
    assert min(scene_ratio(world, first[1])) > 1.06
    result = settle(first[0], PersonHeight(person=4, metres=true))
    assert scene_ratio(world, result) == pytest.approx([1.0, 1.0], rel=0.02)
    assert result.report["people"][0]["height_m"] == pytest.approx(true, abs=1e-3)
    # The same as a run that was given it.
    assert result.report["people"][0]["size"] == f"{true:.2f} m, given"


def test_a_known_distance_brings_the_scene(world: World, first: tuple[Path, Result], settle: Settle) -> None:
    points = unproject(world.depth[3], world.intrinsics[3])
    metres = float((points[60, 20] - points[62, 100]).norm())
    edit = KnownDistance(from_px=source_pixel(60, 20), to_px=source_pixel(62, 100), at_s=seconds(3), metres=metres)
    assert scene_ratio(world, settle(first[0], edit)) == pytest.approx([1.0, 1.0], rel=0.02)


def heel_path(world: World, result: Result) -> np.ndarray:
    """Metres that the left heel of the first person moves over the floor from frame to frame of the first shot."""
    record, frames = result.reconstruction, range(SHOTS[0].stop)
    pose = axis_angle_to_matrix(torch.from_numpy(record.body_pose_aa[0].reshape(-1, 23, 3)))
    params = BodyParams(
        betas=torch.from_numpy(record.betas[0]).expand(NUM_FRAMES, 10),
        global_orient=axis_angle_to_matrix(torch.from_numpy(record.global_orient_aa[0])),
        body_pose=pose,
        transl=torch.from_numpy(record.transl[0]),
    )
    heel = world.body.landmarks(params)[frames, 29].numpy()
    steps, up = np.diff(heel, axis=0), record.floor[0, :3]
    return np.linalg.norm(steps - (steps @ up)[:, None] * up, axis=-1)


def test_a_contact_holds_the_foot_and_no_contact_frees_it(
    world: World, first: tuple[Path, Result], settle: Settle
) -> None:
    span = {"person": 4, "from_s": seconds(0), "to_s": seconds(SHOTS[0].stop - 1)}
    on, off = (
        settle(first[0], *(Contact(point=point, touches=touches, **span) for point in REGIONS))
        for touches in (True, False)
    )
    for result, probability in ((on, 1.0), (off, 0.0)):
        assert (result.reconstruction.contact_prob[0, SHOTS[0]] == probability).all()
        assert not (result.reconstruction.contact_prob[0, SHOTS[1]] == probability).all()
    # This person glides, by 17 cm/s: a foot that touches does not.
    assert heel_path(world, on).max() < 0.3 * heel_path(world, off).min()


def test_a_plane_is_kept_and_feet_are_not_asked(world: World, first: tuple[Path, Result], settle: Settle) -> None:
    plane = np.array([0.05, -1.0, 0.1, 1.4]) * 2
    result = settle(first[0], Floor(shot=1, plane=tuple(plane.tolist())))
    found = result.reconstruction
    np.testing.assert_allclose(found.floor[1], plane / np.linalg.norm(plane[:3]), atol=1e-6)
    np.testing.assert_allclose(found.gravity[1], -found.floor[1, :3], atol=1e-6)
    assert [shot["ground"] for shot in result.report["shots"]][1] == "given floor"
    np.testing.assert_allclose(found.floor[0], first[1].reconstruction.floor[0], atol=0.05)


def test_pixels_of_the_floor_tell_where_it_is(world: World, first: tuple[Path, Result], settle: Settle) -> None:
    places = [(60, 20, 0), (62, 100, 3), (56, 64, 6), (61, 110, 6)]
    points = tuple((*source_pixel(row, column), seconds(frame)) for row, column, frame in places)
    result = settle(first[0], Floor(shot=0, points=points))
    # The world is as much too large as its people.
    floor = result.reconstruction.floor[0] / [1.0, 1.0, 1.0, scene_ratio(world, result)[0]]
    np.testing.assert_allclose(floor, world.floors()[0].numpy(), atol=0.02)
    assert result.report["shots"][0]["ground"] == "given floor"


class Drifting(OracleNetwork):
    """Its cameras turn and walk away from the true ones, further with every frame."""

    def __call__(self, images: Tensor, *args: Any, **options: Any) -> Prediction:
        true = super().__call__(images, *args, **options)
        index = torch.tensor(list(self._recognise(images)))
        late = (index - index[0])[:, None]
        drift = make_rigid(
            axis_angle_to_matrix(late * torch.tensor([0.0, 0.01, 0.003])), late * torch.tensor([0.01, 0.0, 0.004])
        )
        return replace(true, c2w=drift[None] @ true.c2w)


def walk_around(*, radius_m: float = 0.3) -> Tensor:
    """Cameras that go around a circle in each shot, and end where they began."""
    poses = []
    for shot in SHOTS:
        angle = torch.linspace(0, 2 * torch.pi, shot.stop - shot.start)
        place = torch.stack([angle.sin(), torch.zeros_like(angle), 1 - angle.cos()], -1) * radius_m
        turn = torch.stack([torch.full_like(angle, -0.12), 0.05 * angle.sin(), torch.zeros_like(angle)], -1)
        poses.append(make_rigid(axis_angle_to_matrix(turn), place))
    return torch.cat(poses)


def test_a_camera_that_ends_where_it_began(tmp_path: Path, settle: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle_world, "_move_camera", walk_around)
    world = make_world(load_body(), camera(), betas=torch.zeros(2, 10))
    before = observe(world, tmp_path, Drifting(world=world, config=CONFIG, betas=world.betas), settle=False)
    found, old, shot = settle(tmp_path, ClosedLoop(shot=0)).reconstruction, before.reconstruction, SHOTS[0]
    np.testing.assert_array_equal(found.c2w[shot.stop - 1], np.eye(4))
    np.testing.assert_array_equal(found.c2w[SHOTS[1]], old.c2w[SHOTS[1]])
    off, was_off = (np.abs(one.c2w[shot] - world.c2w[shot].numpy()).max() for one in (found, old))
    assert was_off > 0.05 and off < 0.5 * was_off
    # People and points have moved with their cameras: each frame sees what it saw.
    np.testing.assert_array_equal(found.depth, old.depth)
    np.testing.assert_allclose(in_cameras(found), in_cameras(old), atol=1e-4)
    # So they come to where the true cameras would have put them.
    c2w = world.c2w.numpy()
    wanted = np.einsum("tij,ptkj->ptki", c2w[:, :3, :3], in_cameras(old)) + c2w[:, None, :3, 3]
    gone, was_gone = (np.nanmax(np.abs(one.joints - wanted)[:, shot]) for one in (found, old))
    assert was_gone > 0.2 and gone < 0.3 * was_gone


def in_cameras(record: Reconstruction) -> np.ndarray:
    """Joints of everybody in the camera of each frame."""
    away = record.joints - record.c2w[:, None, :3, 3]
    return np.einsum("tji,ptkj->ptki", record.c2w[:, :3, :3], away)
