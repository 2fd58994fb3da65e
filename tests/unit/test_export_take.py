"""Takes: one timeline, one set of axes, feet that stay, and gaps that stay gaps."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from golden_scene import DOWN, FLOOR, GAP, NUM_FRAMES, PERSON_IDS, STEP, from_export, make_scene
from small_record import make_figure, make_record
from squatting_record import NAMES, find_sole_points, make_squat
from striding_record import list_stances, make_stride
from unish.body import Body, load_body
from unish.errors import InputError
from unish.export.feet import PLANTED
from unish.export.options import RIGS, SMOOTH, SOURCE, WHOLE, ExportOptions
from unish.export.take import Take, _note_feet, make_take
from unish.export.timeline import choose_smooth_fps, find_runs, make_timeline, measure_source_fps
from unish.structs import Reconstruction

LEVEL = ExportOptions(fps=SOURCE, up="y", gravity=True)


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body("free")


@pytest.fixture(scope="module")
def scene(body: Body) -> Reconstruction:
    return make_scene(body)


@pytest.fixture(scope="module")
def squat(body: Body) -> Reconstruction:
    return make_squat(body)


def keys_of(take: Take, record: Reconstruction) -> np.ndarray:
    """The frame of the take at the time of each of the record's."""
    times = record.timestamps_s - take.start_s
    keys = np.abs(take.times_s[:, None] - times).argmin(axis=0)
    np.testing.assert_allclose(take.times_s[keys], times, atol=1e-9)
    return keys


@pytest.mark.parametrize("fps", [None, SOURCE, SMOOTH, 60.0])
def test_the_reconstruction_is_in_the_take(scene: Reconstruction, body: Body, fps: float | str | None) -> None:
    """At its own times, whatever is in between."""
    take = make_take(scene, body, replace(LEVEL, fps=fps))
    keys = keys_of(take, scene)
    np.testing.assert_allclose(take.c2w[keys, :3, 3], take.place(scene.c2w[:, :3, 3]), atol=1e-6)
    for row, person in enumerate(take.people):
        valid = scene.person_valid[row]
        np.testing.assert_array_equal(person.valid[keys], valid)
        np.testing.assert_allclose(person.joints[keys][valid], take.place(scene.joints[row, valid]), atol=1e-5)
        np.testing.assert_allclose(person.pelvis[keys][valid] - take.place(scene.joints[row, valid, 0]), 0.0, atol=1e-5)


def test_gaps_stay_gaps(scene: Reconstruction, body: Body) -> None:
    first, second = make_take(scene, body, LEVEL).people
    assert first.gaps() == []
    assert second.gaps() == [((GAP[0] - 1) * STEP + 1, (GAP[1] + 1) * STEP - 1)]
    for values in (second.rotations, second.pelvis, second.joints):
        np.testing.assert_array_equal(np.isfinite(values).reshape(len(values), -1).all(axis=1), second.valid)
        assert np.isnan(values[~second.valid]).all()


def test_bridges_are_straight_and_wait_at_the_ends(scene: Reconstruction, body: Body) -> None:
    valid = scene.person_valid.copy()
    valid[1, :2] = False
    person = make_take(replace(scene, person_valid=valid), body, LEVEL).people[1]
    bridged = person.bridged()
    np.testing.assert_array_equal(bridged.valid, person.valid)
    np.testing.assert_allclose(bridged.joints[person.valid], person.joints[person.valid], atol=1e-9)
    np.testing.assert_array_equal(bridged.pelvis[: 2 * STEP], np.repeat(person.pelvis[[2 * STEP]], 2 * STEP, axis=0))
    start, stop = person.gaps()[1]
    steps = np.diff(bridged.pelvis[start - 1 : stop + 2], axis=0)
    np.testing.assert_allclose(steps, np.repeat(steps[:1], len(steps), axis=0), atol=1e-9)
    turns = bridged.rotations[start - 1 : stop + 1].mT @ bridged.rotations[start : stop + 2]
    angles = Rotation.from_matrix(turns.reshape(-1, 3, 3)).magnitude().reshape(len(turns), 24)
    np.testing.assert_allclose(angles, np.repeat(angles[:1], len(angles), axis=0), atol=1e-6)


