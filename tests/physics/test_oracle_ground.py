"""Feet as anchors, with a network that knows the people and errs about the scene: the whole pipeline mends the scene.

Tolerances are twice the largest error; what is left comes from smoothing distances over time, as in
``test_oracle_pipeline``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from oracle_world import CLIP_SIZE, NUM_FRAMES, SHOTS, OracleNetwork, World, make_world
from unish.body import Body, load_body
from unish.geometry.camera import unproject
from unish.network.config import tiny_config
from unish.passes import settled as settle_pass
from unish.pipeline import Result, Settings, run
from unish.reconstruction import Ground, MetricShot, ShotEvidence
from unish.reconstruction.shot import replace_people
from unish.structs import HumanInputs, Prediction

CONFIG = replace(tiny_config(), long_side=128, multiple=32)
FOCAL = 220.0


class ErringNetwork(OracleNetwork):
    """Sees people where they are, and the scene ``factor`` · (depth / 4 m)^``bowl`` times as deep as it is."""

    factor: float = 1.0
    bowl: float = 0.0

    def __call__(
        self,
        images: Tensor,
        humans: HumanInputs | None,
        timestamps: Tensor,
        intrinsics: Tensor | None = None,
        **seen: Any,
    ) -> Prediction:
        true = super().__call__(images, humans, timestamps, intrinsics, **seen)
        index = list(self._recognise(images))
        world = self.world
        depth = world.depth[index]
        scene = world.tracks.masks[index] < 0
        wrong = torch.where(scene, depth * self.factor * (depth / 4) ** self.bowl, depth)
        unit = world.depth[index][:, -1, -1] / true.local_points[0, :, -1, -1, 2]
        points = unproject(wrong, world.intrinsics[index]) / unit[:, None, None, None]
        c2w = true.c2w.clone()
        c2w[..., :3, 3] *= self.factor
        return replace(true, local_points=points[None], c2w=c2w)


def reconstruct(
    *,
    lift: Tensor | None = None,
    factor: float = 1.0,
    bowl: float = 0.0,
    settle: bool = True,
    sigma_px: float | None = None,
    work: Path | None = None,
) -> tuple[World, Result]:
    camera = torch.tensor([[FOCAL, 0, CLIP_SIZE[1] / 2], [0, FOCAL, CLIP_SIZE[0] / 2], [0, 0, 1]]).expand(2, 3, 3)
    world = make_world(load_body(), camera, betas=torch.zeros(2, 10), lift=lift)
    network = ErringNetwork(world=world, config=CONFIG, betas=world.betas)
    network.factor, network.bowl = factor, bowl
    given = (2 * FOCAL, 2 * FOCAL, float(CLIP_SIZE[1]), float(CLIP_SIZE[0]))
    settings = Settings(person_points=False, window=5, overlap=2, intrinsics=given, settle=settle)
    landmarks = world.landmarks
    if sigma_px is not None:
        landmarks = replace(landmarks, sigma_px=torch.full(landmarks.px.shape[:3], sigma_px))
    people = (world.tracks, landmarks)
    found = run(world.clip, settings=settings, people_finder=lambda clip, size: people, network=network, work=work)
    return world, found


def scene_error(world: World, result: Result) -> tuple[float, float]:
    """Median of |log| depth error of the floor and of the wall, the people left out."""
    sure = (world.conf_logits > 0).numpy() & (world.tracks.masks.numpy() < 0)
    found, true = result.reconstruction.depth, world.depth.numpy()
    error = np.abs(np.log(np.where(sure, found, 1.0) / true))
    floor = true < 7.0
    return float(np.median(error[sure & floor])), float(np.median(error[sure & ~floor]))


def people_error(world: World, result: Result) -> float:
    """Largest distance of a joint from the truth, metres."""
    valid = world.tracks.valid.numpy()
    true = world.body.joints(world.world_params()).numpy()
    return float(np.abs(result.reconstruction.joints - true)[valid].max())


def feet_error(world: World, result: Result) -> float:
    """Largest median distance of somebody's lowest point from the floor over the frames of a shot, metres."""
    found = result.reconstruction
    low = (found.vertices(world.body) * found.floor[found.segment][:, None, :3]).sum(-1).min(-1)
    height = low + found.floor[found.segment][:, 3]
    return max(float(np.abs(np.nanmedian(height[:, shot], axis=1)).max()) for shot in SHOTS)


