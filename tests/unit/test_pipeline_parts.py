"""The pieces between the stages: shapes over shots, people in other pixels, what is told while it runs."""

from __future__ import annotations

import dataclasses
import platform
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import unish
from oracle_world import CLIP_SIZE, NUM_FRAMES, SHOTS, SIZE, SOURCE_SIZE, OracleNetwork, make_world
from small_smpl import make_smpl_arrays
from unish.body import load_body, match_shape
from unish.errors import InputError
from unish.geometry.camera import make_intrinsics
from unish.io import FramePile
from unish.network import UniSH
from unish.network.config import tiny_config
from unish.passes import Models, models
from unish.passes.models import find_nobody
from unish.passes.network_pass import DenseFrames, make_human_inputs
from unish.passes.observations import rescale_people
from unish.passes.settled import average_betas
from unish.people import PeopleConfig, PeopleModels
from unish.pipeline import run
from unish.reconstruction import Shot, find_padding, leave_out
from unish.settings import Settings
from unish.structs import Camera, Clip, FrameArray, Landmarks, Prediction, Tracks
from unish.structs.progress import StageClock
from unish.video import Placement


def shot(betas: torch.Tensor | None, seen: list[int]) -> Shot:
    """A shot of one frame of which only the people's shapes matter."""
    return Shot(
        dense=torch.arange(1), depth=torch.ones(1, 2, 2), conf=torch.ones(1, 2, 2), c2w=torch.eye(4)[None],
        rotations=None, transl=None,
        betas=betas,
        camera=Camera(matrix=torch.eye(3), size=(2, 2), focal_source="given"), intrinsics=torch.eye(3)[None], shift=0.0,
        network_scale=None, residual=0.0, unplaced=torch.zeros(1, dtype=torch.bool),
        doubtful=torch.zeros(1, dtype=torch.bool),
        seen=torch.tensor(seen, dtype=torch.int64), still=False, unjoined=0,
    )  # fmt: skip


def test_shapes_count_by_the_frames_in_which_a_shot_saw_the_person(rng) -> None:
    first, second = torch.randn(2, 3, 10, generator=rng)
    shots = [shot(first, [6, 0, 0]), shot(None, [9, 9, 9]), shot(second, [2, 5, 0])]
    found, notes = average_betas(shots, "free", load_body())
    assert not notes
    torch.testing.assert_close(found[0], 0.75 * first[0] + 0.25 * second[0])
    torch.testing.assert_close(found[1], second[1])
    assert not found[2].any(), "nobody saw them"
    assert average_betas([shot(None, [])], "free", load_body())[0].shape == (0, 10)


def test_shapes_are_handed_to_the_body_that_is_asked_for(rng, tmp_path: Path) -> None:
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **make_smpl_arrays())
    licensed, shape = load_body(tmp_path / "SMPL_NEUTRAL.npz"), torch.randn(1, 10, generator=rng)
    shots = [shot(shape, [3])]
    torch.testing.assert_close(average_betas(shots, "smpl", licensed)[0], shape)
    torch.testing.assert_close(average_betas(shots, "free", licensed)[0], match_shape(load_body(), shape, licensed))
    mean, notes = average_betas(shots, "smpl", load_body())
    assert not mean.any() and len(notes) == 1 and "mean shape" in notes[0]


def people(rng: torch.Generator) -> tuple[Tracks, Landmarks]:
    tracks = Tracks(
        person_ids=torch.tensor([3]), valid=torch.ones(1, 2, dtype=torch.bool),
        boxes_xyxy=torch.tensor([[[10.0, 20.0, 30.0, 60.0], [0.0, 0.0, 100.0, 50.0]]]),
        masks=torch.zeros(2, 25, 25, dtype=torch.int16),
    )  # fmt: skip
    px = torch.rand(1, 2, 33, 3, generator=rng)
    world, sigma_px = (torch.rand(1, 2, 33, 3, generator=rng) for _ in range(2))
    return tracks, Landmarks(px=px, world=world, score=torch.ones(1, 2), sigma_px=sigma_px[..., 0])


