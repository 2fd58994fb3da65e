"""Feet that stand keep their place: paths and poses of people whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from standing_shots import CAMERA_HEIGHT_M, FLOOR, UP, make_evidence, make_shot
from unish.body import load_body
from unish.geometry.rotation import axis_angle_to_matrix, rotation_angle
from unish.reconstruction import Ground, MetricShot, settle_motion, touch_ground
from unish.reconstruction.contacts import pose_feet
from unish.reconstruction.motion import OVERLAP, PIECE
from unish.reconstruction.shot import replace_people
from unish.reconstruction.touching import Touching, find_touching

BODY = load_body("free")
GROUND = Ground(gravity=-UP, floor=FLOOR, source="feet")
ASIDE = torch.nn.functional.normalize(torch.linalg.cross(UP, torch.tensor([0.0, 0.0, 1.0])), dim=0)


def _move(shot: MetricShot, by: Tensor) -> MetricShot:
    """The shot with its people moved by (P, T, 3) metres."""
    params = replace(shot.params, transl=shot.params.transl + by)
    return replace(shot, params=params, joints=BODY.joints(params))


def _along_ray(shot: MetricShot, share: Tensor) -> Tensor:
    """(P, T, 3) metres that change everybody's distance by (P, T) of it."""
    return share[..., None] * (shot.joints[..., 0, :] - shot.c2w[:, :3, 3])


def _settle(shot: MetricShot, **options) -> MetricShot:
    evidence = make_evidence(shot)
    contact = options.get("contact", touch_ground(shot, evidence, GROUND, BODY))
    return settle_motion(shot, evidence, options.get("ground", GROUND), contact, BODY)


def _distance(shot: MetricShot) -> Tensor:
    return (shot.joints[..., 0, :] - shot.c2w[:, :3, 3]).norm(dim=-1)


def _heels(shot: MetricShot) -> Tensor:
    return pose_feet(shot, BODY, UP).middle


def _error(shot: MetricShot, truth: MetricShot) -> float:
    return float((shot.joints - truth.joints).norm(dim=-1).max())


def test_who_stands_stays() -> None:
    """Nothing contradicts anything, so nothing moves, before a camera that moves and turns."""
    truth = make_shot(num_people=2, num_frames=8)
    # Measured: 0.6 mm, by which one foot of the body is higher than the other.
    assert _error(_settle(truth), truth) < 1.2e-3


def test_distances_that_jitter_do_not_move_the_feet(rng: torch.Generator) -> None:
    truth = make_shot(num_people=2, num_frames=12)
    noise = 0.02 * torch.randn(2, 12, generator=rng)
    seen = _move(truth, _along_ray(truth, noise - noise.mean(1, keepdim=True)))
    found = _settle(seen)
    before, after = (_heels(shot).diff(dim=1).norm(dim=-1).mean() for shot in (seen, found))
    assert before > 0.07 and after < 0.1 * before
    assert _error(found, truth) < 0.7 * _error(seen, truth)
    # What the picture shows of them stays, but for their size, which had jittered with the distance: pixels of 80.
    shown = (make_evidence(found).landmarks_px - make_evidence(seen).landmarks_px)[..., :2].norm(dim=-1)
    assert shown.mean() < 0.3


def test_who_is_measured_worse_is_smoothed_more(rng: torch.Generator) -> None:
    """A far person's landmarks err by more metres: neither they nor the distance of one frame hold as much."""
    truth = make_shot(num_frames=12)
    noise = 0.02 * torch.randn(1, 12, generator=rng)
    seen = _move(truth, _along_ray(truth, noise - noise.mean()))
    contact = torch.zeros(1, 12, 4)
    contact[:, 0] = 1.0  # somebody has to touch
    evidence, jerks = make_evidence(seen), []
    for sigma_px in (None, 1e-4, 1.0, 4.0):
        sigma = None if sigma_px is None else torch.full((1, 12, 33), sigma_px)
        found = settle_motion(seen, replace(evidence, landmarks_sigma_px=sigma), GROUND, contact, BODY)
        jerks.append(float(found.joints[0, :, 0].diff(n=2, dim=0).norm(dim=-1).mean()))
    nobody_said, sharp, rough, rougher = jerks
    assert nobody_said == pytest.approx(sharp, rel=1e-4), "no landmark is better than a centimetre"
    # A pixel is 6 cm at these people. Measured: 10.8 cm become 7.7, 2.2 and 0.14 mm.
    assert rougher < 0.0003 and rough < 0.0045 < sharp < 0.016


