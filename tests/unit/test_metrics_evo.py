"""ATE and RPE agree with evo 1.38 to a millionth for every alignment; ``evo_paths`` tells whence its numbers are."""

from __future__ import annotations

import json

import pytest
import torch
from evo_paths import ALIGNMENTS, NUMBERS, make_paths

from unish.lab.evaluation.metrics import (
    absolute_trajectory_error,
    relative_rotation_errors,
    relative_translation_errors,
    score_camera_path,
)

RECORDED = json.loads(NUMBERS.read_text())
PATHS = make_paths()


@pytest.mark.parametrize("name", list(PATHS))
@pytest.mark.parametrize("alignment", list(ALIGNMENTS))
def test_every_error_agrees_with_evo(name: str, alignment: str) -> None:
    predicted, true = PATHS[name]
    ours = {"ate": absolute_trajectory_error(predicted, true, alignment=alignment)}
    for step in (1, 4) if len(true) > 4 else (1,):
        moves = relative_translation_errors(predicted, true, step=step, alignment=alignment)
        turns = relative_rotation_errors(predicted, true, step=step)
        ours |= {f"rpe_t_{step}": moves.square().mean().sqrt(), f"rpe_r_{step}": turns.square().mean().sqrt()}
    theirs = {key.split()[0]: value for key, value in RECORDED[name].items() if key.endswith(f" {alignment}")}
    assert {key: float(value) for key, value in ours.items()} == pytest.approx(theirs, rel=1e-6, abs=1e-6)


def test_a_scored_path_has_the_same_numbers_and_many_go_at_once() -> None:
    names = ["shaken", "moved", "flat", "mirrored"]
    predicted, true = (torch.stack([PATHS[name][side] for name in names]) for side in (0, 1))
    scores = score_camera_path(predicted, true)
    for attribute, key in (
        ("ate_m", "ate similarity"),
        ("rigid_error_m", "ate rigid"),
        ("rpe_translation_m", "rpe_t_1 similarity"),
        ("rpe_rotation_deg", "rpe_r_1 similarity"),
    ):
        assert getattr(scores, attribute).tolist() == pytest.approx([RECORDED[name][key] for name in names], rel=1e-6)