def test_people_are_brought_to_other_pixels_and_nothing_else_of_them_changes(rng) -> None:
    tracks, landmarks = people(rng)
    scaled, marks = rescale_people(tracks, landmarks, (50, 100), (25, 25))
    assert scaled.boxes_xyxy.tolist() == [[[2.5, 10.0, 7.5, 30.0], [0.0, 0.0, 25.0, 25.0]]]
    torch.testing.assert_close(marks.px, landmarks.px * torch.tensor([0.25, 0.5, 1.0]))
    torch.testing.assert_close(marks.sigma_px, landmarks.sigma_px * (0.25 * 0.5) ** 0.5)
    assert rescale_people(tracks, replace(landmarks, sigma_px=None), (50, 100), (25, 25))[1].sigma_px is None
    assert marks.world is landmarks.world and scaled.masks is tracks.masks and scaled.person_ids is tracks.person_ids


def test_the_network_is_told_how_sure_the_landmarks_are(rng) -> None:
    tracks, landmarks = people(rng)

    network = UniSH(tiny_config())
    humans = make_human_inputs(network, None, (50, 100), tracks, landmarks, slice(1, 2))
    assert torch.equal(humans.landmarks_sigma_px, landmarks.sigma_px[None, :, 1:])
    assert torch.equal(humans.landmarks_px, landmarks.px[None, :, 1:]) and humans.valid.shape == (1, 1, 1)
    unsaid = make_human_inputs(network, None, (50, 100), tracks, replace(landmarks, sigma_px=None), slice(1, 2))
    assert unsaid.landmarks_sigma_px.isnan().all()


def test_dense_frames_take_their_landmarks_along(rng, tmp_path: Path) -> None:
    tracks, landmarks = people(rng)
    clip, placement = make_clip(2), Placement(size=(8, 12), inner=(8, 12), corner=(0, 0))
    images = FramePile(tmp_path / "images", 1)
    masks = FrameArray((1, 25, 25), torch.int16, lambda frame: tracks.masks[1])
    for given in (landmarks, replace(landmarks, sigma_px=None)):
        dense = DenseFrames.of(clip, tracks, given, masks, images, placement, [1]).landmarks
        assert torch.equal(dense.px, given.px[:, [1]]) and torch.equal(dense.score, given.score[:, [1]])
        assert dense.sigma_px is None if given.sigma_px is None else torch.equal(dense.sigma_px, given.sigma_px[:, [1]])


def make_clip(num_frames: int) -> Clip:
    return Clip(
        images=torch.zeros(num_frames, 8, 12, 3, dtype=torch.uint8), timestamps_s=torch.arange(num_frames).double() / 6,
        frame_indices=torch.arange(num_frames), segment=torch.zeros(num_frames, dtype=torch.int64),
        source_size=(8, 12), name="empty",
    )  # fmt: skip


def test_nobody_is_nobody() -> None:
    assert Models().people_finder(Settings(people=0, tracks=Path("none.npz"))) is find_nobody
    tracks, landmarks = find_nobody(make_clip(3), (5, 7))
    assert tracks.num_people == 0 and tracks.valid.shape == (0, 3) and tracks.boxes_xyxy.shape == (0, 3, 4)
    assert tracks.masks.shape == (3, 5, 7) and (tracks.masks[:] == -1).all()
    assert landmarks.px.shape == landmarks.world.shape == (0, 3, 33, 3) and landmarks.score.shape == (0, 3)


class Nobody:
    """A detector, and a landmark model, that is never asked."""

    def detect(self, images: object) -> None:
        raise AssertionError

    def read_pose(self, picture: object, region: object) -> None:
        raise AssertionError


