"""From measures to verdicts: every limit from both sides, and the sentences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from made_room import make_room
from unish.body.joints import MIRRORED_JOINTS
from unish.reconstruction import world_checks
from unish.reconstruction.checks.ground import GroundAgreement
from unish.reconstruction.checks.pairs import PairOverlap, Swap
from unish.reconstruction.checks.pictures import PictureMeasures
from unish.reconstruction.checks.scene import DepthJump, Stillness
from unish.reconstruction.checks.views import Reflection
from unish.reconstruction.findings import Limit
from unish.reconstruction.unusual import judge_pictures, judge_reflections, judge_views
from unish.reconstruction.verdicts import (
    ShotFacts,
    judge,
    judge_pairs,
    judge_people,
    judge_person,
    judge_shot,
)
from unish.reconstruction.world_checks import PersonMeasures, ShotMeasures

NAN = float("nan")
GOOD_PERSON = PersonMeasures(
    person_id=2, frames=48, stature_m=1.7, ray_jitter_cm=2.0, max_speed_m_s=1.5, foot_to_floor_cm=-4.0,
    foot_to_floor_spread_cm=6.0, support_cm=0.0, support_confirmed=True, distance_m=(3.0, 4.0, 5.0),
    floor_over_foot_depth=0.95,
    floor_over_foot_bands={}, floor_over_foot_values=np.full(3, 0.95), foot_depths_m=np.full(3, 4.0),
    size_in_picture=1.0, box_overlap=0.8, reprojection_percent=1.5, scene_ratio=1.05, lower_body_frames=0,
    likeness=0.9,
)  # fmt: skip
GOOD_SHOT = ShotMeasures(
    shot=0, frames=np.arange(48), field_of_view_deg=60.0, camera_extent_m=0.1, static_disagreement_percent=3.0,
    depth_jump=DepthJump(log_ratio=0.04, frame=12), stillness=Stillness(shift_percent=0.5, still_share=0.9),
    overhang_share=0.02,
    ground=GroundAgreement(scene_level_cm=2.0, scene_tilt_deg=2.0, people_tilt_deg=12.0),
    gravity_known=True, floor_known=True, trunk_down=-0.97,
    pictures=PictureMeasures(brightness=140.0, is_round=False, enlarged=1.0),
)  # fmt: skip
FACTS = ShotFacts()


def test_a_limit_is_passed_not_reached() -> None:
    limit = Limit(doubtful=2.0, bad=4.0)
    assert [limit.grade(value) for value in (1.9, 2.0, 2.1, 4.0, 4.1, NAN)] == [0, 0, 1, 1, 2, 0]


def test_a_good_person_and_a_good_shot_have_no_findings() -> None:
    assert judge_person(GOOD_PERSON, 0.8) == [] and judge_shot(GOOD_SHOT, FACTS) == []
    unknown = replace(
        GOOD_PERSON, ray_jitter_cm=NAN, max_speed_m_s=NAN, foot_to_floor_cm=NAN, foot_to_floor_spread_cm=NAN,
        floor_over_foot_depth=NAN, size_in_picture=NAN, box_overlap=NAN, reprojection_percent=NAN, scene_ratio=NAN,
    )  # fmt: skip
    assert judge_person(unknown, NAN) == []


PERSON_LIMITS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = [
    ({"ray_jitter_cm": 8.9}, {"ray_jitter_cm": 9.1}, {"ray_jitter_cm": 20.4}, "person 2 jumps in depth by 20 cm"),
    ({"max_speed_m_s": 5.9}, {"max_speed_m_s": 6.1}, {"max_speed_m_s": 12.1}, "person 2 moves at 12 m/s"),
    (
        {"foot_to_floor_cm": 19.9}, {"foot_to_floor_cm": 20.1}, {"foot_to_floor_cm": 40.4},
        "person 2 floats 40 cm over the floor",
    ),
    (
        {"foot_to_floor_cm": -19.9}, {"foot_to_floor_cm": -20.1}, {"foot_to_floor_cm": -41.0},
        "person 2 stands 41 cm under the floor",
    ),
    (
        {"foot_to_floor_spread_cm": 29.9}, {"foot_to_floor_spread_cm": 30.1}, {"foot_to_floor_spread_cm": 61.0},
        "person 2 moves 61 cm up and down against the floor",
    ),
    ({"stature_m": 1.97}, {"stature_m": 1.99}, {"stature_m": 2.21}, "person 2 is 2.21 m tall"),
    ({"stature_m": 0.76}, {"stature_m": 0.74}, {"stature_m": 0.59}, "person 2 is 0.59 m tall"),
    (
        {"size_in_picture": 0.945}, {"size_in_picture": 0.935}, {"size_in_picture": 0.83},
        "person 2 is too small in the picture for its distance",
    ),
    (
        {"size_in_picture": 1.055}, {"size_in_picture": 1.065}, {"size_in_picture": 1.2},
        "person 2 is too large in the picture for its distance",
    ),
    ({"box_overlap": 0.61}, {"box_overlap": 0.59}, {"box_overlap": 0.39}, "person 2 does not fill the box in which"),
    (
        {"reprojection_percent": 2.9}, {"reprojection_percent": 3.1}, {"reprojection_percent": 8.1},
        "person 2 does not fit its landmarks",
    ),
    (
        {"scene_ratio": 1.24}, {"scene_ratio": 1.25}, {"scene_ratio": 2.0},
        "the scene sees person 2 50 % nearer than its body is",
    ),
    (
        {"scene_ratio": 0.81}, {"scene_ratio": 0.8}, {"scene_ratio": 0.5},
        "the scene sees person 2 100 % farther than its body is",
    ),
    (
        {"floor_over_foot_depth": 1.34}, {"floor_over_foot_depth": 1.36}, {"floor_over_foot_depth": 1.7},
        "the ground under the feet of person 2 lies 70 % behind them",
    ),
    (
        {"floor_over_foot_depth": 0.75}, {"floor_over_foot_depth": 0.73}, {"floor_over_foot_depth": 0.6},
        "the ground under the feet of person 2 lies 40 % before them",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("good", "doubtful", "bad", "sentence"), PERSON_LIMITS)
def test_limits_of_people(good: dict, doubtful: dict, bad: dict, sentence: str) -> None:
    assert judge_person(replace(GOOD_PERSON, **good), 0.8) == []
    (one,) = judge_person(replace(GOOD_PERSON, **doubtful), 0.8)
    (two,) = judge_person(replace(GOOD_PERSON, **bad), 0.8)
    assert (one.grade, two.grade) == (1, 2)
    assert two.sentence.startswith(sentence)


def test_short_tracks_and_sizes_that_are_guessed_are_doubtful() -> None:
    assert judge_person(replace(GOOD_PERSON, frames=5), 0.8) == []
    (short,) = judge_person(replace(GOOD_PERSON, frames=4), 0.8)
    assert (short.grade, short.sentence) == (1, "person 2 is seen in 4 frames only")
    assert judge_person(GOOD_PERSON, 0.41) == []
    (guess,) = judge_person(GOOD_PERSON, 0.39)
    assert (guess.grade, guess.sentence) == (1, "the size of person 2 is a guess: too little of the body is seen")
    assert judge_person(GOOD_PERSON, 0.0)[0].grade == 1


def test_ground_under_the_feet_needs_three_frames() -> None:
    deep = replace(GOOD_PERSON, floor_over_foot_depth=2.0)
    assert judge_person(deep, 0.8)[0].grade == 2
    two = np.full(2, 2.0)
    assert judge_person(replace(deep, floor_over_foot_values=two, foot_depths_m=two), 0.8) == []


SHOT_LIMITS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = [
    (
        {"static_disagreement_percent": 7.4}, {"static_disagreement_percent": 7.6},
        {"static_disagreement_percent": 15.4}, "the frames disagree by 15 % about the depth of the still scene",
    ),
    (
        {"log_ratio": 0.09}, {"log_ratio": -0.11}, {"log_ratio": -2.8},
        "the depth of the still scene jumps by a factor of 16.4 at frame 12",
    ),
    (
        {"overhang_share": 0.19}, {"overhang_share": 0.21}, {"overhang_share": 0.41},
        "far parts of the scene stand before near ones in 41 % of the picture",
    ),
    (
        {"camera_extent_m": 0.19}, {"camera_extent_m": 0.21}, {"camera_extent_m": 0.52},
        "the camera stands still in the picture and moves 52 cm in the world",
    ),
    (
        {"shift_percent": 1.7}, {"shift_percent": 1.8}, {"shift_percent": 5.1},
        "still points are seen 5.1 % of the picture away from where the camera puts them",
    ),
    (
        {"scene_level_cm": 11.9}, {"scene_level_cm": 12.1}, {"scene_level_cm": 31.0},
        "the ground around the people lies 31 cm over the floor",
    ),
    (
        {"scene_level_cm": -11.9}, {"scene_level_cm": -12.1}, {"scene_level_cm": -31.0},
        "the ground around the people lies 31 cm under the floor",
    ),
    (
        {"scene_tilt_deg": 6.4}, {"scene_tilt_deg": 6.6}, {"scene_tilt_deg": 16.0},
        "the ground around the people is 16 degrees off the floor",
    ),
]  # fmt: skip


def _shot(changes: dict[str, Any]) -> ShotMeasures:
    shot = GOOD_SHOT
    for name, value in changes.items():
        if hasattr(shot.ground, name):
            shot = replace(shot, ground=replace(shot.ground, **{name: value}))
        elif hasattr(shot.depth_jump, name):
            shot = replace(shot, depth_jump=replace(shot.depth_jump, **{name: value}))
        elif hasattr(shot.stillness, name):
            shot = replace(shot, stillness=replace(shot.stillness, **{name: value}))
        else:
            shot = replace(shot, **{name: value})
    return shot


@pytest.mark.parametrize(("good", "doubtful", "bad", "sentence"), SHOT_LIMITS)
def test_limits_of_shots(good: dict, doubtful: dict, bad: dict, sentence: str) -> None:
    assert judge_shot(_shot(good), FACTS) == []
    (one,) = judge_shot(_shot(doubtful), FACTS)
    (two,) = judge_shot(_shot(bad), FACTS)
    assert (one.grade, two.grade) == (1, 2)
    assert two.sentence == sentence


def test_only_a_still_camera_may_not_move() -> None:
    assert judge_shot(_shot({"camera_extent_m": 9.0, "still_share": 0.59}), FACTS) == []
    assert judge_shot(_shot({"camera_extent_m": 9.0, "still_share": 0.61}), FACTS)[0].grade == 2
    # What the run knows goes before what the pictures show.
    moving = replace(FACTS, camera_still=False)
    assert judge_shot(_shot({"camera_extent_m": 9.0}), moving) == []
    assert judge_shot(_shot({"camera_extent_m": 9.0, "still_share": 0.1}), replace(FACTS, camera_still=True))


@pytest.mark.parametrize(("degrees", "grade"), [(24.9, 1), (25.0, 0), (115.0, 0), (115.2, 1)])
def test_lenses_that_hardly_exist_are_doubtful(degrees: float, grade: int) -> None:
    found = judge_shot(_shot({"field_of_view_deg": degrees}), FACTS)
    assert [finding.grade for finding in found] == [1] * grade
    if found:
        assert found[0].sentence == f"the lens would see {degrees:.0f} degrees across"


def test_a_scene_that_nobody_measures_is_doubtful() -> None:
    (found,) = judge_shot(GOOD_SHOT, replace(FACTS, scale_source="network"))
    assert (found.grade, found.sentence) == (1, "nobody measures the scene, so its size is a guess")
    assert judge_shot(GOOD_SHOT, replace(FACTS, network_ratio=2.0)) == []
    assert judge_shot(GOOD_SHOT, replace(FACTS, network_ratio=0.49))[0].grade == 1
    (far,) = judge_shot(GOOD_SHOT, replace(FACTS, network_ratio=4.1))
    assert far.grade == 2
    assert far.sentence == "the people make the scene 4.1 times as large as the network thinks it is"


PAIR = PairOverlap(
    first=2, second=5, frames=3, share=0.5, box_iou=0.5, contained=0.61, stacked=0.0, landmarks_apart=0.09,
    apart_m=0.1, size_ratio=0.9,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "doubled"),
    [
        ({}, True), ({"frames": 2}, False), ({"share": 0.49}, False), ({"contained": 0.59}, False),
        ({"landmarks_apart": 0.11}, False), ({"landmarks_apart": NAN}, False),
        ({"landmarks_apart": NAN, "stacked": 0.61}, True), ({"landmarks_apart": NAN, "stacked": 0.59}, False),
        ({"stacked": 0.61, "contained": 0.0, "frames": 2}, False),
    ],
)  # fmt: skip
def test_one_person_twice_is_bad_for_both(changes: dict[str, Any], doubled: bool) -> None:
    pairs = [replace(PAIR, **changes)]
    assert judge_pairs(7, pairs, []) == []
    found = [judge_pairs(one, pairs, []) for one in (2, 5)]
    if not doubled:
        assert found == [[], []]
        return
    assert [finding.grade for one in found for finding in one] == [2, 2]
    assert found[0][0].sentence == "person 2 and person 5 are the same person twice"
    assert found[1][0].sentence == "person 5 and person 2 are the same person twice"


SWAP = Swap(first=2, second=5, frame=17, jump_m=0.31, swapped_m=0.1, colour=NAN)


@pytest.mark.parametrize(
    ("changes", "swapped"),
    [
        ({}, True), ({"jump_m": 0.29, "swapped_m": 0.0}, False), ({"swapped_m": 0.104}, False),
        ({"swapped_m": 1.0, "colour": 0.31}, True), ({"swapped_m": 1.0, "colour": 0.29}, False),
    ],
)  # fmt: skip
def test_people_who_change_places_are_bad_both(changes: dict[str, Any], swapped: bool) -> None:
    swaps = [replace(SWAP, **changes)]
    assert judge_pairs(7, [], swaps) == []
    found = [judge_pairs(one, [], swaps) for one in (2, 5)]
    assert [len(one) for one in found] == [int(swapped)] * 2
    if swapped:
        assert found[0][0].sentence == "person 2 and person 5 change places at frame 17" and found[0][0].grade == 2
        assert found[1][0].sentence == "person 5 and person 2 change places at frame 17"


def test_rows_of_the_report() -> None:
    record, body = make_room(num_people=2, num_frames=8)
    valid = np.ones((2, 8), bool)
    valid[1, :3] = False
    record = replace(record, person_valid=valid)
    sigma = np.full((2, 8), 0.0625)
    facts = ShotFacts(focal_source="given", distance_sigma=sigma)
    found = judge(record, body, [facts])
    (shot,) = found.shots
    assert (shot["verdict"], shot["reasons"], shot["frames"], shot["focal_source"]) == ("good", [], 8, "given")
    assert shot["field_of_view_deg"] == pytest.approx(65.24, abs=0.01)
    assert (shot["camera_still"], shot["camera_extent_m"]) == (True, 0.0)
    assert (shot["gravity_known"], shot["floor_known"]) == (True, True)
    assert shot["static_disagreement_percent"] == pytest.approx(0, abs=1e-3)
    assert shot["depth_jump"] == pytest.approx(1, abs=1e-5)
    assert shot["static_shift_percent"] == pytest.approx(0, abs=1e-3)
    first, second = found.people
    assert (first["first_s"], first["last_s"]) == (0.0, pytest.approx(7 / 6))
    assert (second["first_s"], second["last_s"]) == (0.5, pytest.approx(7 / 6))
    assert first["distance_m"] == pytest.approx([np.hypot(0.575, 4)] * 3, abs=1e-5)
    assert first["foot_to_floor_cm"] == pytest.approx(0, abs=1e-3)
    assert first["ray_jitter_cm"] == pytest.approx(0, abs=1e-3) and first["max_speed_m_s"] == 0
    assert 0.9 < first["floor_over_foot_depth"] < 1.1


def test_the_worst_finding_decides_and_every_reason_is_a_warning() -> None:
    record, body = make_room(num_people=2)
    raised = replace(record, floor=record.floor + np.float32([[0, 0, 0, 0.45]]))
    found = judge(raised, body, [ShotFacts()])
    assert found.shots[0]["verdict"] == "bad"
    assert found.shots[0]["reasons"] == ["the ground around the people lies 45 cm over the floor"]
    for row, name in zip(found.people, ("person 3", "person 4"), strict=True):
        assert row["verdict"] == "bad" and f"{name} floats 45 cm over the floor" in row["reasons"]
    reasons = [reason for row in (*found.shots, *found.people) for reason in row["reasons"]]
    assert found.warnings == reasons and len(set(reasons)) == len(reasons)
    doubtful = judge(replace(record, floor=record.floor + np.float32([[0, 0, 0, 0.25]])), body, [ShotFacts()])
    assert doubtful.shots[0]["verdict"] == "doubtful"


def test_shots_are_named_where_there_are_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the pictures of one that is known to stand still are not compared with one another."""
    record, body = make_room(num_people=0, num_frames=12)
    two = replace(
        record, segment=np.repeat([0, 1], 6).astype(np.int32), gravity=record.gravity.repeat(2, 0),
        floor=record.floor.repeat(2, 0),
    )  # fmt: skip
    measure, known = world_checks.measure_pictures, list[bool]()
    monkeypatch.setattr(
        world_checks, "measure_pictures", lambda *args, still: known.append(still) or measure(*args, still=still)
    )
    found = judge(two, body, [ShotFacts(camera_still=True), ShotFacts(scale_source="none")])
    assert known == [True, False]
    assert [row["verdict"] for row in found.shots] == ["good", "doubtful"]
    assert found.warnings == ["shot 2: nobody measures the scene, so its size is a guess"]
    assert found.people == []