def test_filled_frames_are_told_from_observed_ones(scene: Reconstruction, body: Body) -> None:
    filled = np.zeros_like(scene.person_filled)
    filled[0, 3], valid = True, scene.person_valid.copy()
    valid[0, 3] = False
    person = make_take(replace(scene, person_filled=filled, person_valid=valid), body, LEVEL).people[0]
    assert person.valid.all()
    assert find_runs(~person.observed) == [(2 * STEP + 1, 4 * STEP - 1)]


@pytest.mark.parametrize("fps", [30.0, 60.0, 24.0, 25.0])
@pytest.mark.parametrize("person", [0, 1])
def test_planted_feet_stay(squat: Reconstruction, body: Body, fps: float, person: int) -> None:
    """On their spot; without contacts, as where nobody looked for them, they slide by centimetres."""
    planted = (squat.contact_prob[person] > PLANTED).all(axis=0)
    slides = []
    for record in (squat, replace(squat, contact_prob=None, contact_names=None)):
        moving = make_take(record, body, ExportOptions(fps=fps)).people[person]
        points = find_sole_points(body, moving.betas, moving.rotations, moving.pelvis)[:, planted]
        slides.append(np.linalg.norm(points - points[0], axis=-1).max())
    assert slides[0] < 1e-5 and slides[1] > 0.03  # metres; measured: 2e-7, and 0.07 to 0.15


@pytest.mark.parametrize("fps", [None, SMOOTH])
def test_locked_feet_have_one_spot(body: Body, fps: str | None) -> None:
    """Where the result lets them slide; and nobody is moved by more than that asks for."""
    record = make_stride(body, sway_m=0.03)
    slides = {}
    for lock in (False, True):
        take = make_take(record, body, ExportOptions(fps=fps, lock_feet=lock))
        (person,) = take.people
        points, keys = find_sole_points(body, person.betas, person.rotations, person.pelvis), keys_of(take, record)
        stances = [points[keys[first] : keys[last] + 1, part] for part, first, last in list_stances(record, 0)]
        slides[lock] = max(np.linalg.norm(stance - stance.mean(axis=0), axis=1).max() for stance in stances)
        apart = np.linalg.norm(person.joints[keys] - record.joints[0], axis=-1)
        assert apart.max() == pytest.approx(person.moved_m, abs=1e-5)
        assert (0.01 < person.moved_m < 0.05) if lock else person.moved_m == 0
        assert any("locked" in note for note in take.notes) == lock
    assert slides[True] < 1e-6 < 0.01 < slides[False], slides


@pytest.mark.parametrize("end", [0, 1], ids=["first", "last"])
def test_heel_and_toes_that_stand_for_a_while_together_are_both_locked(body: Body, end: int) -> None:
    """A heel that touches in one frame of its toes alone: their spots are farther apart than a foot is long."""
    record = make_stride(body, sway_m=0.1)
    contacts = record.contact_prob.copy()
    contacts[..., [0, 2]] = 0.0
    stances = [(toe, *run) for toe in (1, 3) for run in find_runs(contacts[0, :, toe] > PLANTED)]
    for toe, *run in stances:
        contacts[0, run[end], toe - 1] = 1.0
    before, points = (
        find_sole_points(body, person.betas, person.rotations, person.pelvis)
        for lock in (False, True)
        for person in make_take(replace(record, contact_prob=contacts), body, ExportOptions(lock_feet=lock)).people
    )
    slides = [np.ptp(points[first : last + 1, toe], axis=0).max() for toe, first, last in stances]
    assert len(slides) > 4 and max(slides) < 1e-6, slides
    moved = [
        [np.linalg.norm((points - before)[frames, part].mean(axis=0)) for part, frames in parts]
        for toe, *run in stances
        for parts in [((toe, slice(run[0], run[1] + 1)), (toe - 1, slice(run[end], run[end] + 1)))]
    ]
    toes, heels = np.sum(moved, axis=0)
    lengths = [np.linalg.norm(points[:, toe] - points[:, toe - 1], axis=-1) for toe in (1, 3)]
    assert np.min(lengths) > 0.96 * np.median(lengths), "toes bend a little, but do not fold under the foot"
    assert toes < 0.6 * heels, "what stands in one frame gives way to what stands in several"


