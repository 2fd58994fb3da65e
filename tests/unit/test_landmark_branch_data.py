"""Training data of the landmark branch: the noise has the size and persistence it claims, the truth is consistent."""

from dataclasses import fields, replace

import pytest
import torch

from unish.body import load_body
from unish.geometry.camera import project
from unish.lab.training.landmark_noise import EventRates, LandmarkNoiseConfig, happen, observe, wander
from unish.lab.training.landmarks import LandmarkBatch, LandmarkDataConfig, make_batch
from unish.lab.training.lifter import LifterConfig, compute_loss, loss_terms, score_batches
from unish.lab.training.motion_pool import MotionPool
from unish.network.human.landmark_branch import LandmarkBranch, LandmarkBranchConfig
from unish.network.outputs import HumanOutput

NO_EVENTS = EventRates(**{field.name: 0.0 for field in fields(EventRates)})
QUIET = LandmarkNoiseConfig(
    bias_2d=0.0, drift_2d=0.0, jitter_2d=0.0, yaw_deg=0.0, pitch_deg=0.0, roll_deg=0.0, bone_depth=0.0, bone_plane=0.0,
    jitter_m=(0.0, 0.0, 0.0), severity=0.0, stature=(0.0, 1.0, 1.0), events=NO_EVENTS,
)  # fmt: skip
DATA = LandmarkDataConfig(batch_size=6, num_frames=5)


@pytest.fixture(scope="module")
def pool() -> MotionPool:
    return MotionPool.make(4, library=None, seconds=3.0)


@pytest.fixture(scope="module")
def batch(pool: MotionPool) -> LandmarkBatch:
    return make_batch(pool, load_body(), DATA, seed=0, index=0)


def test_drift_has_unit_variance_and_the_measured_correlations(rng: torch.Generator) -> None:
    times = torch.arange(24).expand(400, -1) * 0.05
    noise = wander(times.double(), (8,), 0.2, rng)
    assert noise.var() == pytest.approx(1.0, abs=0.05)
    for steps, expected in ((1, 0.82), (2, 0.63), (4, 0.32)):
        found = float((noise[:, steps:] * noise[:, :-steps]).mean())
        assert found == pytest.approx(expected, abs=0.07)


def test_events_happen_as_often_as_asked(rng: torch.Generator) -> None:
    times = (torch.arange(20).expand(3000, -1) * 0.1).double()
    events = happen(times, 0.3, (), rng, longest_s=1.0)
    assert events.any(dim=1).float().mean() == pytest.approx(0.3, abs=0.06)
    halves = happen(times, 1.0, (), rng, longest_s=10.0, largest_share=0.4)
    assert halves.float().mean(dim=1).max() < 0.55


def observed(points: torch.Tensor, config: LandmarkNoiseConfig, rng: torch.Generator, *, bottom: float = 1e6):
    size, frames = points.shape[:2]
    px = 400 + 200 * points[..., :2]
    bounds = torch.tensor([-1e6, -1e6, 1e6, bottom]).expand(size, 4)
    times = (torch.arange(frames).expand(size, -1) * 0.1).double()
    return px, observe(
        px, points, torch.full((size, frames), 320.0), bounds, torch.full((size,), 1.7), times, config, rng
    )


def standing(size: int, frames: int) -> torch.Tensor:
    """(size, frames, 33, 3) rest landmarks in a camera (y down), around the hips."""
    body = load_body()
    points = body.landmark_template * torch.tensor([1.0, -1.0, -1.0])
    return (points - points[23:25].mean(0)).expand(size, frames, 33, 3)


def test_quiet_noise_keeps_pixels_and_shortens_feet_and_upper_arms(rng: torch.Generator) -> None:
    points = standing(200, 3)
    px, out = observed(points, QUIET, rng)
    torch.testing.assert_close(out.px[..., :2], px)

    def ratio(start: int, end: int) -> torch.Tensor:
        return (out.world[..., end, :] - out.world[..., start, :]).norm(dim=-1) / (
            points[..., end, :] - points[..., start, :]
        ).norm(dim=-1)

    assert ratio(27, 31).min() > 0.4 and ratio(27, 31).max() < 0.85
    assert ratio(11, 13).min() > 0.7 and ratio(11, 13).max() < 1.0
    assert ratio(23, 25).mean() == pytest.approx(0.985, abs=0.03)
    nose_up = (
        -(out.world[..., 0, 1] - out.world[..., 7:9, 1].mean(-1)) + points[..., 0, 1] - points[..., 7:9, 1].mean(-1)
    )
    assert (nose_up > 0.01).float().mean() > 0.9, "the face looks up"


