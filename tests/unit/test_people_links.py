"""The tracker's arithmetic against a plain twin, its limits to the second, and its cost on long videos."""

from __future__ import annotations

import gc
import itertools
import sys

import numpy as np
import pytest
import twins_finding as twins

from unish.people.protocols import Observation, Pose
from unish.people.regions import Region
from unish.people.tracking import HungarianTracker, TrackerConfig
from unish.people.tracklet import Tracklet

SHIPPED = TrackerConfig()


def _look(kind: int, share: float = 1.0, other: int = 5) -> np.ndarray:
    """Unit-sum colours: ``share`` of one kind, the rest of another; likeness to pure ``kind`` is √share."""
    bins = np.zeros(72)
    bins[kind * 12 : kind * 12 + 12] += share / 12
    bins[other * 12 : other * 12 + 12] += (1 - share) / 12
    return bins


def _pose(marks: np.ndarray) -> Pose:
    region = Region(x=50.0, y=50.0, side=80.0)
    return Pose(px=marks.astype(np.float32), world=np.zeros((33, 3), np.float32), score=1.0, region=region,
                next_region=region)  # fmt: skip


def _seen(
    box, *, look: np.ndarray | None = None, score: float = 0.95, pose: Pose | None = None, detected: bool = True
) -> Observation:
    colours = _look(0) if look is None else look
    return Observation(box_xyxy=np.array(box, float), score=score, appearance=colours, pose=pose, detected=detected)


def _standing(x: float, **kwargs) -> Observation:
    return _seen([x - 20, 50, x + 20, 150], **kwargs)


def _random_box(random, near: np.ndarray | None = None) -> np.ndarray:
    if near is None:
        corner = random.uniform(0, 200, 2)
        return np.concatenate([corner, corner + random.uniform(20, 120, 2)])
    return near + random.normal(0, 12, 4) + np.tile(random.normal(0, 12, 2), 2)


@pytest.mark.parametrize("seed", range(60))
def test_the_cost_of_a_link_is_what_the_twin_says(seed):
    random = np.random.default_rng(seed)
    tracklet, boxes, times, looks = Tracklet(segment=0), [], [], []
    time_s, box, marks = 1e5, _random_box(random), None
    for frame in range(seed % 4 + 1):
        boxes.append(box)
        times.append(time_s)
        looks.append(random.dirichlet(np.ones(72)))
        marks = None
        if random.random() < 0.7:
            marks = np.concatenate([random.uniform(0, 120, (33, 2)), random.uniform(0, 1, (33, 1))], axis=1)
        pose = None if marks is None else _pose(marks)
        tracklet.append(frame, time_s, _seen(box, look=looks[-1], pose=pose))
        box, time_s = _random_box(random, near=box), time_s + random.choice([1 / 6, 0.1, 0.5])
    here, look = _random_box(random, near=boxes[-1]), random.dirichlet(np.ones(72))
    new_marks = None
    if marks is not None:
        new_marks = marks + random.normal(0, 3, marks.shape) * [1, 1, 0]
        new_marks[:, 2] = random.uniform(0, 1, 33)
    pose = None if new_marks is None else _pose(new_marks)
    new = _seen(here, look=look, pose=pose)
    cost = HungarianTracker()._link_cost(tracklet, new, time_s)
    rounded = [None if one is None else one.astype(np.float32).astype(float) for one in (marks, new_marks)]
    expected = twins.link_cost(boxes, times, looks, rounded[0], here, time_s, look, rounded[1])
    # Landmarks are single precision: 1e-7 of 100 pixels.
    assert cost > 1 if expected is None else cost == pytest.approx(expected, abs=1e-5)
    assert tracklet.predicted_box(time_s) == pytest.approx(twins.moved_on(boxes, times, time_s), abs=1e-9)


def test_the_twin_sees_links_out_of_reach_and_in_reach():
    """Half of what the test above draws must be in reach, or it would test nothing."""
    tracklet = Tracklet(segment=0)
    tracklet.append(0, 0.0, _seen([0, 0, 30, 40]))
    tracker = HungarianTracker()
    # Reach after one second: a quarter and one and a half diagonals of 50 pixels.
    assert tracker._link_cost(tracklet, _seen([87.4, 0, 117.4, 40]), 1.0) <= 1
    assert tracker._link_cost(tracklet, _seen([87.6, 0, 117.6, 40]), 1.0) > 1
    # Side by exp(0.7 + 0.1) in a tenth of a second and no more.
    for factor, possible in ((0.999, True), (1.001, False)):
        side = np.exp(0.8) * factor
        grown = [15 - 15 * side, 20 - 20 * side, 15 + 15 * side, 20 + 20 * side]
        assert (tracker._link_cost(tracklet, _seen(grown), 0.1) <= 1) == possible