@pytest.mark.parametrize("rig", RIGS)
def test_feet_are_locked_for_rigs_of_other_programs(body: Body, rig: str) -> None:
    """SMPL's own skeleton keeps the joints of the result, and who says so has it otherwise."""
    record = make_stride(body, sway_m=0.03)
    moved = {
        lock: make_take(record, body, ExportOptions(rig=rig, lock_feet=lock)).people[0].moved_m
        for lock in (None, False, True)
    }
    assert moved[False] == 0 < moved[True] and moved[None] == moved[rig != "smpl"]


def test_what_moves_fast_does_not_stand(squat: Reconstruction, body: Body) -> None:
    """Whatever is said of it: no foot is held on a line in a jump of half a metre."""
    transl = squat.transl.copy()
    transl[0, 5:, 0] += 0.5
    jumping = replace(squat, transl=transl, joints=squat.joints + (transl - squat.transl)[:, :, None])
    take = make_take(jumping, body, ExportOptions(fps=30))
    free = make_take(replace(jumping, contact_prob=None, contact_names=None), body, ExportOptions(fps=30))
    between = slice(4 * STEP + 1, 5 * STEP)
    np.testing.assert_allclose(take.people[0].joints[between], free.people[0].joints[between], atol=1e-4)


def test_a_note_tells_of_feet_that_were_locked_alone(squat: Reconstruction, body: Body) -> None:
    """Not that joints are up to 0.0 cm off."""
    person, *_ = make_take(squat, body, ExportOptions()).people
    for moved_m, said in ((0.0004, "Nothing had to be locked"), (0.012, "up to 1.2 cm off")):
        (note,) = _note_feet(squat, [replace(person, moved_m=moved_m)], ExportOptions(lock_feet=True))
        assert said in note


def test_locking_changes_nothing_of_feet_that_stand(squat: Reconstruction, body: Body) -> None:
    """And fades where they are lifted: a frame in the air far from any stance is as it was."""
    as_it_is, locked = (make_take(squat, body, ExportOptions(lock_feet=lock)) for lock in (False, True))
    for before, after in zip(as_it_is.people, locked.people, strict=True):
        np.testing.assert_allclose(after.joints, before.joints, atol=1e-5)
    stride = make_stride(body, sway_m=0.03)
    lifted = stride.contact_prob.copy()
    lifted[:, 12:24] = 0.0
    air = replace(stride, contact_prob=lifted)
    before, after = (make_take(air, body, ExportOptions(lock_feet=lock)).people[0].joints for lock in (False, True))
    np.testing.assert_allclose(after[14:22], before[14:22], atol=1e-9)
    assert np.abs(after[:12] - before[:12]).max() > 0.01


def test_held_legs_do_not_jump(squat: Reconstruction, body: Body) -> None:
    """At frames of the reconstruction nothing was changed, and the way there is continuous, pelvis and knees alike."""
    take = make_take(squat, body, ExportOptions(fps=600))
    for person in take.people:
        steps = np.linalg.norm(np.diff(person.joints, axis=0), axis=-1)
        assert steps.max() < 0.08  # measured: 0.042 m, of a straight knee as it begins to bend


def test_what_was_not_seen_does_not_stand(squat: Reconstruction, body: Body) -> None:
    """NaN, and names of contacts that are not those of feet."""
    unknown = replace(squat, contact_prob=np.full_like(squat.contact_prob, np.nan))
    other = replace(squat, contact_names=np.array([f"{name}_of_a_chair" for name in NAMES]))
    free = replace(squat, contact_prob=None, contact_names=None)
    expected = make_take(free, body, LEVEL).people[0].joints
    for record in (unknown, other):
        np.testing.assert_array_equal(make_take(record, body, LEVEL).people[0].joints, expected)


def test_bodies_without_soles_are_not_held() -> None:
    figure = make_figure()
    record = make_record(figure)
    contacts = np.ones((2, 6, 4), np.float32)
    take = make_take(replace(record, contact_prob=contacts, contact_names=np.array(NAMES)), figure, LEVEL)
    assert np.isfinite(take.people[1].joints).all() and take.people[1].contact_prob is not None