def test_default_noise_has_the_measured_size(rng: torch.Generator) -> None:
    points = standing(300, 4)
    px, out = observed(points, LandmarkNoiseConfig(), rng)
    limbs = list(range(11, 17)) + list(range(23, 29))
    seen = out.valid[..., None].expand(-1, -1, len(limbs))
    flat = ((out.px[..., :2] - px).norm(dim=-1) / 320)[..., limbs][seen]
    assert 0.01 < flat.median() < 0.035
    error = (out.world - points)[..., limbs, :].abs()
    depth, plane = error[..., 2][seen].median(), error[..., 0][seen].median()
    assert 0.03 < depth < 0.12 and plane < depth
    assert 0.9 < out.valid.float().mean() < 1.0
    assert out.valid.any(dim=1).all()


def test_what_is_outside_the_picture_is_marked_by_low_visibility(rng: torch.Generator) -> None:
    px, out = observed(standing(50, 3), LandmarkNoiseConfig(events=NO_EVENTS), rng, bottom=430.0)
    below = px[..., 1] > 430.0
    assert below.any() and out.px[..., 2][below].max() <= 0.4
    assert out.px[..., 2][~below].min() > 0.5


def test_batches_depend_on_their_index_alone(pool: MotionPool, batch: LandmarkBatch) -> None:
    again = make_batch(pool, load_body(), DATA, seed=0, index=0)
    other = make_batch(pool, load_body(), DATA, seed=0, index=1)
    assert torch.equal(again.humans.landmarks_px, batch.humans.landmarks_px)
    assert not torch.equal(other.humans.landmarks_px, batch.humans.landmarks_px)


def test_truth_projects_to_the_pixels_and_time_runs(pool: MotionPool) -> None:
    quiet = replace(DATA, noise=QUIET, focal_error=0.0)
    batch = make_batch(pool, load_body(), quiet, seed=1, index=0)
    pixels = project(batch.landmarks, batch.true_intrinsics, min_depth=0.1)
    inside = batch.humans.landmarks_px[:, 0, ..., 2] > 0.5
    error = (pixels - batch.humans.landmarks_px[:, 0, ..., :2])[inside]
    assert error.abs().max() < 0.01
    assert (batch.timestamps_s.diff(dim=1) > 0).all()
    assert batch.joints[..., 0, 2].min() > 1.1
    # Feet below heads in the picture (y down): people stand upright before the camera.
    upright = (pixels[..., 27:29, 1].mean(-1) - pixels[..., 7:9, 1].mean(-1)) > 0
    assert upright.float().mean() > 0.6


def test_losses_vanish_at_the_truth(batch: LandmarkBatch) -> None:
    rotations = torch.cat([batch.truth.global_orient[:, :, None], batch.truth.body_pose], dim=2)
    perfect = HumanOutput(rotations=rotations[:, None], betas=batch.truth.betas[:, :1], token=torch.zeros(6, 1, 5, 1))
    terms = loss_terms(perfect, batch, load_body())
    assert all(float(value) < 2e-3 for value in terms.values()), terms


def test_a_training_step_is_finite_and_scores_have_names(batch: LandmarkBatch) -> None:
    torch.manual_seed(0)
    branch = LandmarkBranch(LandmarkBranchConfig(dim=32, num_heads=4, stage_depths=(1,)))
    loss, _ = compute_loss(branch, batch, load_body(), LifterConfig())
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in branch.parameters())
    with torch.no_grad():
        scores = score_batches(branch.eval(), [batch], load_body())
    assert scores["joints_mm"] < 300 and scores["picture_percent"] < 20


def test_a_pool_survives_its_file(pool: MotionPool, tmp_path) -> None:
    pool.save(tmp_path / "motions.pt")
    assert torch.equal(MotionPool.load(tmp_path / "motions.pt").rotations_aa, pool.rotations_aa)