def test_certainty_is_the_median_over_valid_frames_of_all_shots() -> None:
    record, body = make_room(num_frames=12)
    two = replace(
        record, segment=np.repeat([0, 1], 6).astype(np.int32), gravity=record.gravity.repeat(2, 0),
        floor=record.floor.repeat(2, 0), person_valid=(np.arange(12) >= 3)[None],
    )  # fmt: skip
    guess = "the size of person 3 is a guess: too little of the body is seen"

    def reasons(*sigma: np.ndarray | None) -> list[str]:
        return judge_people(two, body, [ShotFacts(distance_sigma=one) for one in sigma])[0]["reasons"]

    sure, unsure = np.full((1, 6), 0.05), np.full((1, 6), 0.2)
    # Frames 3 to 11 count: three of the first shot, six of the second.
    assert guess in reasons(sure, unsure) and guess not in reasons(unsure, sure)
    assert guess not in reasons(unsure, None)
    assert guess not in reasons(None, None)


PICTURES: list[tuple[dict[str, Any], dict[str, Any], int, str]] = [
    ({"brightness": 41.0}, {"brightness": 39.0}, 1, "the picture is very dark"),
    ({"brightness": 6.0}, {"brightness": 4.0}, 2, "the picture is very dark"),
    ({"is_round": False}, {"is_round": True}, 2, "the picture is round"),
    ({"enlarged": 1.09}, {"enlarged": 1.84}, 2, "the lens zooms in by a factor of 1.8"),
    ({"enlarged": 0.92}, {"enlarged": 0.5}, 2, "the lens zooms out by a factor of 2.0"),
]


