"""Who is who over the whole video: joined over gaps and cuts, taken apart where a track changed its owner."""

from __future__ import annotations

import time

import numpy as np
import pytest

from unish.people.identity import IdentityConfig, cut_tracks, settle_identities
from unish.people.protocols import Observation
from unish.people.tracking import HungarianTracker
from unish.people.tracklet import Tracklet


def _look(kind: int, share: float = 1.0, other: int = 5) -> np.ndarray:
    """Unit-sum colours: ``share`` of one kind, the rest of another; likeness to pure ``kind`` is √share."""
    bins = np.zeros(72)
    bins[kind * 12 : kind * 12 + 12] += share / 12
    bins[other * 12 : other * 12 + 12] += (1 - share) / 12
    return bins


def _feature(kind: int, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """Unit vectors that are at right angles for different kinds."""
    vector = np.eye(8)[kind] + noise * np.random.default_rng(seed).normal(size=8)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def _seen(x: float, look: np.ndarray, feature: np.ndarray | None = None, *, height: float = 100) -> Observation:
    box = np.array([x - 20, 150 - height, x + 20, 150], float)
    return Observation(box_xyxy=box, score=0.95, appearance=look, features=feature)


def _track(
    frames, look: np.ndarray, feature: np.ndarray | None = None, *, x: float = 100, segment: int = 0
) -> Tracklet:
    track = Tracklet(segment=segment)
    for frame in frames:
        track.append(frame, frame / 6, _seen(x, look, feature))
    return track


def _frames(tracks: list[Tracklet]) -> list[list[int]]:
    return [list(person) for person in settle_identities(tracks)]


@pytest.mark.parametrize(("share", "joined"), [(0.811, True), (0.809, False)])
def test_by_colours_alone_who_comes_back_must_look_nine_tenths_alike(share: float, joined: bool) -> None:
    assert (len(_frames([_track([0, 1], _look(0)), _track([50, 51], _look(0, share))])) == 1) == joined


@pytest.mark.parametrize(("cosine", "joined"), [(0.06, True), (0.04, False)])
def test_image_features_and_colours_are_judged_together(cosine: float, joined: bool) -> None:
    """Of the same colours, which count twice, features must be as much alike as is missing to the least likeness."""
    turned = np.array([cosine, np.sqrt(1 - cosine**2), 0, 0, 0, 0, 0, 0], np.float32)
    found = _frames([_track([0, 1], _look(0), _feature(0)), _track([50, 51], _look(0), turned)])
    assert (len(found) == 1) == joined
    # Somebody without features is compared by colours.
    assert len(_frames([_track([0, 1], _look(0), _feature(0)), _track([50, 51], _look(0))])) == 1


@pytest.mark.parametrize(("lead", "joined"), [(0.021, True), (0.019, False)])
def test_who_comes_back_must_be_clearly_the_best(lead: float, joined: bool) -> None:
    """Likeness 1 to the first and 1 − lead to the second of two who were there together."""
    others = [_track([0, 1], _look(0)), _track([0, 1], _look(0, (1 - lead) ** 2), x=300)]
    for order in (others, others[::-1]):
        found = _frames([*order, _track([50, 51], _look(0), x=200)])
        assert sorted(found) == ([[0, 1], [0, 1, 50, 51]] if joined else [[0, 1], [0, 1], [50, 51]])


def test_two_who_come_back_together_are_told_apart_together() -> None:
    """Each of them looks a little like the other one, but an exchange is clearly worse."""
    first, second = _look(0), _look(0, 0.95)
    found = _frames([_track([0, 1], first), _track([0, 1], second, x=300), _track([50, 51], second, x=200),
                     _track([50, 51], first, x=400)])  # fmt: skip
    assert found == [[0, 1, 50, 51]] * 2
    people = settle_identities([_track([0, 1], first), _track([0, 1], second, x=300), _track([50, 51], second, x=200),
                                _track([50, 51], first, x=400)])  # fmt: skip
    assert all(np.ptp([seen.appearance[0] for seen in person.values()]) < 1e-9 for person in people)
    # Whose exchange makes no difference stay apart.
    twins = [_track([0, 1], first), _track([0, 1], first, x=300), _track([50, 51], first, x=200),
             _track([50, 51], first, x=400)]  # fmt: skip
    assert len(_frames(twins)) == 4


def test_nobody_is_twice_in_one_frame() -> None:
    """A track that begins in another's last frame is somebody else; one that begins in its gap may be the same."""
    first = _track([0, 1, 6, 7], _look(0))
    assert len(_frames([first, _track([7, 8], _look(0), x=300)])) == 2
    assert len(_frames([first, _track([8, 9], _look(0))])) == 1
    assert len(_frames([first, _track([2, 3], _look(0))])) == 1
    rng = np.random.default_rng(0)
    tracks = [
        _track(np.flatnonzero(rng.random(60) < 0.2).tolist() or [0], _look(0), x=50 * number) for number in range(12)
    ]
    people = settle_identities(tracks)
    # A frame of each track is in exactly one person, and no person has a frame of two tracks.
    assert sum(map(len, people)) == sum(len(track.frames) for track in tracks)


def test_a_person_is_as_alike_as_the_pieces_are_on_average() -> None:
    parts = [_track([50 * k], _look(0, share)) for k, share in enumerate((1.0, 0.85, 0.7))]
    # The last two are most alike (.98), and the first is like the one (.92) but not like the other (.84).
    assert _frames(parts) == [[0], [50, 100]]
    assert _frames(parts[:2]) == [[0, 50]] and _frames(parts[::2]) == [[0], [100]]
    assert settle_identities([]) == []


def test_people_come_in_order_of_first_appearance() -> None:
    assert _frames([_track([9, 10], _look(1)), _track([3, 4], _look(0))]) == [[3, 4], [9, 10]]


def test_who_comes_back_to_the_same_place_at_once_may_look_a_little_different() -> None:
    """As somebody does who turns around behind a pillar; not after a while, elsewhere, larger, or in another shot."""
    before, other = _track([0, 1], _look(0)), _look(0, 0.78)
    assert len(_frames([before, _track([9, 10], other)])) == 1
    assert len(_frames([before, _track([40, 41], other)])) == 2
    assert len(_frames([before, _track([9, 10], other, x=400)])) == 2
    assert len(_frames([before, _track([9, 10], other, segment=1)])) == 2


@pytest.mark.parametrize(("x", "joined"), [(115, True), (124.5, False)])
@pytest.mark.parametrize("larger_first", [True, False])
def test_the_same_place_is_within_half_of_the_smaller_box(x: float, joined: bool, larger_first: bool) -> None:
    """Square roots of areas: 63 and 77 pixels. The middles are 29 pixels apart, and 35."""
    boxes = [(100.0, 100.0), (x, 150.0)][:: -1 if larger_first else 1]
    tracks = [Tracklet(segment=0), Tracklet(segment=0)]
    for first, look, track, (at, height) in zip((0, 9), (_look(0), _look(0, 0.78)), tracks, boxes, strict=True):
        for frame in (first, first + 1):
            track.append(frame, frame / 6, _seen(at, look, height=height))
    assert (len(_frames(tracks)) == 1) == joined


def _walk(looks, features, xs) -> Tracklet:
    track = Tracklet(segment=0)
    for frame, (look, feature, x) in enumerate(zip(looks, features, xs, strict=True)):
        track.append(frame, frame / 6, _seen(x, look, feature))
    return track


def test_tracks_that_changed_owners_where_two_met_are_put_right() -> None:
    """Both tracks go on with the other one's body after frames in which their boxes overlap."""
    kinds = np.array([0] * 9 + [1] * 9)
    way = np.linspace(-1, 1, 18)
    tracks = [
        _walk([_look(k) for k in order], [_feature(k, 0.2, t) for t, k in enumerate(order)], 200 + side * 150 * way)
        for order, side in ((kinds, 1), (1 - kinds, -1))
    ]
    people = settle_identities(tracks)
    assert [len(person) for person in people] == [18, 18]
    for person in people:
        clear = [seen.appearance.argmax() for frame, seen in person.items() if abs(way[frame]) > 0.3]
        assert len(set(clear)) == 1


def test_a_track_that_jumps_to_another_body_is_two_people() -> None:
    for features in (None, 1):
        kinds, xs = [0] * 8 + [1] * 8, [100.0] * 8 + [190.0] * 8
        track = _walk(
            [_look(kind) for kind in kinds], [None if features is None else _feature(kind) for kind in kinds], xs
        )
        assert _frames([track]) == [list(range(8)), list(range(8, 16))]
    # The same body that jumps stays one person, and so does one whose light changes while nothing else does.
    assert len(_frames([_walk([_look(0)] * 16, [None] * 16, xs)])) == 1
    assert len(_frames([_walk([_look(kind) for kind in kinds], [None] * 16, [100.0] * 16)])) == 1


def test_where_tracks_are_cut() -> None:
    config = IdentityConfig()
    gap, still = _track([0, 1, 2, 5, 6], _look(0)), _track(range(7), _look(0), x=300)
    assert [piece.frames for piece in cut_tracks([gap, still], config)] == [[0, 1, 2], [5, 6], list(range(7))]
    grown = Tracklet(segment=0)
    for frame in range(6):
        grown.append(frame, frame / 6, _seen(100, _look(0), height=100 if frame < 3 else 130))
    assert [piece.frames for piece in cut_tracks([grown], config)] == [[0, 1, 2], [3, 4, 5]]
    # Somebody near all the time: what is described is not clear anywhere, and there is no place to cut.
    both = [_track(range(4), _look(0)), _track(range(4), _look(1), x=110)]
    assert [piece.num_clear for piece in cut_tracks(both, config)] == [4, 4]


def test_the_same_people_after_a_cut_back_and_others_in_between() -> None:
    tracker = HungarianTracker()
    cast = {0: (0, 1), 1: (2, 3), 2: (0, 1)}
    for frame in range(36):
        segment = frame // 12
        people = [_seen(100 + 150 * place, _look(4, 0.9, other=kind), _feature(kind, 0.2, frame)) for place, kind
                  in enumerate(cast[segment][:: 1 if segment < 2 else -1])]  # fmt: skip
        tracker.update(frame / 6, segment, people)
    people = tracker.identities()
    assert [len(person) for person in people] == [24, 24, 12, 12]
    assert all(len({int(seen.features.argmax()) for seen in person.values()}) == 1 for person in people)


def test_time_grows_with_the_square_of_the_tracks_at_most() -> None:
    def measure(number: int) -> float:
        tracks = [_track([3 * k, 3 * k + 1], _look(k % 4, 0.999, other=4), _feature(k % 8)) for k in range(number)]
        start = time.process_time()
        settle_identities(tracks)
        return time.process_time() - start

    measure(50)
    assert measure(600) < 16 * max(measure(200), 0.01)


def test_the_limits_that_were_measured_with() -> None:
    """See docs/research/identity.md."""
    config = IdentityConfig()
    assert (config.colour_weight, config.min_likeness, config.min_colours, config.clear_lead) == (2.0, 2.05, 0.9, 0.1)
    assert (config.same_track, config.same_short_track, config.same_place, config.place_s) == (0.3, 0.2, 0.3, 5.0)
    assert (config.min_clean, config.touching, config.max_growth, config.max_leap) == (1, 0.1, 1.25, 0.5)