@pytest.mark.parametrize(
    ("source", "smooth"),
    [
        (24, 48),
        (25, 50),
        (23.976, 47.952),
        (29.97, 29.97),
        (30, 30),
        (15, 30),
        (6, 30),
        (7, 35),
        (59.94, 59.94),
        (120, 120),
    ],
)
def test_smooth_rates_are_multiples_of_the_source(source: float, smooth: float) -> None:
    assert choose_smooth_fps(source) == pytest.approx(smooth)


def test_rates_by_name(scene: Reconstruction) -> None:
    frames = slice(0, NUM_FRAMES)
    ntsc = replace(scene, timestamps_s=scene.timestamps_s * 1.001)
    assert measure_source_fps(ntsc, frames) == pytest.approx(30000 / 1001, rel=1e-12)
    assert make_timeline(ntsc, frames, SMOOTH).fps == pytest.approx(29.97, abs=1e-3)
    assert make_timeline(ntsc, frames, WHOLE).fps == 30.0
    assert np.isnan(make_timeline(ntsc, frames, None).fps)
    slow = replace(scene, frame_indices=np.arange(NUM_FRAMES))
    assert [make_timeline(slow, frames, name).fps for name in (SOURCE, SMOOTH, 24.0)] == [6.0, 30.0, 24.0]
    assert measure_source_fps(scene, slice(3, 4)) == 30.0


def test_the_last_frame_is_there_and_none_after_it(scene: Reconstruction) -> None:
    for fps in (7.0, 24.0, 25.0, 30.0, 48.0, 60.0, 1000.0):
        times = make_timeline(scene, slice(0, NUM_FRAMES), fps).times_s
        assert 0 <= 2.0 - times[-1] < 1 / fps - 1e-9 or times[-1] == pytest.approx(2.0)
        np.testing.assert_allclose(np.diff(times), 1 / fps)


def test_uneven_frames_are_met_at_their_times(scene: Reconstruction, body: Body) -> None:
    """A variable rate: what lies between two frames is nearer to the nearer one."""
    times = scene.timestamps_s + 0.04 * np.sin(np.arange(NUM_FRAMES))
    take = make_take(replace(scene, timestamps_s=times), body, replace(LEVEL, fps=200.0))
    keys = times - times[0]
    nearest = np.abs(take.times_s[:, None] - keys).argmin(axis=0)
    expected = take.place(scene.joints[0])
    np.testing.assert_allclose(take.people[0].joints[nearest], expected, atol=0.01)  # 2.5 ms at up to 2 m/s


