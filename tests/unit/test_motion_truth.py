"""What is said of people's motion beside the truth of a synthetic clip, for faults of known size."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy import ndarray

from unish.body import load_body
from unish.lab.evaluation.motion_truth import Counts, MotionScores, measure_world_size, score_motion
from unish.lab.synthetic import SynthConfig, make_clip
from unish.reconstruction.contacts import REGIONS
from unish.structs import Reconstruction

pytestmark = pytest.mark.slow
FPS, PERSON = 6.0, 0
CONFIG = SynthConfig(
    size=(48, 36), num_frames=6, fps=FPS, min_people=1, max_people=1, clothes=False, sensor=False, samples=1
)


@cache
def make_truth() -> Reconstruction:
    """Somebody who stands, seen in all frames."""
    truth = make_clip(4, 9, CONFIG)
    assert truth.person_valid[PERSON].all() and truth.extra["truth_contacts"][PERSON].any(1).sum() >= 4
    return truth


def answer(moved: ndarray | float = 0.0, *, truth: Reconstruction | None = None) -> Reconstruction:
    """The truth as a result, with everybody moved by (T, 3) metres, and contacts as they truly are."""
    truth = truth or make_truth()
    names = truth.extra["truth_contact_names"].tolist()
    columns = [names.index(name) for name in REGIONS]
    shift = np.broadcast_to(np.asarray(moved, np.float32), (truth.num_frames, 3))
    return replace(
        truth,
        transl=truth.transl + shift,
        joints=truth.joints + shift[:, None],
        contact_prob=truth.extra["truth_contacts"][..., columns].astype(np.float32),
        contact_names=np.array(REGIONS),
        contact_thresholds=np.zeros(2, np.float32),
    )


def up_by(metres: ndarray | float) -> ndarray:
    up = make_truth().floor[0, :3]
    return np.broadcast_to(np.asarray(metres), CONFIG.num_frames)[:, None] * up


def score(found: Reconstruction, truth: Reconstruction | None = None) -> MotionScores:
    (person,) = score_motion(found, truth or make_truth(), load_body("free"))
    return person


def test_the_truth_itself_is_without_fault() -> None:
    found = score(answer())
    assert found.contacts.f1 == 1 and found.feet.f1 == 1 and found.contacts.hits >= found.feet.hits >= 4
    assert max(np.abs(found.gap_cm)) < 2 and not any(found.sunk) and not found.apex_cm
    assert max(found.slide_cm_s, default=0.0) < 6
    assert found.acceleration_ratio == pytest.approx(1) and found.distance_log == pytest.approx(0, abs=1e-6)
    assert found.w_mpjpe_mm == pytest.approx(0, abs=0.01)
    assert measure_world_size(answer(), make_truth()) == pytest.approx(0, abs=1e-6)


def test_who_floats_has_a_gap_and_who_sinks_is_under_the_floor() -> None:
    right, above, below = (score(answer(up_by(height))) for height in (0.0, 0.1, -0.1))
    np.testing.assert_allclose(np.subtract(above.gap_cm, right.gap_cm), 10, atol=0.1)
    np.testing.assert_allclose(np.subtract(below.gap_cm, right.gap_cm), -10, atol=0.1)
    assert not any(above.sunk) and all(below.sunk)


def test_who_glides_slides_by_as_much() -> None:
    glide = np.arange(CONFIG.num_frames)[:, None] / FPS * np.array([0.3, 0.0, 0.0])
    assert len(score(answer()).slide_cm_s) >= 4
    assert np.median(score(answer(glide)).slide_cm_s) == pytest.approx(30, abs=3)


def test_contacts_are_counted_where_they_were_seen() -> None:
    found = answer()
    assert found.contact_prob is not None
    said = found.contact_prob
    wrong = score(replace(found, contact_prob=1 - said)).contacts
    assert wrong.hits == 0 and wrong.f1 == 0 and wrong.false + wrong.missed == said[PERSON].size
    other = np.minimum(said[..., [1, 0, 3, 2]] + said, 1)
    assert score(replace(found, contact_prob=other)).feet.f1 == 1, "the toe in place of the heel is the same foot"
    unseen = score(replace(found, contact_prob=np.full_like(said, np.nan))).contacts
    assert unseen == Counts() and np.isnan(unseen.f1)
    assert Counts(hits=3, false=1, missed=1).f1 == 0.75


def test_a_jump_that_is_too_low_is_said() -> None:
    jump = np.array([0, 0, 0.3, 0.5, 0.3, 0])
    truth = answer(up_by(jump))
    apex = score(answer(up_by(0.8 * jump)), truth).apex_cm
    assert apex == pytest.approx([-10], abs=0.1)
    assert score(answer(up_by(0.8 * jump)), truth).acceleration_ratio == pytest.approx(0.8, abs=0.1)


def test_the_size_of_the_scene_leaves_people_out() -> None:
    found, factor = answer(), np.where(make_truth().person_masks < 0, 1.2, 3.0).astype(np.float32)
    assert measure_world_size(replace(found, depth=found.depth * factor), make_truth()) == pytest.approx(np.log(1.2))