@pytest.mark.parametrize(("usual", "unusual", "grade", "sentence"), PICTURES)
def test_unusual_pictures(usual: dict, unusual: dict, grade: int, sentence: str) -> None:
    def judged(change: dict) -> list[tuple[int, str]]:
        shot = replace(GOOD_SHOT, pictures=replace(GOOD_SHOT.pictures, **change))
        return [(finding.grade, finding.sentence) for finding in judge_pictures(shot)]

    assert all(found < grade for found, _ in judged(usual)) and judge_pictures(GOOD_SHOT) == []
    ((found, said),) = judged(unusual)
    assert found == grade and said.startswith(sentence)


def test_people_who_are_upside_down() -> None:
    for value in (0.0, 0.49, NAN):
        assert judge_pictures(replace(GOOD_SHOT, trunk_down=value)) == []
    (found,) = judge_pictures(replace(GOOD_SHOT, trunk_down=0.51))
    assert found.grade == 1 and found.sentence.startswith("people are upside down in the picture")


def test_half_a_person_and_one_that_never_moves() -> None:
    assert judge_views(GOOD_PERSON) == [] and judge_views(replace(GOOD_PERSON, likeness=NAN)) == []
    assert judge_views(replace(GOOD_PERSON, lower_body_frames=14)) == []
    (half,) = judge_views(replace(GOOD_PERSON, lower_body_frames=15))
    assert (half.grade, half.sentence[:57]) == (1, "person 2 is seen without the upper body in 15 of 48 frame")
    assert judge_views(replace(GOOD_PERSON, likeness=0.9989)) == []
    (stiff,) = judge_views(replace(GOOD_PERSON, likeness=0.9991))
    assert stiff.grade == 1 and stiff.sentence.startswith("person 2 never moves")