def test_a_landmark_that_errs_by_more_holds_less_across_the_ray() -> None:
    """Two centimetres to and fro: followed where landmarks are right to a centimetre, not where they err by 23."""
    truth = make_shot(num_frames=12)
    seen = _move(truth, (0.02 * (-1.0) ** torch.arange(12))[None, :, None] * ASIDE)
    contact = torch.zeros(1, 12, 4)
    contact[:, 0] = 1.0
    swings = []
    for sigma_px in (1e-4, 4.0):
        evidence = replace(make_evidence(seen), landmarks_sigma_px=torch.full((1, 12, 33), sigma_px))
        pelvis = settle_motion(seen, evidence, GROUND, contact, BODY).joints[0, 2:, 0]
        swings.append(float((pelvis.diff(n=2, dim=0) @ ASIDE).abs().mean()))
    # Measured: 6.5 cm of 8.
    assert swings[0] > 0.06 and swings[1] < 0.016


def test_feet_that_tremble_are_held_by_the_legs(rng: torch.Generator) -> None:
    """Knees and hips that jitter: the legs are bent so that the feet stand, and the trunk stays in the picture."""
    truth = make_shot(num_frames=10)
    turns = torch.zeros(1, 10, 23, 3)
    turns[:, :, :5] = 0.06 * torch.randn(1, 10, 5, 3, generator=rng)
    pose = truth.params.body_pose @ axis_angle_to_matrix(turns)
    seen = replace_people(truth, make_evidence(truth), replace(truth.params, body_pose=pose), BODY)
    found = _settle(seen, contact=torch.ones(1, 10, 4))
    before, after = (_heels(shot).diff(dim=1).norm(dim=-1).mean() for shot in (seen, found))
    assert before > 0.04 and after < 0.25 * before
    neck = (found.joints - seen.joints)[..., 12, :]
    assert (neck - neck[..., 2:] * seen.joints[..., 12, :] / seen.joints[..., 12, 2:]).norm(dim=-1).max() < 0.02


def test_who_slides_is_not_held() -> None:
    """On skates, or on a belt: a foot that goes on steadily at .2 m/s does not stand, though it touches."""
    truth = make_shot(num_frames=10)
    sliding = _move(truth, 0.2 * torch.arange(10)[None, :, None] / 6 * ASIDE)
    assert touch_ground(sliding, make_evidence(sliding), GROUND, BODY).min() > 0.5
    assert _error(_settle(sliding), sliding) < 5e-3


def _touch(shot: MetricShot, contact: Tensor) -> Touching:
    return find_touching(shot, make_evidence(shot), GROUND, contact, shot.valid, BODY)


def test_a_foot_that_rolls_off_begins_another_stance() -> None:
    """It still counts as touching in the frame of the step, which would make one stance that slides of both."""
    frame = torch.arange(10)[None, :, None]
    creeps = (0.15 * (frame >= 5) + 0.002 * frame) * ASIDE
    found = _touch(_move(make_shot(num_frames=10), creeps), torch.ones(1, 10, 4))
    assert (found.weights == 1).all(), "both are held"
    assert (found.stance.diff(dim=1) == (torch.arange(1, 10) == 5).long()[None, :, None]).all()


def test_a_stance_that_moves_alone_is_held_and_feet_that_move_alike_are_not() -> None:
    """Left foot, then right: errors move each its own way, a belt moves both alike."""
    time = torch.arange(12)[None, :, None] / 6
    contact = torch.ones(1, 12, 4)
    contact[:, 6:, :2] = contact[:, :6, 2:] = 0.0
    still = make_shot(num_frames=12)
    to_and_fro = _touch(_move(still, 0.15 * (5.5 / 6 - (time - 5.5 / 6).abs()) * ASIDE), contact)
    assert to_and_fro.weights.equal(contact)
    assert (_touch(_move(still, 0.15 * time * ASIDE), contact).weights == 0).all()


