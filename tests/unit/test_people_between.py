"""Frames that the detector is not shown: people come out as if it had seen them all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from unish.people import PeopleConfig, PeopleModels, find_people
from unish.people.between import interpolate_detections
from unish.people.protocols import Detection, Pose
from unish.structs import Clip

NUM_FRAMES = 24
WIDTH = 12.0


def _clip() -> Clip:
    """The first pixel of each frame is its number."""
    images = torch.zeros(NUM_FRAMES, 60, 160, 3, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(NUM_FRAMES)
    return Clip(
        images=images,
        timestamps_s=torch.arange(NUM_FRAMES, dtype=torch.float64) / 6,
        frame_indices=torch.arange(NUM_FRAMES),
        segment=torch.zeros(NUM_FRAMES, dtype=torch.int64),
        source_size=(60, 160),
    )


class World:
    """Detector and landmark model of people whose middles are known: (frames, people), NaN where they are away.

    In ``restless`` frames a reading lies half way between the person and the middle of where it was looked for.
    """

    def __init__(self, middles: np.ndarray, restless: frozenset[int] = frozenset()) -> None:
        self.middles, self.shown, self.restless = middles, list[int](), restless

    def _boxes(self, frame: int) -> list[np.ndarray]:
        present = self.middles[frame][np.isfinite(self.middles[frame])]
        return [np.array([x - WIDTH / 2, 8.0, x + WIDTH / 2, 52.0]) for x in present.tolist()]

    def detect(self, images: torch.Tensor) -> list[list[Detection]]:
        frames = images[:, 0, 0, 0].tolist()
        self.shown += frames
        return [[Detection(box_xyxy=box, score=0.9) for box in self._boxes(frame)] for frame in frames]

    def read_pose(self, picture: torch.Tensor, region) -> Pose:
        """Reads whoever is nearest to the middle of the region, if that is near."""
        frame = round(float(picture[0, 0, 0]) * 255)
        boxes = self._boxes(frame)
        middles = np.array([(box[:2] + box[2:]) / 2 for box in boxes]).reshape(-1, 2)
        away = np.linalg.norm(middles - [region.x, region.y], axis=-1)
        score = 0.95 if len(boxes) and away.min() < region.side / 3 else 0.0
        x, y = middles[away.argmin()] if score else (region.x, region.y)
        x = (x + region.x) / 2 if frame in self.restless else x
        spread = np.linspace(-0.49, 0.49, 33)
        px = np.stack([x + WIDTH * np.sin(9 * spread) / 2, y + 44 * spread, np.ones(33)], axis=1).astype(np.float32)
        around = replace(region, x=float(x), y=float(y), side=55.0)
        return Pose(px=px, world=px, score=score, region=region, next_region=around)


class NoSupport:
    def detect(self, images: torch.Tensor) -> list[list[Detection]]:
        return [[] for _ in images]


def _find(middles: np.ndarray, *, sparing: bool, restless: frozenset[int] = frozenset()):
    world = World(middles, restless)
    models = PeopleModels(detector=world, support=NoSupport(), landmarks=world)
    config = PeopleConfig(spares_detector=sparing)
    return *find_people(_clip(), mask_size=(6, 16), models=models, config=config), world.shown


def _walk(start: float, speed: float, first: int = 0, stop: int = NUM_FRAMES) -> np.ndarray:
    frames = np.arange(NUM_FRAMES)
    return np.where((frames >= first) & (frames < stop), start + speed * frames, np.nan)


SCENES = {
    "one who stands": [_walk(40, 0.1)],
    "two apart": [_walk(40, 0.2), _walk(110, -0.3)],
    "one who comes between two frames that are shown": [_walk(40, 0.1), _walk(100, 0.2, first=9)],
    "one who goes": [_walk(40, 0.1), _walk(100, 0.2, stop=14)],
    "two who meet": [_walk(40, 1.5), _walk(90, -1.0)],
    "a quick one": [_walk(20, 5.0)],
    "one who walks": [_walk(30, 1.3)],
    "nobody, then somebody": [_walk(80, 0.1, first=6)],
}


@pytest.mark.parametrize("restless", [(), (5, 10, 13)], ids=["", "restless"])
@pytest.mark.parametrize("scene", SCENES)
def test_people_are_those_that_a_detector_of_every_frame_finds(scene, restless):
    middles = np.stack(SCENES[scene], axis=1)
    tracks, landmarks, shown = _find(middles, sparing=False, restless=frozenset(restless))
    spared, spared_landmarks, spared_shown = _find(middles, sparing=True, restless=frozenset(restless))
    assert tracks.num_people == len(SCENES[scene]) and shown == list(range(NUM_FRAMES))
    assert torch.equal(tracks.person_ids, spared.person_ids) and torch.equal(tracks.valid, spared.valid)
    torch.testing.assert_close(spared.boxes_xyxy, tracks.boxes_xyxy, equal_nan=True, rtol=0, atol=0)
    torch.testing.assert_close(spared_landmarks.px, landmarks.px, equal_nan=True, rtol=0, atol=0)
    assert len(set(spared_shown)) == len(spared_shown), "no frame is shown twice"


def test_half_of_the_frames_are_spared_where_people_keep_apart():
    for scene in ("one who stands", "two apart"):
        assert len(_find(np.stack(SCENES[scene], axis=1), sparing=True)[2]) == NUM_FRAMES // 2


def test_a_frame_in_which_landmarks_lose_somebody_is_shown():
    middles = np.stack([_walk(40, 0.0)], axis=1)
    middles[10] = 120.0  # far from where the frames around it show the person
    assert 10 in _find(middles, sparing=True)[2]


def _detections(*boxes: tuple[float, float], score: float = 0.9) -> list[Detection]:
    return [Detection(box_xyxy=np.array([left, 0.0, right, 40.0]), score=score) for left, right in boxes]


def test_guesses_lie_on_the_way_and_are_no_surer_than_either_end():
    first, last = _detections((0, 10), (50, 60)), _detections((53, 63), (2, 12), score=0.7)
    between = interpolate_detections(first, last, 1 / 3)
    assert between is not None and [one.score for one in between] == [0.7, 0.7]
    np.testing.assert_allclose([one.box_xyxy[0] for one in between], [2 / 3, 51])


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (_detections((0, 10)), _detections((0, 10), (50, 60))),
        (_detections((0, 10), score=0.4), _detections((0, 10))),
        (_detections((0, 10)), _detections((8, 18))),
        (_detections((0, 10), (9, 19)), _detections((0, 10), (9, 19))),
    ],
    ids=["more people", "unsure", "too far", "touching"],
)
def test_nothing_is_guessed_where_the_detector_may_see_more(first, last):
    assert interpolate_detections(first, last, 0.5) is None
    assert interpolate_detections(last, first, 0.5) is None