def test_who_finds_the_people(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple] = []
    loaded: list[PeopleModels] = []
    monkeypatch.setattr(models, "read_tracks", lambda path, clip, **options: calls.append((path, options["mask_size"])))
    monkeypatch.setattr(
        models, "find_people",
        lambda clip, **options: calls.append(
            (options["config"].max_people, options["mask_size"], options["progress"], options["models"].detector)
        ),
    )  # fmt: skip

    def load(config: PeopleConfig, progress: object) -> PeopleModels:
        loaded.append(PeopleModels(detector=Nobody(), support=Nobody(), landmarks=Nobody()))
        return loaded[-1]

    monkeypatch.setattr(models.PeopleModels, "load", load)
    note = lambda name, done, total: None  # noqa: E731
    mine = Models()
    mine.people_finder(Settings(tracks=Path("mine.npz"), people=2))(make_clip(1), (5, 7))
    for settings in (Settings(people=2), Settings(), Settings()):
        mine.people_finder(settings, None, note)(make_clip(1), (5, 7))
    first, second = (one.detector for one in loaded)  # what is loaded is used again
    assert calls == [
        (Path("mine.npz"), (5, 7)), (2, (5, 7), note, first), (None, (5, 7), note, second), (None, (5, 7), note, second)
    ]  # fmt: skip


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []
    tiny = UniSH(tiny_config()).train()

    def load(name: str, *, device: str) -> UniSH:
        asked.append((name, device))
        return tiny

    monkeypatch.setattr(UniSH, "from_pretrained", load)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="--device cpu"):
        Models().network("small", "cuda")
    assert Models().network("mine", "auto") is tiny and not tiny.training
    Models().network("small", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for device in ("cuda", "auto", "cpu"):
        Models().network("small", device)
    assert asked == [("mine", "cpu"), ("small", "cpu"), ("small", "cuda"), ("small", "cuda"), ("small", "cpu")]


def test_the_clock_tells_beginnings_and_ends_and_keeps_the_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple] = []
    times = iter([10.0, 12.5, 20.0, 20.25])
    monkeypatch.setattr(time, "perf_counter", lambda: next(times))
    clock = StageClock(lambda *event: told.append(event))
    with clock.stage("one"):
        assert told == [("one", 0, None)]
    assert told == [("one", 0, None), ("one", 1, 1)]
    clock.progress = None
    with clock.stage("two"):
        pass
    assert clock.seconds == {"one": 2.5, "two": 0.25} and len(told) == 2


@pytest.mark.slow
def test_a_run_tells_its_progress_and_reports_how_it_was_made() -> None:
    small = dataclasses.replace(tiny_config(), long_side=128, multiple=32)
    cameras = make_intrinsics(torch.tensor([210.0, 250.0]), *CLIP_SIZE)
    world = make_world(load_body(), cameras, betas=torch.zeros(2, 10), people=0)
    clip = dataclasses.replace(world.clip, warnings=("said by the reader", "said twice", "said twice"))
    network = OracleNetwork(world=world, config=small, betas=torch.zeros(2, 10))
    told: list[tuple] = []
    settings = Settings(window=5, overlap=2, people=0, tracks=Path("none.npz"))
    result = run(clip, settings=settings, progress=lambda *event: told.append(event), network=network)
    stages = ["read video", "load model", "find people", "network", "reconstruct", "measure"]
    ends = [event for event in told if event[1:] in ((0, None), (1, 1))]
    assert ends == [(name, *state) for name in stages for state in ((0, None), (1, 1))]
    assert [event for event in told if event not in ends] == [("network", stop, NUM_FRAMES) for stop in (5, 7, 11)]
    assert SHOTS[1].stop == NUM_FRAMES
    report = result.report
    assert list(report["seconds"]) == stages and report["peak_memory_mb"] > 10
    assert (report["input"], report["model"], report["people"]) == ("oracle", "oracle", [])
    assert report["settings"]["tracks"] == "none.npz" and report["settings"]["window"] == 5
    assert report["versions"] == {
        "unish": unish.__version__, "torch": torch.__version__, "python": platform.python_version()
    }  # fmt: skip
    assert report["warnings"][:2] == ["said by the reader", "said twice"]
    assert len(set(report["warnings"])) == len(report["warnings"])
    assert tuple(result.reconstruction.image_size) == SIZE and tuple(result.reconstruction.source_size) == SOURCE_SIZE
    other = run(clip, settings=dataclasses.replace(settings, size=64), network=SizeNetwork(world=world, config=small))
    assert other.reconstruction.image_size.tolist() == [32, 64], "the size that the user asks for"