def test_a_foot_that_moves_half_as_fast_as_the_other_hardly_moves_alike() -> None:
    """The mean of the other foot's velocity decides: a third of this one's is an error, two thirds are a belt."""
    time = torch.arange(12)[None, :, None] / 6
    contact = torch.ones(1, 12, 4)
    contact[:, 6:, :2] = contact[:, :6, 2:] = 0.0
    late = (time - 1.0).clamp_min(0.0)
    for share, held in ((0.3, True), (0.7, False)):
        path = 0.3 * (share * (time - late) + late)
        found = _touch(_move(make_shot(num_frames=12), path * ASIDE), contact)
        assert bool((found.weights[:, 6:, 2:] == 1).all()) == held, f"{share}"


def test_what_the_other_foot_did_long_before_tells_nothing() -> None:
    """Feet that moved alike, but with four seconds between them: each is moved by an error of its own."""
    time, contact = torch.arange(36)[None, :, None] / 6, torch.zeros(1, 36, 4)
    contact[:, :6, :2] = contact[:, 30:, 2:] = 1.0
    assert _touch(_move(make_shot(num_frames=36), 0.15 * time * ASIDE), contact).weights.equal(contact)


def test_a_stance_goes_on_over_frames_that_do_not_count() -> None:
    shot = make_shot(num_people=2, num_frames=8)
    solved, contact = torch.ones(2, 8, dtype=torch.bool), torch.ones(2, 8, 4)
    solved[0, 3] = False
    solved[1, 2:6] = False
    found = find_touching(shot, make_evidence(shot), GROUND, contact * solved[..., None], solved, BODY)
    assert (found.weights[solved] == 1).all()
    first, second = (found.stance[person][solved[person]] for person in range(2))
    assert (first == 0).all() and (second == torch.tensor([0, 0, 1, 1])[:, None]).all(), (
        "not for more than half a second"
    )


def test_who_is_in_the_air_stays_there_and_who_sinks_is_lifted() -> None:
    truth = make_shot(num_people=2, num_frames=9)
    height = torch.zeros(2, 9)
    height[0, 3:6] = torch.tensor([0.35, 0.4, 0.35])
    height[1, 3:6] = -0.08
    found = _settle(_move(truth, height[..., None] * UP), contact=(height[..., None] == 0).float().expand(2, 9, 4))
    over = _heels(found) @ UP - _heels(truth) @ UP
    assert (over[0, 3:6].mean(-1) - height[0, 3:6]).abs().max() < 0.04
    # By how much the picture and the person's size let them: 8 cm become 6 to 7.
    assert over[1, 3:6].mean() > -0.073 and over[1].max() < 0.01


def test_points_of_people_go_with_them() -> None:
    """Nearer by a tenth in one frame: their own depth follows, that of the scene does not."""
    truth = make_shot(num_frames=5)
    masks = torch.full((5, 60, 80), -1, dtype=torch.int16)
    masks[:, 20:40, 30:50] = 0
    level = torch.zeros(1, 5)
    correction = replace(
        truth.correction, level=level, scene_level=torch.full((1, 5), 3.0).log(), tilt=torch.zeros(1, 5, 2),
        relief=torch.ones(1, 5), centre=torch.zeros(1, 5, 2), extent=torch.ones(1, 5),
    )  # fmt: skip
    flat = torch.full_like(truth.depth, 3.0)
    shot = replace(truth, correction=correction, depth_before=flat, depth=flat)
    evidence = replace(make_evidence(shot), masks=masks)
    share = torch.tensor([[0.0, 0.0, -0.1, 0.0, 0.0]])
    moved = replace(shot.params, transl=shot.params.transl + _along_ray(shot, share))
    found = replace_people(shot, evidence, moved, BODY)
    expected = torch.where(masks[2] == 0, 2.7, 3.0)
    torch.testing.assert_close(found.depth[2], expected, rtol=0, atol=2e-2)
    torch.testing.assert_close(found.depth[1], flat[1])