def test_a_person_is_expected_farther_along_the_way():
    """Right of the last place, not left of it: who walks on is the one ahead, not the one behind."""
    tracklet = Tracklet(segment=0)
    tracklet.append(0, 0.0, _standing(100))
    tracklet.append(1, 0.5, _standing(110))
    assert tracklet.predicted_box(1.0).tolist() == [98, 50, 138, 150]
    assert tracklet.predicted_box(0.75).tolist() == [94, 50, 134, 150]
    assert tracklet.predicted_box(2.0).tolist() == [98, 50, 138, 150]
    tracker = HungarianTracker()
    for frame, x in enumerate((100, 110)):
        tracker.update(frame / 2, 0, [_standing(x)])
    # Both are nine pixels from the last place; the one ahead is the same person.
    tracker.update(1.0, 0, [_standing(101), _standing(119)])
    assert tracker.tracklets[0].people[-1].box_xyxy[0] == 99


@pytest.mark.parametrize("fps", [2, 6, 12])
def test_walkers_who_swap_places_keep_their_identities(fps):
    """Alike in everything but their motion, at several rates: without a prediction they exchange identities."""
    step = 60 / fps
    tracker = HungarianTracker()
    meeting = round(150 / step)
    for t in range(2 * meeting + 1):
        tracker.update(t / fps, 0, [_standing(100 + t * step), _standing(400 - t * step)])
    for track in tracker.identities():
        steps = np.diff([track[t].box_xyxy[0] for t in sorted(track)])
        assert len(track) == 2 * meeting + 1 and np.ptp(steps) < 1e-9


@pytest.mark.parametrize(("gap_s", "tracks"), [(1.0, 1), (1.05, 2)])
def test_a_gap_of_one_second_is_bridged_and_no_longer_one(gap_s, tracks):
    tracker = HungarianTracker()
    for frame in range(4):
        tracker.update(frame / 10, 0, [_standing(100)])
    tracker.update(0.35, 0, [])
    tracker.update(0.3 + gap_s, 0, [_standing(100)])
    assert len(tracker.tracklets) == tracks


def test_the_person_of_the_last_frame_goes_on_however_long_that_is_ago():
    tracker = HungarianTracker()
    for t in (0.0, 3.0, 6.0):
        tracker.update(t, 0, [_standing(100)])
    assert [track.frames for track in tracker.tracklets] == [[0, 1, 2]]
    # Not so who was missing in the last frame.
    tracker.update(9.0, 0, [])
    tracker.update(12.0, 0, [_standing(100)])
    assert [track.frames for track in tracker.tracklets] == [[0, 1, 2], [4]]


@pytest.mark.parametrize(("share", "linked"), [(1.0, True), (0.0, False)])
def test_a_dear_link_is_refused(share, linked):
    """At the edge of reach the place is worth little: 1 − 0.6 · 0.05 − 0.4 · likeness is above 0.75 for a stranger."""
    tracker = HungarianTracker()
    tracker.update(0.0, 0, [_standing(100)])
    tracker.update(0.1, 0, [_seen([80 + 39, 50, 120 + 39, 150], look=_look(0, share))])
    assert (len(tracker.tracklets) == 1) == linked


def test_a_good_link_is_not_given_up_for_two_that_barely_go():
    """Somebody who was hardly in view does not take over the one in front because a newcomer could be the latter."""
    tracker = HungarianTracker()
    front, hidden = _look(0), _look(1)
    tracker.update(0.0, 0, [_standing(100, look=front), _standing(130, look=hidden)])
    # The one in front has not moved; far on the other side, just in reach, somebody dressed like the two of them.
    newcomer = _standing(100 - 38, look=_look(0, 0.5, other=1))
    tracker.update(0.1, 0, [newcomer, _standing(100, look=front)])
    first, second = tracker.tracklets[:2]
    assert first.frames == [0, 1] and first.people[1].box_xyxy[0] == 80
    assert len(second.frames) == 1


def test_evidence_of_eight_tenths_in_one_frame_makes_a_person():
    for score, people in ((0.8, 1), (0.79, 0)):
        tracker = HungarianTracker()
        for t, value in enumerate((0.5, score, 0.5)):
            tracker.update(t / 6, 0, [_standing(100, score=value)])
        assert len(tracker.identities()) == people