class SizeNetwork:
    """A flat scene, whatever it is shown."""

    fingerprint = "flat"
    device = torch.device("cpu")

    def __init__(self, world: object, config: object) -> None:
        self.config = config

    def __call__(
        self, images, humans, timestamps, intrinsics=None, *, picture_size=None, people_masks=None, usable=None
    ):
        frames, size = images.shape[1], images.shape[-2:]
        return Prediction(
            local_points=torch.ones(1, frames, *size, 3), point_conf_logits=torch.full((1, frames, *size), 4.0),
            c2w=torch.eye(4).repeat(1, frames, 1, 1), scale=torch.ones(1),
            intrinsics=make_intrinsics(torch.full((1, frames), 80.0), *size),
        )  # fmt: skip


def test_what_lies_beside_a_picture_gets_no_confidence() -> None:
    """Clip of 40×80 pixels, maps half as large; the second frame holds a picture of 30×40 pixels."""
    clip = Clip(
        images=torch.zeros(3, 40, 80, 3, dtype=torch.uint8), timestamps_s=torch.arange(3, dtype=torch.float64),
        frame_indices=torch.arange(3), segment=torch.zeros(3, dtype=torch.int64), source_size=(40, 80),
        picture_area=torch.tensor([[0, 0, 40, 80], [4, 20, 34, 60], [0, 0, 40, 80]]),
    )  # fmt: skip
    prediction = Prediction(
        local_points=torch.ones(1, 2, 20, 40, 3), point_conf_logits=torch.ones(1, 2, 20, 40),
        c2w=torch.eye(4).expand(1, 2, 4, 4),
    )  # fmt: skip
    hidden = find_padding(clip, (20, 40))
    conf = leave_out(prediction, hidden[1:3]).point_conf_logits[0].sigmoid()
    inside = torch.zeros(20, 40, dtype=torch.bool)
    inside[2:17, 10:30] = True
    assert torch.equal(conf[0] > 0.5, inside) and (conf[0][~inside] < 1e-6).all() and (conf[1] > 0.5).all()
    whole = dataclasses.replace(clip, picture_area=None)
    assert leave_out(prediction, find_padding(whole, (20, 40))[1:3]) is prediction


def test_landmarks_outside_of_the_picture_say_nothing() -> None:
    px = torch.full((1, 1, 33, 3), 20.0)
    px[0, 0, 0, 0], px[0, 0, 1, 1], px[0, 0, 2, 0], px[0, 0, 3, :2] = -1.0, 41.0, 65.0, torch.nan
    humans = make_human_inputs(
        UniSH(tiny_config()), None, (40, 64),
        Tracks(
            person_ids=torch.arange(1), valid=torch.ones(1, 1, dtype=torch.bool), boxes_xyxy=torch.zeros(1, 1, 4),
            masks=torch.zeros(1, 2, 2, dtype=torch.int16),
        ),
        Landmarks(px=px, world=torch.zeros(1, 1, 33, 3), score=torch.ones(1, 1)), slice(0, 1),
    )  # fmt: skip
    assert humans.landmarks_sigma_px is not None
    assert humans.landmarks_sigma_px[0, 0, 0].isinf().nonzero()[:, 0].tolist() == [0, 1, 2, 3]
    assert humans.landmarks_sigma_px[0, 0, 0, 4:].isnan().all()
