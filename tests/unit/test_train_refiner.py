"""What the depth refiner learns from: true depth of small pixels, spoiled masks, errors of the prior."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from test_view_depth import Room

from unish.network.depth_refiner import NUM_CHANNELS, DepthRefiner, arrange_evidence
from unish.network.view_depth import refine_depth


@pytest.fixture
def tool(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "tools"))
    import train_refiner

    return train_refiner


def make_lesson(tool: ModuleType):
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, NUM_CHANNELS, 16, 24, generator=generator)
    return tool.Lesson(
        maps=maps,
        wanted=0.1 * maps[:, 0],
        known=torch.ones(2, 16, 24, dtype=torch.bool),
        confidence=torch.full((2, 16, 24), 0.5),
    )


def test_the_truth_of_a_small_pixel_lies_on_one_side_of_a_border(tool: ModuleType) -> None:
    depth = torch.ones(1, 8, 8)
    depth[:, :, 5:] = 3.0  # the border cuts the small pixels of columns 4 to 7
    everywhere = torch.ones(1, 8, 8, dtype=torch.bool)
    target, known = tool.pool_truth(depth, everywhere, ~everywhere, torch.zeros(1, 2, 2, dtype=torch.bool))
    assert target.tolist() == [[[1.0, 3.0], [1.0, 3.0]]]
    assert known.all()
    # A small pixel that is said to be somebody's has the depth of somebody.
    person = everywhere & (torch.arange(8) == 4)
    target, known = tool.pool_truth(depth, everywhere, person, torch.tensor([[[False, True], [False, False]]]))
    assert target[0, 0].tolist() == [1.0, 1.0]
    assert known.all()


def test_masks_are_spoiled_near_their_borders_alone(tool: ModuleType) -> None:
    people = torch.full((2, 96, 96), -1)
    people[:, 30:70, 30:70] = 0
    changed = []
    for seed in range(6):
        spoiled = tool.spoil_masks(people, np.random.default_rng(seed))
        assert set(spoiled.unique().tolist()) <= {-1, 0}
        changed.append(bool((spoiled != people).any()))
        if (spoiled == 0).any():
            assert (spoiled[:, 36:64, 36:64] == 0).all()
        assert (spoiled[:, :24] == -1).all()
    assert any(changed)


def test_a_better_prior_is_among_the_varied_ones(tool: ModuleType) -> None:
    """Errors that are smooth are partly taken away: over many clips the prior gets both better and worse."""
    error = torch.linspace(-0.5, 0.5, 96).expand(2, 64, 96)
    known = torch.ones(2, 64, 96, dtype=torch.bool)
    after = []
    for seed in range(8):
        change = tool.vary_prior(error, known, torch.zeros(2, 64, 96), np.random.default_rng(seed))
        assert change.isfinite().all()
        left = error - change
        after.append(float((left - left.median()).abs().mean()))
    assert min(after) < 0.6 * 0.25 < max(after)


def test_another_fused_depth_is_the_same_problem(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The candidates keep their places, and so does what is right."""
    monkeypatch.setattr(tool, "NOISE", 0.0)
    lesson = make_lesson(tool)
    varied = tool.vary_lesson(lesson, np.random.default_rng(0))
    moved = lesson.wanted - varied.wanted
    assert moved.abs().max() > 0.01
    for number in range(*tool.CANDIDATE_CHANNELS.indices(NUM_CHANNELS)):
        away = 0.4 * (lesson.maps[:, number] - varied.maps[:, number])
        torch.testing.assert_close(away, moved, atol=1e-5, rtol=1e-4)


def test_the_loss_is_smallest_where_the_depth_is_right(tool: ModuleType) -> None:
    lesson = make_lesson(tool)

    class Right(DepthRefiner):
        def judge(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return 0.1 * maps[:, 0], torch.full_like(maps[:, 0], 9.0)

    right, terms = tool.compute_loss(Right(), lesson)
    assert terms["depth"] < 1e-6 and terms["steps"] < 1e-6
    assert right < 0.1 * tool.compute_loss(DepthRefiner(), lesson)[0]


def test_the_recorder_sees_what_the_refiner_would(tool: ModuleType) -> None:
    room, recorder = Room(people=True), tool.Recorder()
    found, _ = refine_depth(room.prior, room.logits, room.views, room.anchors, moving=True, refiner=recorder)
    assert torch.equal(found, room.refine()[0])
    assert recorder.evidence is not None
    maps = arrange_evidence(recorder.evidence)
    assert maps.shape == (4, NUM_CHANNELS, 48, 64)
    assert torch.equal(maps[:, tool.PEOPLE_CHANNEL] > 0.5, recorder.evidence.people)