def test_a_scene_of_the_wrong_size_is_mended() -> None:
    world, before = reconstruct(factor=1.15, settle=False)
    assert scene_error(world, before)[0] > 0.1
    world, after = reconstruct(factor=1.15)
    # These people glide by 10 and 16 cm/s while they stand, which feet that are held do not.
    assert max(scene_error(world, after)) < 0.06 and people_error(world, after) < 0.04
    assert feet_error(world, after) < 0.01
    np.testing.assert_allclose(after.reconstruction.c2w, world.c2w.numpy(), rtol=0, atol=0.02)
    for shot in after.report["shots"]:
        assert shot["ground"] == "feet" and shot["contacts"] >= 8
        assert shot["scene_resized_percent"] == pytest.approx(100 * (1 / 1.15 - 1), abs=5.0)


def test_a_bowl_is_mended_where_people_stand() -> None:
    world, before = reconstruct(bowl=0.15, factor=0.9, settle=False)
    world, after = reconstruct(bowl=0.15, factor=0.9)
    assert scene_error(world, after)[0] < 0.5 * scene_error(world, before)[0]
    # The found floor, which holds the tilt of the plane, leans with the bowl: who is not near the feet notices it.
    assert feet_error(world, after) < 0.07 < 0.5 * feet_error(world, before)
    assert people_error(world, after) < 0.02


def test_a_jumper_stays_in_the_air() -> None:
    jump = torch.zeros(2, NUM_FRAMES)
    jump[1, 1:5] = torch.tensor([0.3, 0.45, 0.45, 0.3])
    world, result = reconstruct(lift=jump)
    assert result.report["shots"][0]["ground"] == "feet"
    # Distances are smoothed over time, and people who jump come nearer to a camera that looks down.
    assert people_error(world, result) < 0.09
    found = result.reconstruction
    low = found.contact_prob[1, : SHOTS[0].stop].max(-1)
    assert (low[5:7] > 0.3).all() and (low[1:5][np.isfinite(low[1:5])] < 0.1).all()


def test_people_on_two_levels_have_two_supports() -> None:
    """One stands on the floor, the other one 60 cm higher; after the cut only the feet of the latter are seen."""
    world, result = reconstruct(lift=torch.tensor([[0.0], [0.6]]).expand(2, NUM_FRAMES), factor=1.1)
    found, (first, second) = result.reconstruction, result.report["shots"]
    assert first["ground"] == "feet" and first["scene_resized_percent"] == pytest.approx(-7, abs=4)
    np.testing.assert_allclose(found.floor[0], world.floors()[0].numpy(), rtol=0, atol=0.01)
    # Who stands on a table alone says nothing of the floor, but is carried by it.
    assert second["ground"] == "found floor; feet refused: the scene would have another size"
    assert first["supports_m"] == pytest.approx([0.6], abs=0.02) and second["supports_m"] == pytest.approx(
        [0.76], abs=0.04
    )
    seen = found.contact_prob.max(-1)
    assert np.nanmin(seen) > 0.5, "everybody touches what is under them"
    assert people_error(world, result) < 0.05
    assert found.ground_height is not None and found.ground_confidence is not None and found.ground_grid is not None
    assert np.nanmax(found.ground_height[0][found.ground_confidence[0] >= 0.9]) == pytest.approx(0.6, abs=0.02)
    low = [person["foot_to_floor_cm"] for person in result.report["people"]]
    assert low == pytest.approx([0.0, 0.0], abs=1.0)
    reasons = result.report["people"][1]["reasons"]
    assert reasons == ["person 9 stands on something 60 cm over the floor that the scene does not show"]
    alone = reconstruct(lift=torch.tensor([[0.0], [0.6]]).expand(2, NUM_FRAMES), factor=1.1, settle=False)[1]
    assert alone.report["shots"][0]["supports_m"] == [] and alone.reconstruction.ground_height is not None