def test_one_frame_and_nobody(body: Body) -> None:
    lonely = make_record(body, num_people=0, num_frames=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        take = make_take(lonely, body, LEVEL)
    assert take.num_frames == 1 and take.people == () and take.fps == 30.0 and np.isnan(take.used_fps)


@pytest.mark.parametrize("up", ["y", "z"])
def test_level_worlds_have_the_floor_at_zero(scene: Reconstruction, body: Body, up: str) -> None:
    take = make_take(scene, body, ExportOptions(up=up, gravity=True))
    axis = {"y": 1, "z": 2}[up]
    below = DOWN * FLOOR[3]
    np.testing.assert_allclose(take.place(below)[axis], 0.0, atol=1e-6)
    np.testing.assert_allclose(take.gravity, -np.eye(3)[axis], atol=1e-6)
    np.testing.assert_allclose(take.floor, [*np.eye(3)[axis], 0.0], atol=1e-6)
    np.testing.assert_allclose(from_export(take.place(scene.joints[0]), up), scene.joints[0], atol=1e-5)
    assert take.levelled and np.linalg.det(take.placement[:3, :3]) == pytest.approx(1.0)


def test_other_worlds_are_as_they_were(scene: Reconstruction, body: Body) -> None:
    as_it_is = make_take(scene, body, ExportOptions())
    np.testing.assert_array_equal(as_it_is.placement, np.eye(4))
    upright = make_take(scene, body, ExportOptions(up="y"))
    np.testing.assert_array_equal(upright.placement, np.diag([1.0, -1, -1, 1]))
    assert not as_it_is.levelled and not upright.levelled


def test_what_is_not_known_is_said(scene: Reconstruction, body: Body) -> None:
    unknown = replace(scene, gravity=np.full((1, 3), np.nan, np.float32), floor=np.full((1, 4), np.nan, np.float32))
    take = make_take(unknown, body, LEVEL)
    assert not take.levelled
    assert any("Gravity is not known" in note for note in take.notes)
    assert any("No floor was found" in note for note in take.notes)
    heights = np.concatenate([person.joints[person.valid][..., 1] for person in take.people])
    assert 0.0 < np.percentile(heights.min(axis=1), 5) < 0.1
    empty = make_take(replace(unknown, person_valid=np.zeros_like(scene.person_valid)), body, LEVEL)
    assert any("that of the first camera" in note for note in empty.notes) and empty.people == ()


def test_sparse_results_name_the_way_to_more(scene: Reconstruction, body: Body) -> None:
    (note,) = make_take(scene, body, LEVEL).notes
    assert "30 frames a second were interpolated from 6" in note and "--fps 30" in note
    (all_there_is,) = make_take(replace(scene, frame_indices=np.arange(NUM_FRAMES)), body, replace(LEVEL, fps=30)).notes
    assert "all that the video has" in all_there_is
    assert make_take(scene, body, ExportOptions()).notes == ()
    (feet,) = make_take(replace(scene, contact_prob=None), body, ExportOptions()).notes
    assert "contacts" in feet


@pytest.mark.parametrize("up", ["y", "z"])
def test_people_in_place_stay_over_the_origin(scene: Reconstruction, body: Body, up: str) -> None:
    travelling, still = (
        make_take(scene, body, ExportOptions(up=up, gravity=True, in_place=there)).people[0] for there in (False, True)
    )
    axis = {"y": 1, "z": 2}[up]
    np.testing.assert_array_equal(np.delete(still.pelvis, axis, axis=1), 0.0)
    np.testing.assert_allclose(still.pelvis[:, axis], travelling.pelvis[:, axis])
    relative = [person.joints - person.pelvis[:, None] for person in (travelling, still)]
    np.testing.assert_allclose(relative[0], relative[1], atol=1e-12)


def test_people_are_chosen_by_identity(scene: Reconstruction, body: Body) -> None:
    take = make_take(scene, body, ExportOptions(people=(PERSON_IDS[1],)))
    assert [person.person_id for person in take.people] == [PERSON_IDS[1]]
    with pytest.raises(InputError, match=r"no person 5; there are 4, 7"):
        make_take(scene, body, ExportOptions(people=(4, 5)))
    with pytest.raises(InputError, match=r"shot 1: there are 1"):
        make_take(scene, body, ExportOptions(shot=1))


def test_shots_are_worlds_of_their_own(scene: Reconstruction, body: Body) -> None:
    segment = np.repeat([0, 1], [6, NUM_FRAMES - 6]).astype(np.int32)
    two = replace(scene, segment=segment, gravity=np.tile(scene.gravity, (2, 1)), floor=np.tile(scene.floor, (2, 1)))
    first, second = (make_take(two, body, replace(LEVEL, shot=shot)) for shot in (0, 1))
    assert (first.num_frames, second.num_frames) == (5 * STEP + 1, (NUM_FRAMES - 7) * STEP + 1)
    assert second.start_s == scene.timestamps_s[6] and second.times_s[0] == 0
    np.testing.assert_allclose(second.people[0].joints[0], second.place(scene.joints[0, 6]), atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fps": 0}, "fps is 0"), ({"fps": float("nan")}, "fps is nan"), ({"fps": "fast"}, "fps is 'fast'"),
        ({"up": "x"}, "up is 'x'"), ({"gravity": True}, "one axis must be up"), ({"rig": "dog"}, "rig is 'dog'"),
        ({"shot": -1}, "shot is -1"),
    ],
)  # fmt: skip
def test_options_that_mean_nothing(wrong: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ExportOptions(**wrong)
