"""A network that is sure of nonsense where no scene is, sky or padding: nothing else in the result may know of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from test_oracle_pipeline import CASES, Case

from oracle_world import CLIP_SIZE, SIZE, OracleNetwork, World, make_world
from unish.body import load_body
from unish.export.points import choose_points
from unish.passes import network_pass, observations
from unish.pipeline import Result, Settings, run
from unish.structs import Prediction

SKY_ROWS = slice(12, 22)


@dataclass
class UnderSky(OracleNetwork):
    """Its sky is nearer than the wall behind it, by another slant in every call; its scale counts it."""

    sky: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    seen: bool = True

    def __call__(self, *arguments: object, **named: object) -> Prediction:
        truth = super().__call__(*arguments, **named)  # type: ignore[arg-type]
        frames = self.calls[-1][0]
        sky = self.sky[list(frames)]
        assert torch.equal(named["usable"][0], ~(sky & self.seen)), "the network is told what is no scene"  # type: ignore[index]
        slant = torch.linspace(0.2, 0.6, SIZE[1])[:, None] * torch.tensor([1.0, 1.7, 1 / len(self.calls)])
        points = torch.where(sky[None, ..., None], truth.local_points * slant, truth.local_points)
        before, after = (p.norm(dim=-1)[truth.point_conf_logits > 0].mean() for p in (truth.local_points, points))
        assert truth.scale is not None
        return replace(truth, local_points=points, scale=truth.scale * (after / before))


def reconstruct(
    case: Case, monkeypatch: pytest.MonkeyPatch, *, people: int, seen: bool = True
) -> tuple[World, torch.Tensor, Result]:
    body, shapes = load_body(), torch.zeros(2, 10)
    world = make_world(body, case.cameras, betas=shapes, people=people)
    rows = torch.zeros(SIZE, dtype=torch.bool)
    rows[SKY_ROWS] = True
    sky = rows & (world.tracks.masks < 0)
    network = UnderSky(world=world, config=case.config, betas=shapes, sky=sky, seen=seen)
    # The pictures are noise; whoever looks is told. People are in front, whatever is said behind them.
    monkeypatch.setattr(observations, "find_sky", lambda images: rows.expand(len(images), *SIZE) & seen)
    fx, fy, cx, cy = (case.cameras[0, i, j].item() * 2 for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    settings = Settings(
        sky=True, window=5, overlap=2, intrinsics=(fx, fy, cx, cy) if case.known else None, person_points=False
    )
    result = run(
        world.clip, settings=settings, people_finder=lambda clip, size: (world.tracks, world.landmarks),
        network=network,
    )  # fmt: skip
    return world, sky, result


@pytest.mark.slow
@pytest.mark.parametrize("name", ["small, known, off centre", "release, unknown camera"])
def test_the_world_comes_back_whatever_is_said_of_the_sky(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Camera, scale of windows, metres, floor and depth as in the test without a sky, and with its tolerances."""
    world, sky, result = reconstruct(CASES[name], monkeypatch, people=2)
    found, hidden = result.reconstruction, sky.numpy()
    assert found.sky is not None
    np.testing.assert_array_equal(found.sky, hidden)
    assert (found.depth[hidden] == 0).all() and (found.point_conf[hidden] == 0).all()
    np.testing.assert_allclose(found.intrinsics, world.intrinsics.numpy(), rtol=3e-7)
    np.testing.assert_allclose(found.c2w, world.c2w.numpy(), rtol=0, atol=1e-4)
    valid = world.tracks.valid.numpy()
    joints = world.body.joints(world.world_params()).numpy()
    if CASES[name].config.body == "free":
        np.testing.assert_allclose(found.joints[valid], joints[valid], rtol=0, atol=0.015)
    scene = (world.conf_logits > 0).numpy() & (world.tracks.masks.numpy() < 0) & ~hidden
    assert np.abs(found.depth[scene] / world.depth.numpy()[scene] - 1).max() < 8e-4
    floors = world.floors().numpy()
    np.testing.assert_allclose(found.floor, floors, rtol=0, atol=0.013)
    for row in result.report["shots"]:
        assert row["depth_jump"] < 1.01
        assert row["static_disagreement_percent"] < 1.0 and (row["verdict"], row["reasons"]) == ("good", [])
    # People's own points, where there are any, may be more than they have pixels.
    chosen = choose_points(replace(found, person_points=None), max_points=10**6)
    world_points = found.world_points()
    for frame in range(found.num_frames):
        centre = found.c2w[frame, :3, 3]
        of_frame = chosen.xyz[chosen.frame == frame]
        assert len(of_frame) > 0 and np.linalg.norm(of_frame - centre, axis=-1).min() > 1.0
        assert len(of_frame) <= int((found.depth[frame] > 0).sum())
        assert np.allclose(world_points[frame][hidden[frame]], centre, atol=1e-5), "nothing but the camera itself"