def test_settling_in_another_way_does_not_observe_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, alone = reconstruct(factor=1.15, settle=False, work=tmp_path)
    monkeypatch.setattr(ErringNetwork, "__call__", lambda *args, **options: pytest.fail("the network is asked again"))
    _, settled = reconstruct(factor=1.15, work=tmp_path)
    assert alone.report["shots"][0]["ground"] == "found floor" and settled.report["shots"][0]["ground"] == "feet"


def test_what_the_file_says_of_contacts_and_the_curve_comes_back(tmp_path: Path) -> None:
    world, result = reconstruct(factor=1.1)
    found = result.reconstruction
    found.save(tmp_path / "reconstruction.npz")
    loaded = type(found).load(tmp_path)
    assert loaded.contact_names.tolist() == ["left_heel", "left_toe", "right_heel", "right_toe"]
    for name in ("contact_prob", "contact_thresholds", "depth_curve"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(found, name))
    valid = world.tracks.valid.numpy()
    assert np.isnan(found.contact_prob[~valid]).all()
    seen = np.isfinite(found.contact_prob)
    assert seen[valid].mean() > 0.7 and (found.contact_prob[seen] > 0.5).all(), "everybody stands all the time"
    assert (np.diff(found.depth_curve, axis=1) > 0).all(), "it rises"


def test_feet_on_a_floor_that_is_right_change_nothing() -> None:
    """They would only add their own noise: 7 millimetres from smoothing are half a degree of tilt."""
    _, settled = reconstruct()
    _, alone = reconstruct(settle=False)
    for name in ("floor", "gravity", "betas", "c2w"):
        ours, theirs = (getattr(result.reconstruction, name) for result in (settled, alone))
        assert np.array_equal(ours, theirs, equal_nan=True), name
    # People are where they were, but for what keeps their feet in place; the scene is.
    assert np.nanmax(np.abs(settled.reconstruction.transl - alone.reconstruction.transl)) < 0.02
    scene = settled.reconstruction.person_masks < 0
    np.testing.assert_array_equal(settled.reconstruction.depth[scene], alone.reconstruction.depth[scene])
    assert all(shot["ground"] == "found floor; feet agree" for shot in settled.report["shots"])


def test_motion_is_settled_on_the_ground_and_contacts_are_those_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is lifted by it is lifted in the result, points included, and touches nothing there."""
    _, before = reconstruct()
    asked: list[Ground] = []

    def lift(
        shot: MetricShot, evidence: ShotEvidence, ground: Ground, contact: Tensor, body: Body, support: Tensor
    ) -> MetricShot:
        assert support.shape == contact.shape and (support == 0).all(), "everybody stands on the floor"
        assert contact.shape == (*shot.valid.shape, 4)
        asked.append(ground)
        raised = replace(shot.params, transl=shot.params.transl + 0.5 * ground.floor[:3])
        return replace_people(shot, evidence, raised, body)

    monkeypatch.setattr("unish.passes.settled.settle_motion", lift)
    _, after = reconstruct()
    assert [ground.known for ground in asked] == [True, True]
    old, new = before.reconstruction, after.reconstruction
    up = new.floor[new.segment][None, :, :3]
    moved = ((new.transl - old.transl) * up).sum(-1)[new.person_valid]
    np.testing.assert_allclose(moved, 0.5, atol=0.03)
    assert np.nanmax(old.contact_prob) > 0.5 and np.nanmax(new.contact_prob) < 0.1
    asked.clear()
    reconstruct(settle=False)
    assert not asked


def test_errors_of_landmarks_reach_the_placing_of_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Tensor | None] = []
    compare = settle_pass.compare_shot

    def note(shot: Any, evidence: ShotEvidence, *given: Any) -> Any:
        told.append(evidence.landmarks_sigma_px)
        return compare(shot, evidence, *given)

    monkeypatch.setattr(settle_pass, "compare_shot", note)
    reconstruct()
    assert told == [None, None]
    told.clear()
    reconstruct(sigma_px=2.0)
    sizes = [tuple(sigma.shape) for sigma in told if sigma is not None]
    assert sizes == [(2, shot.stop - shot.start, 33) for shot in SHOTS]
    assert all(bool((sigma[sigma.isfinite()] > 0).all()) for sigma in told if sigma is not None)