@pytest.mark.parametrize(
    ("score", "seconds", "people"), [(0.61, 1.0, 1), (0.59, 1.0, 0), (0.61, 0.875, 0), (0.79, 0.5, 0), (0.61, 4.0, 1)]
)
def test_little_doubt_for_a_second_makes_a_person_too(score, seconds, people):
    """A mean of 0.6, not the best frame: half of the frames are a little below."""
    tracker = HungarianTracker()
    frames = round(seconds * 8) + 1
    for t in range(frames):
        tracker.update(1e6 + t / 8, 0, [_standing(100, score=score + (0.009 if t % 2 else -0.009))])
    for t in range(frames, 60):
        tracker.update(1e6 + t / 8, 0, [])
    assert len(tracker.identities()) == people


@pytest.mark.parametrize("frames", [1, 3])
def test_a_shorter_video_asks_for_its_own_length(frames):
    """A single picture has no second to wait for."""
    for score, seen, people in ((0.61, frames, 1), (0.59, frames, 0), (0.61, frames - 1, 0)):
        tracker = HungarianTracker()
        for t in range(frames):
            tracker.update(1e6 + t / 8, 0, [_standing(100, score=score)] if t < seen else [])
        assert len(tracker.identities()) == people


@pytest.mark.parametrize(("blind_s", "looked_for"), [(1.0, 1), (1.01, 0)])
def test_landmarks_alone_are_believed_for_a_second(blind_s, looked_for):
    pose = _pose(np.ones((33, 3)))
    tracker = HungarianTracker()
    tracker.update(0.0, 0, [_standing(100, pose=pose)])
    for t in (0.3, 0.6, 0.9):
        tracker.update(t, 0, [_standing(100, pose=pose, detected=False)])
    assert len(tracker.predict(blind_s, 0)) == looked_for
    assert tracker.tracklets[0].frames == [0, 1, 2, 3]


def test_the_last_known_landmarks_say_where_to_look():
    poses = [_pose(np.full((33, 3), value)) for value in (1.0, 2.0)]
    tracklet = Tracklet(segment=0)
    assert tracklet.last_pose is None and tracklet.last_detected_s == -np.inf
    for frame, pose in enumerate((poses[0], poses[1], None)):
        tracklet.append(frame, float(frame), _standing(100, pose=pose, detected=frame < 2))
    assert tracklet.last_pose is poses[1] and tracklet.last_detected_s == 1.0


def test_the_look_of_a_tracklet_is_the_mean_of_all():
    tracklet = Tracklet(segment=0)
    for frame in range(4):
        tracklet.append(frame, float(frame), _standing(100, look=_look(frame)))
    assert tracklet.appearance() == pytest.approx(sum(_look(kind) for kind in range(4)) / 4)


class _Counted(Observation):
    """Counts how often the tracker reads anything of it."""

    reads = 0

    def __getattribute__(self, name: str):
        _Counted.reads += not name.startswith("__")
        return super().__getattribute__(name)


def _count_steps(action) -> int:
    """Calls of functions, Python's and C's, and reads of observations."""
    count, before = itertools.count(), _Counted.reads
    gc.disable()  # what it finalises would be counted, too
    sys.setprofile(lambda frame, event, argument: next(count) if "call" in event else None)
    try:
        action()
    finally:
        sys.setprofile(None)
        gc.enable()
    return next(count) + _Counted.reads - before


def test_a_long_video_costs_no_more_per_frame():
    """One who stays, and short visitors who come and go: as many steps around frame 120 as around 60."""
    tracker = HungarianTracker()
    steps = []
    for frame in range(141):
        visitor = _Counted(box_xyxy=np.array([300.0 + frame // 10 % 7 * 40, 0, 330.0 + frame // 10 % 7 * 40, 90]),
                           score=0.9, appearance=_look(frame // 10 % 4))  # fmt: skip
        stays = _Counted(box_xyxy=np.array([0.0, 0, 40, 100]), score=0.9, appearance=_look(0))
        people = [stays, visitor] if frame % 10 < 4 else [stays]

        def go(frame=frame, people=people):
            tracker.predict(frame / 2, 0)
            tracker.update(frame / 2, 0, people)

        steps.append(_count_steps(go))
    assert len(tracker.tracklets) == 1 + 15
    assert sum(steps[100:140]) == sum(steps[60:100])