def test_pieces_of_a_long_shot_are_as_the_whole(rng: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody seen for longer than two pieces: no seam, and nobody is left out."""
    frames = 2 * PIECE + 11
    truth = replace(make_shot(num_frames=frames), c2w=torch.eye(4).expand(frames, 4, 4))
    seen = _move(truth, _along_ray(truth, 0.01 * torch.randn(1, frames, generator=rng)))
    contact = torch.ones(1, frames, 4)
    contact[:, 40::50] = 0.0
    in_pieces = _settle(seen, contact=contact)
    monkeypatch.setattr("unish.reconstruction.motion.PIECE", frames + 2 * OVERLAP)
    whole = _settle(seen, contact=contact)
    assert _error(in_pieces, whole) < 4e-3
    assert ((in_pieces.joints - seen.joints).norm(dim=-1).amax(-1) > 0).all()


def test_frames_in_which_nobody_is_seen_and_people_without_landmarks_stay(rng: torch.Generator) -> None:
    truth = make_shot(num_people=2, num_frames=8)
    valid = truth.valid.clone()
    valid[0, 3:5] = False
    seen = _move(truth, _along_ray(truth, 0.02 * torch.randn(2, 8, generator=rng)))
    transl = torch.where(valid[..., None], seen.params.transl, torch.nan)
    shot = replace(seen, valid=valid, params=replace(seen.params, transl=transl))
    shot = replace(shot, joints=BODY.joints(shot.params), by_network=torch.tensor([[False], [True]]).expand(2, 8))
    found = settle_motion(shot, make_evidence(seen), GROUND, torch.ones(2, 8, 4), BODY)
    assert found.params.transl[0].isfinite().all(-1).equal(valid[0])
    assert found.params.transl[1].equal(shot.params.transl[1])
    moved = (found.params.transl - shot.params.transl)[0].norm(dim=-1)
    assert moved[valid[0]].min() > 1e-3


@pytest.mark.parametrize("why", ["no floor", "nobody touches", "unknown contact"])
def test_without_contacts_people_become_steady_and_go_neither_up_nor_down(why: str, rng: torch.Generator) -> None:
    """Three centimetres under the floor, and trembling by as much: the picture's noise goes, the height stays."""
    truth = _move(make_shot(num_frames=12), -0.03 * UP.expand(1, 12, 3))
    noise = 0.03 * torch.randn(1, 12, 3, generator=rng)
    seen = _move(truth, noise - noise.mean(1, keepdim=True))
    contact = torch.full((1, 12, 4), {"nobody touches": 0.4, "unknown contact": torch.nan}.get(why, 1.0))
    ground = Ground(gravity=-UP, floor=torch.full((4,), torch.nan), source="people") if why == "no floor" else GROUND
    evidence = replace(make_evidence(seen), landmarks_sigma_px=torch.full((1, 12, 33), 2.0))
    found = settle_motion(seen, evidence, ground, contact, BODY)
    tremble = [float(shot.joints[0, :, 0].diff(n=2, dim=0).norm(dim=-1).mean()) for shot in (seen, found)]
    assert tremble[1] < 0.5 * tremble[0]
    # How far away they are is another matter: the camera moves, and its parallax has the noise of the landmarks.
    ray = torch.nn.functional.normalize(truth.joints[:, :, 0] - truth.c2w[:, :3, 3], dim=-1)
    errors = [
        float(torch.linalg.cross(shot.joints[:, :, 0] - truth.joints[:, :, 0], ray).norm(dim=-1).mean())
        for shot in (seen, found)
    ]
    assert errors[1] < 0.7 * errors[0]
    # Measured: 0.4 cm, of 3 to the floor.
    assert float(((found.joints - truth.joints) @ UP).mean().abs()) < 8e-3


def test_who_stands_still_is_still(rng: torch.Generator) -> None:
    """Limbs that tremble by 3 degrees and a body by 2 cm, with landmarks that err by 6. Measured: half, and a third."""
    truth = make_shot(num_frames=16)
    trembling = axis_angle_to_matrix(0.05 * torch.randn(1, 16, 23, 3, generator=rng))
    params = replace(truth.params, body_pose=truth.params.body_pose @ trembling)
    limbs = replace(truth, params=params, joints=BODY.joints(params))
    body = _move(truth, 0.02 * torch.randn(1, 16, 3, generator=rng))
    found = []
    for seen in (limbs, body):
        evidence = replace(make_evidence(seen), landmarks_sigma_px=torch.full((1, 16, 33), 1.0))
        found.append(settle_motion(seen, evidence, GROUND, torch.zeros(1, 16, 4), BODY))
    turns = [
        float(rotation_angle(shot.params.body_pose[:, :-1].mT @ shot.params.body_pose[:, 1:]).mean())
        for shot in (limbs, found[0])
    ]
    assert turns[1] < 0.6 * turns[0]
    jerks = [float((shot.joints[0, :, 0].diff(n=2, dim=0) @ ASIDE).abs().mean()) for shot in (body, found[1])]
    assert jerks[1] < 0.5 * jerks[0]


def test_contacts_with_a_floor_that_is_unknown_hold_nobody(rng: torch.Generator) -> None:
    shot = make_shot(num_frames=8)
    seen = _move(shot, 0.03 * torch.randn(1, 8, 3, generator=rng))
    unknown = Ground(gravity=-UP, floor=torch.full((4,), torch.nan), source="people")
    held = _settle(seen, contact=torch.ones(1, 8, 4), ground=unknown)
    free = _settle(seen, contact=torch.zeros(1, 8, 4))
    torch.testing.assert_close(held.joints, free.joints)


def test_nobody_seen_is_nothing_to_do() -> None:
    shot = make_shot(num_frames=6)
    shot = replace(shot, by_network=torch.ones_like(shot.by_network))
    assert _settle(shot, contact=torch.ones(1, 6, 4)) is shot


def test_boxes_move_along_the_ray_as_the_frames_around() -> None:
    """Feet that stand bring a person nearer; a frame with nothing but a box, between two of them, comes along."""
    truth = make_shot(num_frames=12)
    seen = _move(truth, _along_ray(truth, 0.05 * torch.ones(1, 12)))
    boxes = torch.zeros(1, 12, dtype=torch.bool)
    boxes[0, 5] = True
    evidence = replace(make_evidence(seen), box_only=boxes, landmarks_sigma_px=torch.full((1, 12, 33), 2.0))
    found = settle_motion(seen, evidence, GROUND, torch.ones(1, 12, 4), BODY)
    share = _distance(found) / _distance(seen)
    assert share[0, 4] < 0.99 and share[0, 6] < 0.99, "the frames around have moved"
    assert float(share[0, 5]) == pytest.approx(float((share[0, 4] + share[0, 6]) / 2), abs=1e-4)
    # Who is seen again two seconds later was anywhere meanwhile.
    late = replace(
        evidence, timestamps_s=evidence.timestamps_s + 2.0 * (torch.arange(12) >= 5) + 2.0 * (torch.arange(12) > 5)
    )
    stayed = settle_motion(seen, late, GROUND, torch.ones(1, 12, 4), BODY)
    assert float((_distance(stayed) / _distance(seen))[0, 5]) == pytest.approx(1.0, abs=1e-5)


def test_a_foot_that_touches_makes_no_distance_jump() -> None:
    """Somebody whose landmarks hold no distance floats, and seems to touch in a few frames: they come to the floor and
    leave it slowly."""
    truth = make_shot(num_frames=16)
    seen = _move(truth, 0.2 * UP.expand(1, 16, 3))
    contact = torch.zeros(1, 16, 4)
    contact[0, [4, 5, 9]] = 1.0
    evidence = replace(make_evidence(seen), landmarks_sigma_px=torch.full((1, 16, 33), 4.0))
    found = settle_motion(seen, evidence, GROUND, contact, BODY)
    assert (_distance(found) - _distance(seen)).abs().max() > 0.3, "the floor does not pull"
    # m/s². Measured: 0.024, of which 0.012 are there before; 0.08 with nothing that asks for it, 0.9 for who may walk.
    assert _distance(found)[0].diff(n=2).abs().max() * 36 < 0.047


def test_the_floor_holds_the_feet_at_its_height() -> None:
    """Bodies that hang 3 cm over the floor come nearer to it, as far as their distance allows: to 0.8 cm."""
    truth = make_shot(num_frames=8)
    seen = _move(truth, 0.03 * UP.expand(1, 8, 3))
    found = _settle(seen)
    lowest = pose_feet(found, BODY, UP).lowest @ UP + CAMERA_HEIGHT_M
    assert 0 < lowest.amin(-1).max() < 0.0153
