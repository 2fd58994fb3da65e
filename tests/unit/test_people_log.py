"""What was observed comes back from the disk as it was, and the people stage goes on where it was ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from unish.passes.run_folder import FORMAT
from unish.people import ObservationLog, PeopleModels, find_people
from unish.people.log import BLOCK, _pack
from unish.people.protocols import Detection, Observation, Pose, StoredMask
from unish.people.regions import Region
from unish.people.tracking import HungarianTracker
from unish.structs import Clip

RNG = np.random.default_rng(0)


def make_observation(kind: int) -> Observation:
    """Without a pose, with one without a mask, with one of everything."""
    region, other = (Region(x=value, y=value / 3, side=9.0, angle=-value) for value in RNG.random(2))
    marks = RNG.random((33, 3)).astype(np.float32)
    mask = RNG.integers(0, 255, (8, 8), np.uint8) if kind == 2 else None
    sigma_px = marks[:, 0] if kind == 2 else None
    pose = Pose(px=marks, world=marks + 1, score=float(RNG.random()), region=region, next_region=other, mask=mask,
                sigma_px=sigma_px, facing=float(RNG.normal()) if kind == 2 else None)  # fmt: skip
    return Observation(
        box_xyxy=RNG.random(4), score=float(RNG.random()), appearance=RNG.random(72), pose=pose if kind else None,
        detected=bool(kind % 2),
    )  # fmt: skip


def assert_same(found: Observation, wanted: Observation) -> None:
    np.testing.assert_array_equal(found.box_xyxy, wanted.box_xyxy)
    np.testing.assert_array_equal(found.appearance, wanted.appearance)
    assert (found.score, found.detected, found.pose is None) == (wanted.score, wanted.detected, wanted.pose is None)
    if found.pose is None or wanted.pose is None:
        return
    assert found.pose.px.dtype == wanted.pose.px.dtype == np.float32
    np.testing.assert_array_equal(found.pose.px, wanted.pose.px)
    np.testing.assert_array_equal(found.pose.world, wanted.pose.world)
    assert (found.pose.score, found.pose.region, found.pose.next_region, found.pose.facing) == (
        wanted.pose.score, wanted.pose.region, wanted.pose.next_region, wanted.pose.facing
    )  # fmt: skip
    if wanted.pose.sigma_px is None:
        assert found.pose.sigma_px is None
    else:
        np.testing.assert_array_equal(found.pose.sigma_px, wanted.pose.sigma_px)
    if wanted.pose.mask is None:
        assert found.pose.read_mask() is None
    else:
        np.testing.assert_array_equal(found.pose.read_mask(), wanted.pose.read_mask())


def test_a_folder_with_other_arrays_has_another_number() -> None:
    """Who changes these names counts ``FORMAT`` up: older folders lack an array, or hold one that nobody reads."""
    assert sorted(_pack([])) == [
        "appearance", "box_xyxy", "detected", "facing", "features", "has_features", "has_pose", "masks", "pose_score",
        "px", "regions", "score", "sigma_px", "world",
    ]  # fmt: skip
    assert FORMAT == 7


@pytest.mark.parametrize("num_frames", [1, BLOCK, 2 * BLOCK + 3])
def test_observations_come_back(tmp_path: Path, num_frames: int) -> None:
    frames = [[make_observation((number + row) % 3) for row in range(number % 4)] for number in range(num_frames)]
    log = ObservationLog(tmp_path / "people")
    assert list(log.stored()) == []
    for number, people in enumerate(frames):
        kept = log.add(people, last=number == num_frames - 1)
        for ours, theirs in zip(kept, people, strict=True):
            assert_same(ours, theirs)
            assert ours.pose is None or ours.pose.mask is None or isinstance(ours.pose.mask, StoredMask)
    again = list(ObservationLog(tmp_path / "people").stored())
    assert len(again) == num_frames == ObservationLog.count_frames(tmp_path / "people")
    for kept, people in zip(again, frames, strict=True):
        for ours, theirs in zip(kept, people, strict=True):
            assert_same(ours, theirs)


def test_what_no_block_speaks_of_is_written_over(tmp_path: Path) -> None:
    frames = [[make_observation(2)] for _ in range(2 * BLOCK)]
    log = ObservationLog(tmp_path)
    for people in frames[: BLOCK + 5]:
        log.add(people, last=False)
    size = (tmp_path / "masks.bin").stat().st_size
    again = ObservationLog(tmp_path)
    assert len(list(again.stored())) == BLOCK
    for number, people in enumerate(frames[BLOCK:], start=BLOCK):
        again.add(people, last=number == 2 * BLOCK - 1)
    for (kept,), (wanted,) in zip(ObservationLog(tmp_path).stored(), frames, strict=True):
        assert_same(kept, wanted)
    assert (tmp_path / "masks.bin").stat().st_size < 2 * size


class Ended(BaseException):
    pass


class Walkers:
    """A detector and landmark model that see two people walk over grey of the level of the frame, until asked too
    often."""

    def __init__(self, last: int = 10**6) -> None:
        self.last, self.seen = last, list[int]()

    def detect(self, images: torch.Tensor) -> list[list[Detection]]:
        found = []
        for level in images[:, 0, 0, 0].tolist():
            if level >= self.last:
                raise Ended
            self.seen.append(level)
            boxes = [[5 + level, 10, 25 + level, 55], [120 - level, 5, 145 - level, 58]]
            found.append([Detection(box_xyxy=np.array(box, float), score=0.9) for box in boxes])
        return found

    def read_pose(self, picture: torch.Tensor, region: Region) -> Pose:
        marks = np.stack([region.x + np.linspace(-9, 9, 33), region.y + np.linspace(-20, 20, 33), np.ones(33)], 1)
        mask = np.full((16, 16), 200, np.uint8)
        mask[:, : int(region.x) % 8] = 0
        marks = marks.astype(np.float32)
        return Pose(px=marks, world=marks, score=0.9, region=region, next_region=region, mask=mask)


class Nobody:
    def detect(self, images: torch.Tensor) -> list[list[Detection]]:
        return [[] for _ in images]


def make_clip(num_frames: int = 2 * BLOCK + 7) -> Clip:
    images = torch.arange(num_frames, dtype=torch.uint8)[:, None, None, None].expand(-1, 60, 150, 3).contiguous()
    return Clip(
        images=images, timestamps_s=torch.arange(num_frames, dtype=torch.float64) / 6,
        frame_indices=torch.arange(num_frames), segment=(torch.arange(num_frames) > 40).long(), source_size=(60, 150),
    )  # fmt: skip


def find(walkers: Walkers, log: ObservationLog | None) -> tuple:
    models = PeopleModels(detector=walkers, support=Nobody(), landmarks=walkers)
    return find_people(make_clip(), mask_size=(30, 75), models=models, log=log)


@pytest.mark.parametrize("last", [3, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 6])
def test_the_stage_goes_on_where_it_was(tmp_path: Path, last: int) -> None:
    wanted, marks = find(Walkers(), None)
    with pytest.raises(Ended):
        find(Walkers(last), ObservationLog(tmp_path))
    walkers = Walkers()
    found, again = find(walkers, ObservationLog(tmp_path))
    assert walkers.seen[0] == last // BLOCK * BLOCK, "one block at most is looked at again"
    assert found.num_people == wanted.num_people > 1 and found.warnings == wanted.warnings
    for name in ("person_ids", "valid", "boxes_xyxy"):
        assert torch.equal(getattr(found, name).nan_to_num(), getattr(wanted, name).nan_to_num())
    assert torch.equal(found.masks[:], wanted.masks[:]) and int((found.masks[:] >= 0).sum()) > 1000
    for name in ("px", "world", "score"):
        assert torch.equal(getattr(again, name).nan_to_num(), getattr(marks, name).nan_to_num())


def test_what_people_look_like_reaches_the_tracker() -> None:
    described: list[bool] = []

    class Noting(HungarianTracker):
        def update(self, time_s: float, segment: int, people: Sequence[Observation]) -> None:
            described.extend(person.features is not None for person in people)
            super().update(time_s, segment, people)

    walkers = Walkers()
    models = PeopleModels(
        detector=walkers, support=Nobody(), landmarks=walkers,
        features=lambda crops, masks: torch.nn.functional.one_hot(torch.zeros(len(crops), dtype=torch.long), 4).float(),
    )  # fmt: skip
    find_people(make_clip(), mask_size=(30, 75), models=models, tracker=Noting())
    assert described and all(described)