def test_reflections() -> None:
    pair = Reflection(first=2, second=5, mirrored=0.9, direct=0.6, movement_cm=8.0)
    for person, other in ((2, 5), (5, 2)):
        (found,) = judge_reflections(person, [pair])
        assert found.sentence.startswith(f"person {person} moves like person {other} in a mirror") and found.grade == 1
    assert judge_reflections(3, [pair]) == []
    for change in ({"mirrored": 0.84}, {"direct": 0.75}, {"movement_cm": 2.9}, {"mirrored": NAN}):
        assert judge_reflections(2, [replace(pair, **change)]) == []


def test_what_is_unusual_reaches_the_report() -> None:
    """Through ``judge``, from the pictures and joints of a record."""
    record, body = make_room(num_people=2, num_frames=8)
    wave = np.random.default_rng(3).normal(0, 0.1, (8, 24, 3)).astype(np.float32)
    wave[:, 0] = 0
    joints = record.joints.copy()
    joints[0] += wave
    joints[1] += wave[:, MIRRORED_JOINTS] * np.float32([-1, 1, 1])
    joints = joints[:, :, :1] + (joints - joints[:, :, :1]) * np.float32([1, -1, 1])
    landmarks = np.full((2, 8, 33, 3), 0.9, np.float32)
    landmarks[..., :2] = np.random.default_rng(4).uniform(20, 60, (2, 1, 33, 2))
    record = replace(record, images=record.images // 32, joints=joints, landmarks_px=landmarks)
    verdicts = judge(record, body, [FACTS])
    shot, people = " ".join(verdicts.shots[0]["reasons"]), [" ".join(row["reasons"]) for row in verdicts.people]
    assert "very dark" in shot and "upside down in the picture" in shot
    assert all("never moves" in reasons and "in a mirror" in reasons for reasons in people)
    assert any("never moves" in warning for warning in verdicts.warnings)
