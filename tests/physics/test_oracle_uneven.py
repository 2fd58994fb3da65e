"""People who walk up stairs or a ramp, or jump from a platform, with a network that knows them and the scene."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch

from oracle_world import CLIP_SIZE, OracleNetwork, World
from uneven_world import FOCAL_PX, FPS, clearance, make_uneven_world
from unish.body import load_body
from unish.network.config import tiny_config
from unish.pipeline import Result, Settings, run
from unish.reconstruction.contacts import REGIONS

CONFIG = replace(tiny_config(), long_side=128, multiple=32)
LOW_M, STILL_M_S = 0.02, 0.03
"""What touches in the truth: so near to the ground, and so slow from one frame to the next."""

SLIDE_CM_S = 2.5
"""1.6 to 2.1 of what touches when this was written."""


class Feet(NamedTuple):
    """Of what touches in the truth: slide (cm/s) and distance from the ground (cm)."""

    slide: np.ndarray
    gap: np.ndarray


def reconstruct(profile: str, *, moving: bool) -> tuple[World, Result]:
    world = make_uneven_world(load_body(), profile, moving=moving)
    network = OracleNetwork(world=world, config=CONFIG, betas=world.betas)
    camera = (2 * FOCAL_PX, 2 * FOCAL_PX, float(CLIP_SIZE[1]), float(CLIP_SIZE[0]))
    people = (world.tracks, world.landmarks)
    settings = Settings(person_points=False, window=12, overlap=4, intrinsics=camera)
    return world, run(world.clip, settings=settings, people_finder=lambda clip, size: people, network=network)


def measure_feet(world: World, result: Result, profile: str) -> Feet:
    true = world.body.vertices(world.world_params()).numpy()
    found = result.reconstruction.vertices(world.body)
    slide, gap = [], []
    for name in REGIONS:
        own = world.body.contact_vertices[name].numpy()
        height = clearance(world, profile, true[:, :, own])
        lowest = height.argmin(-1)[:, :-1, None, None]
        moved, truly = (
            np.linalg.norm(
                np.take_along_axis(points[:, 1:, own], lowest, 2) - np.take_along_axis(points[:, :-1, own], lowest, 2),
                axis=-1,
            )[..., 0]
            * FPS
            for points in (found, true)
        )
        low = np.abs(height.min(-1)) < LOW_M
        touches = low[:, 1:] & low[:, :-1] & (truly < STILL_M_S)
        slide.append(moved[touches])
        gap.append(np.abs(clearance(world, profile, found[:, :, own]).min(-1))[:, 1:][touches])
    return Feet(slide=100 * np.concatenate(slide), gap=100 * np.concatenate(gap))


@pytest.mark.slow
@pytest.mark.parametrize(("profile", "moving"), [("stairs", False), ("stairs", True), ("flat", False)])
def test_feet_stay_on_every_step(profile: str, moving: bool) -> None:
    world, result = reconstruct(profile, moving=moving)
    feet = measure_feet(world, result, profile)
    assert len(feet.gap) > 20 and np.median(feet.gap) < 0.5 and np.percentile(feet.gap, 95) < 1.5
    assert np.median(feet.slide) < SLIDE_CM_S
    found, truth = result.reconstruction.floor[0], world.floors()[0].numpy()
    np.testing.assert_allclose(found, truth, rtol=0, atol=0.02)
    levels = result.report["shots"][0]["supports_m"]
    assert (max(levels, default=0.0) > 0.4) == (profile == "stairs")


@pytest.mark.slow
def test_on_a_ramp_feet_are_on_what_the_map_shows() -> None:
    """No foot is farther off the plane through all of it than feet on a floor may be: the map alone tells the ramp."""
    feet = measure_feet(*reconstruct("ramp", moving=False), "ramp")
    assert len(feet.gap) > 20 and np.median(feet.gap) < 0.5 and np.percentile(feet.gap, 95) < 1.5
    assert np.median(feet.slide) < SLIDE_CM_S


@pytest.mark.slow
def test_who_jumps_from_a_platform_stands_on_it_flies_and_lands() -> None:
    world, result = reconstruct("platform", moving=True)
    feet = measure_feet(world, result, "platform")
    assert np.median(feet.slide) < 0.1 and np.percentile(feet.gap, 95) < 0.5
    found = result.reconstruction
    joints = world.body.joints(world.world_params()).numpy()
    assert np.abs(found.joints - joints).max() < 0.12
    height = clearance(world, "platform", found.vertices(world.body)).min(-1)
    assert height[0, 11] > 0.6, "in the air"
    touching = found.contact_prob[0].max(-1)
    assert (touching[:9] > 0.5).all() and (touching[10:12] < 0.1).all() and (touching[14:] > 0.5).all()
    assert result.report["shots"][0]["supports_m"] == pytest.approx([0.6], abs=0.02)


def test_on_uneven_ground_every_stance_is_on_what_is_under_its_sole() -> None:
    for profile in ("stairs", "ramp"):
        world = make_uneven_world(load_body(), profile, moving=False)
        height = clearance(world, profile, world.body.vertices(world.world_params()).numpy()).min(-1)
        assert np.median(np.abs(height)) < 0.005 and (np.abs(height) < 0.02).mean() > 0.8
        assert torch.isfinite(world.depth).all() and (world.tracks.masks >= 0).any()