def test_the_networks_own_scale_stays_what_it_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a mean distance with the sky in it; without people it is all that there is."""
    world, sky, result = reconstruct(CASES["small, known, off centre"], monkeypatch, people=0)
    scene = (world.conf_logits > 0).numpy() & ~sky.numpy()
    np.testing.assert_allclose(result.reconstruction.depth[scene], world.depth.numpy()[scene], rtol=2e-3)


@pytest.mark.slow
def test_the_same_sky_unseen_spoils_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the tests above can fail: the near sky is in the file, and a camera solved from it is another one, which
    the network notices when it is told."""
    _, sky, result = reconstruct(CASES["small, known, off centre"], monkeypatch, people=2, seen=False)
    found = result.reconstruction
    assert found.sky is not None and not found.sky.any() and (found.depth[sky.numpy()] > 0).all()
    with pytest.raises(AssertionError, match="not close"):
        reconstruct(CASES["release, unknown camera"], monkeypatch, people=2, seen=False)


@pytest.mark.slow
def test_clouds_are_nothing_to_stand_still_by(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[torch.Tensor] = []
    monkeypatch.setattr(
        network_pass, "camera_stood_still", lambda images, masks, no_scene: bool(told.append(no_scene[:]))
    )
    _, sky, _ = reconstruct(CASES["small, known, off centre"], monkeypatch, people=2)
    assert torch.equal(torch.cat(told), sky) and [len(part) for part in told] == [7, 4]


@pytest.mark.slow
@pytest.mark.parametrize("people", [0, 2])
def test_what_lies_beside_a_picture_spoils_nothing(people: int) -> None:
    """Four pictures do not fill their frames. Without people, the network's own scale counts them all."""
    case, shapes = CASES["small, known, off centre"], torch.zeros(2, 10)
    world = make_world(load_body(), case.cameras, betas=shapes, people=people)
    height, width = CLIP_SIZE
    areas = torch.tensor([[0, 0, height, width]]).repeat(world.clip.num_frames, 1)
    areas[[2, 5, 7, 8]] = torch.tensor([0, width // 4, height, width])
    hidden = torch.zeros_like(world.tracks.masks, dtype=torch.bool)
    # A quarter of 250 pixels is 62, which are 31.7 of 128.
    hidden[[2, 5, 7, 8], :, :32] = True
    network = UnderSky(world=world, config=case.config, betas=shapes, sky=hidden)
    fx, fy, cx, cy = (case.cameras[0, i, j].item() * 2 for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    found = run(
        replace(world.clip, picture_area=areas),
        settings=Settings(window=5, overlap=2, intrinsics=(fx, fy, cx, cy), person_points=False),
        people_finder=lambda clip, size: (world.tracks, world.landmarks),
        network=network,
    ).reconstruction
    assert found.sky is None and (found.depth[hidden.numpy()] == 0).all()
    scene = (world.conf_logits > 0).numpy() & (world.tracks.masks.numpy() < 0) & ~hidden.numpy()
    np.testing.assert_allclose(found.depth[scene], world.depth.numpy()[scene], rtol=2e-3)
    np.testing.assert_allclose(found.c2w, world.c2w.numpy(), rtol=0, atol=1e-4)
