"""Which feet stand, on which plane, and how tall the people on it are."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from standing_shots import CAMERA_HEIGHT_M, FLOOR, UP, find_standing, make_evidence, make_shot
from unish.body import load_body
from unish.geometry.rotation import axis_angle_to_matrix
from unish.reconstruction import Ground, MetricShot
from unish.reconstruction.contacts import REGIONS, Contacts, measure_contact, measure_speed, pose_feet
from unish.reconstruction.feet_plane import FEW, STATURES, TILT, TWO_LEVELS, FeetPlane, fit_feet_plane


def move(shot: MetricShot, shift: Tensor) -> MetricShot:
    """Everybody moved in the world by (P, T, 3) metres."""
    return replace(shot, params=replace(shot.params, transl=shot.params.transl + shift))


def test_feet_are_the_lowest_vertices_of_heels_and_toes() -> None:
    shot, body = make_shot(num_people=2), load_body("free")
    feet = pose_feet(shot, body, UP)
    vertices = body.vertices(shot.params)
    for index, name in enumerate(REGIONS):
        region = vertices[:, :, body.contact_vertices[name]]
        torch.testing.assert_close(feet.lowest[:, :, index] @ UP, (region @ UP).amin(-1))
        torch.testing.assert_close(feet.middle[:, :, index], region.mean(-2), rtol=0, atol=1e-5)
    absent = replace(shot, valid=torch.tensor([[True] * 4, [True, False, True, True]]))
    assert pose_feet(absent, body, UP).lowest[1, 1].isnan().all()


def test_both_feet_of_everybody_who_stands_are_contacts() -> None:
    found = find_standing(make_shot(num_people=2))
    assert len(found) == 2 * 4 * 2
    torch.testing.assert_close(found.points @ UP, torch.full((16,), -CAMERA_HEIGHT_M), rtol=0, atol=0.01)
    torch.testing.assert_close(found.weights, torch.full((16,), 1 / 3))
    assert (
        find_standing(make_shot(num_people=2), replace(make_evidence(make_shot(num_people=2), fps=0.5))).weights == 1
    ).all()


def test_a_lifted_foot_is_none() -> None:
    shot = make_shot(num_frames=6)
    pose = shot.params.body_pose.clone()
    pose[0, 3, 3] = axis_angle_to_matrix(torch.tensor([0.6, 0.0, 0.0]))  # the left knee
    found = find_standing(replace(shot, params=replace(shot.params, body_pose=pose)))
    assert [int((found.frame == frame).sum()) for frame in range(6)] == [2, 2, 2, 1, 2, 2]


def test_who_moves_across_the_ray_does_not_stand_and_along_it_may() -> None:
    shot = make_shot(num_frames=6)
    across = torch.zeros(1, 6, 3)
    across[0, :, 0] = torch.tensor([0.0, 0.0, 0.0, 0.2, 0.4, 0.6])
    assert find_standing(move(shot, across)).frame.unique().tolist() == [0, 1, 2], (
        "still to one of the neighbours is still"
    )
    body, evidence = load_body("free"), make_evidence(shot)
    feet = pose_feet(shot, body, UP)
    rays = torch.nn.functional.normalize(feet.middle - shot.c2w[:, None, :3, 3], dim=-1)
    jitter = torch.tensor([0.1, -0.1, 0.1, -0.1, 0.1, -0.1])[None, :, None, None] * rays
    moved = replace(feet, middle=feet.middle + jitter)
    assert (measure_speed(moved, shot, evidence) < 0.15).all()
    alone = make_shot(num_frames=1)
    assert measure_speed(pose_feet(alone, body, UP), alone, make_evidence(alone)).isinf().all()
    assert measure_speed(feet, shot, make_evidence(shot, fps=1.0)).isinf().all(), "too long ago to tell"


def test_feet_that_are_not_seen_or_badly_measured_are_not_asked() -> None:
    shot = make_shot()
    evidence = make_evidence(shot)
    hidden = evidence.landmarks_px.clone()
    hidden[0, 0, 29, 2], hidden[0, 1, 31, 0] = 0.4, -3.0
    found = find_standing(shot, replace(evidence, landmarks_px=hidden))
    assert [int((found.frame == frame).sum()) for frame in range(4)] == [1, 1, 2, 2]
    assert len(find_standing(replace(shot, distance_sigma=torch.full_like(shot.distance_sigma, 0.1)))) == 0
    prob = measure_contact(pose_feet(shot, load_body("free"), UP), FLOOR, shot, replace(evidence, landmarks_px=hidden))
    assert prob[0, 0, :2].isnan().all() and prob[0, 1, :2].isnan().all() and prob.isnan().sum() == 4
    assert (prob[prob.isfinite()] > 0.9).all()


def test_contact_fades_with_height_and_speed() -> None:
    shot, body = make_shot(num_frames=6), load_body("free")
    evidence = make_evidence(shot)
    feet = pose_feet(shot, body, UP)

    def at(height: float, step: float = 0.0) -> float:
        sideways = torch.linalg.cross(UP, torch.tensor([0.0, 0.0, 1.0]))
        shift = height * UP + step * torch.arange(6)[:, None, None] * sideways
        moved = replace(feet, lowest=feet.lowest + shift, middle=feet.middle + shift)
        return float(measure_contact(moved, FLOOR, shot, evidence)[0, 2, 1])

    heights = [at(height) for height in (0.0, 0.03, 0.08, 0.15, 0.5)]
    assert heights == sorted(heights, reverse=True) and heights[0] > 0.9 and heights[-1] < 0.01
    assert abs(at(0.08) / at(0.0) - 0.5) < 0.05 and at(-0.5) < 0.01, "under the floor is no contact either"
    assert at(0.0, 0.3) < 0.01 and abs(at(0.0, 0.083) / at(0.0) - 0.5) < 0.1
    unknown = measure_contact(feet, torch.full((4,), torch.nan), shot, evidence)
    assert unknown.isnan().all()


def test_what_a_user_says_of_a_foot_counts_and_nothing_else_changes() -> None:
    shot = make_shot(num_people=2)
    shot = replace(shot, valid=shot.valid & (torch.arange(shot.valid.shape[1]) != 3))
    evidence, feet = make_evidence(shot), pose_feet(shot, load_body("free"), UP)
    measured = measure_contact(feet, FLOOR, shot, evidence)
    given = torch.full(measured.shape, torch.nan)
    given[0, :, 1], given[1, 0, 2] = 0.0, 1.0
    found = measure_contact(feet, FLOOR, shot, replace(evidence, given_contacts=given))
    assert found[0, :3, 1].tolist() == [0, 0, 0] and found[1, 0, 2] == 1
    assert found[:, 3].isnan().all(), "nobody is there"
    untold = given.isnan()
    torch.testing.assert_close(found[untold], measured[untold], equal_nan=True)


# The plane ------------------------------------------------------------------------------------------------------------


def stand(
    *, people: int = 3, per_person: int = 8, lift: Tensor | None = None, stature: Tensor | None = None
) -> Contacts:
    """Feet on ``FLOOR`` between 3 and 9 m; bodies e^−stature times as large and far as they should be."""
    generator = torch.Generator().manual_seed(0)
    count = people * per_person
    person = torch.arange(people).repeat_interleave(per_person)
    side = torch.linalg.cross(UP, torch.tensor([0.0, 0.0, 1.0]))
    ahead = torch.linalg.cross(side, UP)
    ahead = ahead if ahead[2] > 0 else -ahead
    place = (torch.rand(count, generator=generator) * 6 + 3)[:, None] * ahead
    place = place + (torch.rand(count, generator=generator) - 0.5)[:, None] * 4 * side
    height = -CAMERA_HEIGHT_M + (torch.zeros(people) if lift is None else lift)[person]
    points = place + height[:, None] * UP
    points = points * (torch.zeros(people) if stature is None else -stature)[person].exp()[:, None]
    return Contacts(
        person=person, frame=torch.arange(count), points=points, camera=torch.zeros(count, 3), depth=points[:, 2],
        weights=torch.full((count,), 1 / 3),
    )  # fmt: skip


def fit(contacts: Contacts, *, tilt: float = 0.0, source: str = "scene", people: int = 3) -> FeetPlane:
    normal = axis_angle_to_matrix(torch.tensor([tilt, 0.0, 0.0])) @ UP
    ground = Ground(gravity=-normal, floor=torch.cat([normal, torch.tensor([1.7])]), source=source)
    return fit_feet_plane(contacts, ground, UP.expand(people, 3))


def angle(found: FeetPlane) -> float:
    return math.degrees(math.acos(min(1.0, float(found.plane[:3] @ UP))))


def test_height_tilt_and_statures_come_back() -> None:
    exact = fit(stand())
    torch.testing.assert_close(exact.plane, FLOOR, rtol=0, atol=2e-3)
    assert exact.refusal == "" and exact.log_stature.abs().max() < 2e-3 and exact.num_contacts == 24
    torch.testing.assert_close(exact.weight, torch.full((3,), 8 / 3))
    # One is 4 % too small and stands 4 % too near.
    grown = fit(stand(stature=torch.tensor([0.04, 0.0, 0.0])))
    assert grown.refusal == "" and 0.02 < float(grown.log_stature[0] - grown.log_stature[1:].mean()) < 0.045
    assert abs(float(grown.log_stature.mean())) < 1e-3, (
        "who is too large or too small is not told, but by how much they differ"
    )
    tilted = fit(stand(), tilt=math.radians(6))
    assert tilted.refusal == "" and angle(tilted) < 3.0


def test_one_person_keeps_their_stature_however_the_feet_jitter() -> None:
    """A smaller world would have smaller errors."""
    contacts = stand(people=1, per_person=40)
    jitter = 0.06 * torch.randn(40, 1, generator=torch.Generator().manual_seed(1)) * UP
    found = fit(replace(contacts, points=contacts.points + jitter), people=1)
    assert found.log_stature.abs().max() < 2e-3
    assert abs(float(found.plane[3]) - CAMERA_HEIGHT_M) < 0.05


def test_feet_at_one_distance_tell_the_height_and_no_tilt() -> None:
    contacts = stand()
    near = contacts.points * (4.0 / contacts.points[:, 2:]).clamp(0.99, 1.01)
    together = replace(contacts, points=near, depth=torch.full((24,), 4.0))
    found = fit(together, tilt=math.radians(6))
    assert 5.0 < angle(found) < 7.0


def test_few_feet_tell_the_height_and_no_tilt() -> None:
    few = stand(people=1, per_person=6)
    lower = replace(few, points=few.points - 0.1 * UP)
    found = fit(lower, people=1)
    assert found.refusal == "" and angle(found) < 0.1
    torch.testing.assert_close(found.plane[3], torch.tensor(CAMERA_HEIGHT_M + 0.1), rtol=0, atol=0.005)
    assert 5.0 < angle(fit(few, tilt=math.radians(6), people=1)) < 7.0
    many = stand(people=1, per_person=24)
    assert angle(fit(many, tilt=math.radians(6), people=1)) < 4.0
    # Two of six stand higher: too few to tell which level is the ground.
    points = few.points.clone()
    points[:2] += 0.5 * UP
    assert fit(replace(few, points=points), people=1).refusal == TWO_LEVELS


def test_a_wild_contact_does_not_move_the_plane() -> None:
    contacts = stand()
    points = contacts.points.clone()
    points[::8] += 0.8 * UP
    found = fit(replace(contacts, points=points))
    assert found.refusal == ""
    torch.testing.assert_close(found.plane, FLOOR, rtol=0, atol=0.02)


def test_feet_in_the_air_have_no_vote_at_all() -> None:
    """At the top of a jump feet seem to stand. What stands a little wrong still counts, and so does what is too low."""
    contacts = stand()
    points = contacts.points.clone()
    points[8:12] += 0.4 * UP
    found = fit(replace(contacts, points=points))
    assert found.refusal == "" and found.num_contacts == 24
    torch.testing.assert_close(found.plane, fit(contacts.pick(torch.arange(24).lt(8) | torch.arange(24).ge(12))).plane)
    torch.testing.assert_close(found.weight, torch.tensor([8 / 3, 4 / 3, 8 / 3]))
    for off in (0.12, -0.4):
        points = contacts.points.clone()
        points[::8] += off * UP
        found = fit(replace(contacts, points=points))
        assert found.refusal == "" and found.weight.tolist() == pytest.approx([8 / 3] * 3), off


def test_a_person_of_no_plausible_size_has_no_vote() -> None:
    found = fit(stand(stature=torch.tensor([0.0, 0.0, -0.2])))
    assert found.refusal == "" and found.weight.tolist()[2] == 0 and found.log_stature[2] == 0
    torch.testing.assert_close(found.plane, FLOOR, rtol=0, atol=0.01)


@pytest.mark.parametrize(
    ("contacts", "why"),
    [
        (stand(per_person=1), FEW),
        (stand(lift=torch.tensor([0.0, 0.9, 0.0]), per_person=20), TWO_LEVELS),
        (stand(stature=torch.tensor([0.0, -0.2, 0.2])), STATURES),
    ],
    ids=("few", "two levels", "statures"),
)
def test_what_one_plane_does_not_explain_is_refused(contacts: Contacts, why: str) -> None:
    assert fit(contacts).refusal == why


def test_a_plane_far_from_the_found_floor_is_refused() -> None:
    many = stand(per_person=60)
    assert fit(many, tilt=math.radians(25)).refusal == TILT


def test_without_contacts_nothing_breaks() -> None:
    none = stand(per_person=0)
    found = fit(none)
    assert found.refusal == FEW and found.plane.isfinite().all() and found.num_contacts == 0
