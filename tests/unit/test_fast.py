"""``fast``: what it leaves out, that nothing else changes for it, and that a result says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_view_depth import Room

from unish.lab.evaluation.methods import make_predictor
from unish.lab.evaluation.methods import pipeline as method_pipeline
from unish.lab.evaluation.predictor import Request
from unish.network import UniSH
from unish.network.config import tiny_config
from unish.network.view_config import ViewSolverConfig, fast_views
from unish.network.view_depth import refine_depth
from unish.passes import Models, describe_run
from unish.people import PeopleConfig
from unish.pipeline import Settings
from unish.structs import Clip


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> UniSH:
    """What every name stands for: a small network that compares views."""
    known = UniSH(replace(tiny_config(), views=ViewSolverConfig())).eval()
    monkeypatch.setattr(UniSH, "from_pretrained", lambda *_, **__: known)
    return known


def test_the_network_is_the_same_but_for_how_views_are_compared(network: UniSH) -> None:
    models = Models()
    fast, usual = models.network("any", "cpu", fast=True), models.network("any", "cpu")
    assert usual is network and usual.config.views == ViewSolverConfig(), "the next run is not in a hurry"
    assert isinstance(fast, UniSH) and fast.fingerprint == usual.fingerprint
    assert fast.config == replace(usual.config, views=fast_views(ViewSolverConfig()))
    assert all(one is other for one, other in zip(fast.parameters(), usual.parameters(), strict=True))
    assert not fast_views(ViewSolverConfig()).sweep


def test_people_are_read_by_the_smaller_models(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[PeopleConfig] = []
    models = Models()
    monkeypatch.setattr(models, "_people_models", lambda config, experts, progress: asked.append(config))
    monkeypatch.setattr("unish.passes.models.find_people", lambda clip, **options: options["config"])
    clip = torch.zeros(1)
    found = [models.people_finder(Settings(fast=fast))(clip, (4, 4)) for fast in (False, True)]  # type: ignore[arg-type]
    assert [(one.landmarks_2d, one.mirror) for one in asked] == [("thunder", True), ("lightning", False)]
    assert found[0] == replace(found[1], landmarks_2d="thunder", mirror=True)


def test_depth_of_a_moving_camera_follows_its_anchors_without_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unish.network.view_depth.sweep_depths", lambda *_, **__: pytest.fail("it was swept"))
    room = Room()
    found, logits = refine_depth(room.prior, room.logits, room.views, room.anchors, moving=True, sweeps=False)
    assert room.error(found).median() < 0.3 * room.error(room.prior).median()
    assert (logits - room.logits).abs().max() < 0.01, "nothing is surer than before"


def test_a_run_that_is_in_a_hurry_does_not_go_on_with_another_one() -> None:
    clip = Clip(
        images=torch.zeros(1, 4, 4, 3, dtype=torch.uint8), timestamps_s=torch.zeros(1, dtype=torch.float64),
        frame_indices=torch.zeros(1, dtype=torch.int64), segment=torch.zeros(1, dtype=torch.int64), source_size=(4, 4),
    )  # fmt: skip
    usual, fast = (describe_run(clip, Settings(fast=fast), "weights", "body") for fast in (False, True))
    assert usual["settings"]["fast"] is False and fast["settings"]["fast"] is True


def test_benchmarks_can_ask_for_it(network: UniSH, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Settings] = []

    def run(source: object, *, settings: Settings, **_: object) -> None:
        told.append(settings)
        raise InterruptedError

    monkeypatch.setattr(method_pipeline, "run", run)
    request = Request(name="one", source=Path("video.mp4"))
    for method in ("small", "fast:small"):
        with pytest.raises(InterruptedError):
            make_predictor(method).predict(request)
    assert [(one.model, one.fast) for one in told] == [("small", False), ("small", True)]
    assert make_predictor("fast:small").fingerprint == f"{network.fingerprint} (fast)"
