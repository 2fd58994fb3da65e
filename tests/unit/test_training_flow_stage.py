"""Optical flow as a teacher: it is measured rightly, people are left out, and the scene branch learns to explain it."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray
from scipy.ndimage import gaussian_filter

from unish.errors import InputError
from unish.lab.datasets.resize import resize_clip
from unish.lab.datasets.source import ClipArrays, SourceNotes
from unish.lab.training.data.flow import FlowBatches, FlowDataConfig, list_neighbours, measure_flow
from unish.lab.training.stages.flow import FlowStage, FlowWeights, run_flow_stage, score_flow
from unish.lab.training.trainer import FitConfig
from unish.network import UniSH

CONFIG = FlowDataConfig(num_clips=2, num_frames=3, long_sides=(64,), max_stride=1, mirror=False)


def texture(height: int, width: int) -> ndarray:
    noise = np.random.default_rng(0).normal(size=(height, width, 3))
    smooth = gaussian_filter(noise, (3, 3, 0))
    return (128 + 50 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)


class Passers:
    """A textured wall that moves by (4, −2) stored pixels a frame, and a flat person who stands in the picture."""

    def __init__(self, names: tuple[str, ...] = ("images", "ids")) -> None:
        self.names = names

    def __len__(self) -> int:
        return 3

    def describe(self) -> SourceNotes:
        return SourceNotes(name="passers", licence="none", trains_shipped_weights=False, arrays=self.names)

    def size(self, index: int) -> tuple[int, int]:
        return 96, 128

    def load(
        self,
        index: int,
        rng: np.random.Generator,
        *,
        num_frames: int,
        size: tuple[int, int] | None = None,
        max_stride: int = 1,
    ) -> ClipArrays:
        wall = texture(200, 240)
        images = np.stack([wall[40 + 2 * t : 136 + 2 * t, 60 - 4 * t : 188 - 4 * t] for t in range(num_frames)]).copy()
        ids = np.full(images.shape[:3], -1, np.int8)
        images[:, 30:70, 50:70], ids[:, 30:70, 50:70] = 90, 0
        clip = {"images": images, "ids": ids}
        return clip if size is None else resize_clip(clip, size)


def test_a_moved_picture_has_the_flow_of_its_move() -> None:
    wall = texture(120, 160)
    flow = measure_flow(wall[10:90, 10:130], wall[13:93, 6:126])
    inner = flow[12:-12, 12:-12]
    assert np.abs(np.median(inner, axis=(0, 1)) - [4, -3]).max() < 0.1
    assert (np.abs(inner - [4, -3]).max(-1) < 0.5).mean() > 0.95


def test_pairs_go_forward_and_then_backward() -> None:
    assert list_neighbours(3).tolist() == [[0, 1, 1, 2], [1, 2, 0, 1]]


def test_flow_is_in_working_pixels_and_people_are_left_out() -> None:
    batch = FlowBatches(Passers(), CONFIG)(0)
    assert batch.images.shape == (2, 3, 3, 48, 64) and batch.flow.shape == (2, 4, 48, 64, 2)
    assert batch.mask.float().mean() > 0.6
    for pair, wanted in enumerate(([2, -1], [2, -1], [-2, 1], [-2, 1])):
        seen = batch.flow[:, pair][batch.mask[:, pair]]
        assert (seen.median(0).values - torch.tensor(wanted)).abs().max() < 0.15
    person = torch.zeros(48, 64, dtype=torch.bool)
    person[15:35, 25:35] = True
    assert not batch.mask[..., person].any()


def test_batches_depend_on_seed_and_step_alone() -> None:
    first, again = (FlowBatches(Passers(), replace(CONFIG, mirror=True), seed=4)(7) for _ in range(2))
    assert torch.equal(first.images, again.images) and torch.equal(first.flow, again.flow)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="has no ids"):
        FlowBatches(Passers(("images",)), CONFIG)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match=r"pip install 'unish\[flow\]'"):
        measure_flow(texture(32, 32), texture(32, 32))


@pytest.mark.slow
def test_the_stage_learns_to_explain_flow_and_keeps_frozen_parts(tmp_path: Path) -> None:
    source = Passers()
    model = UniSH.from_pretrained("small").scene
    fit = FitConfig(steps=40, learning_rate=3e-4, warmup_steps=5, ema_decay=0.9, checkpoint_every=0)
    stage = FlowStage(name="flow", losses=FlowWeights(), fit=fit, data=CONFIG)
    held = [FlowBatches(source, CONFIG, seed=9)(step) for step in range(4)]
    before, encoder = score_flow(model.eval(), held), model.encoder.state_dict()
    encoder = {name: value.clone() for name, value in encoder.items()}
    run_flow_stage(stage, model, source, tmp_path / "run", progress=False)
    after = score_flow(model.eval(), held)
    assert after["flow_percent"] < 0.9 * before["flow_percent"]
    assert after["depth_percent"] < 0.5 * before["depth_percent"]
    assert all(torch.equal(value, encoder[name]) for name, value in model.encoder.state_dict().items())
