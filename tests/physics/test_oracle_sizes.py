"""A height or a distance that the user knows makes everything in the world as large as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from oracle_world import CLIP_SIZE, SHOTS, SIZE, SOURCE_SIZE, OracleNetwork, World, make_world
from unish.body import load_body, resize_shape
from unish.errors import InputError
from unish.geometry.camera import unproject
from unish.network.config import tiny_config
from unish.pipeline import Result, Settings, run

pytestmark = pytest.mark.slow

CONFIG = replace(tiny_config(), long_side=128, multiple=32)
FOCAL, WRONG = 220.0, 0.08
"""The network takes everybody for so much larger (logarithm)."""

FRAME = 3
PIXELS = ((60, 20), (62, 100))
"""(row, column) of two places on the floor, of the processed frame."""


@pytest.fixture(scope="module")
def world() -> World:
    camera = torch.tensor([[FOCAL, 0, CLIP_SIZE[1] / 2], [0, FOCAL, CLIP_SIZE[0] / 2], [0, 0, 1]]).expand(2, 3, 3)
    return make_world(load_body(), camera, betas=torch.zeros(2, 10))


def reconstruct(world: World, *, work: Path | None = None, **settings: Any) -> Result:
    betas = resize_shape(world.body, world.betas, torch.full((2,), WRONG))
    network = OracleNetwork(world=world, config=CONFIG, betas=betas)
    given = (2 * FOCAL, 2 * FOCAL, float(CLIP_SIZE[1]), float(CLIP_SIZE[0]))
    people = (world.tracks, world.landmarks)
    return run(
        world.clip,
        settings=Settings(person_points=False, window=5, overlap=2, intrinsics=given, **settings),
        people_finder=lambda clip, size: people,
        network=network,
        work=work,
    )


def scene_ratio(world: World, result: Result) -> list[float]:
    """Median of found over true depth of the scene in each shot."""
    sure = (world.conf_logits > 0).numpy() & (world.tracks.masks.numpy() < 0)
    ratio = result.reconstruction.depth / world.depth.numpy()
    return [float(np.median(ratio[shot][sure[shot]])) for shot in SHOTS]


def heights(world: World, result: Result) -> list[float]:
    return world.body.standing_height(torch.from_numpy(result.reconstruction.betas)).tolist()


def joint_error(world: World, result: Result, person: int) -> float:
    """Largest distance of a joint from the truth, metres."""
    valid = world.tracks.valid[person].numpy()
    true = world.body.joints(world.world_params())[person].numpy()
    return float(np.abs(result.reconstruction.joints[person] - true)[valid].max())


def known_span(world: World, factor: float = 1.0) -> tuple[float, float, float, float, float, float]:
    """The true distance between two places on the floor, times ``factor``, as a user would give it."""
    points = unproject(world.depth[FRAME], world.intrinsics[FRAME])
    (y1, x1), (y2, x2) = PIXELS
    metres = float((points[y1, x1] - points[y2, x2]).norm())
    scale = SOURCE_SIZE[1] / SIZE[1], SOURCE_SIZE[0] / SIZE[0]
    pixels = ((x + 0.5) * scale[0] if axis == 0 else (y + 0.5) * scale[1] for y, x in PIXELS for axis in (0, 1))
    first_x, first_y, second_x, second_y = pixels
    return first_x, first_y, second_x, second_y, float(world.clip.timestamps_s[FRAME]), metres * factor


@pytest.fixture(scope="module")
def unknown(world: World) -> Result:
    """Without any known size."""
    return reconstruct(world)


def test_without_them_everything_is_as_large_as_the_network_thinks(world: World, unknown: Result) -> None:
    assert scene_ratio(world, unknown) == pytest.approx([np.exp(WRONG)] * 2, rel=0.02)


@pytest.mark.parametrize(("given", "settle"), [([4, 9], True), ([4], True), ([4], False)], ids=str)
def test_a_known_height_is_exact_and_brings_the_scene(world: World, given: list[int], settle: bool) -> None:
    true = float(world.body.standing_height(world.betas[0]))
    result = reconstruct(world, settle=settle, person_height={person_id: true for person_id in given})
    assert scene_ratio(world, result) == pytest.approx([1.0, 1.0], rel=0.02)
    for person, person_id in enumerate((4, 9)):
        if person_id in given:
            assert heights(world, result)[person] == pytest.approx(true, abs=1e-3)
            assert joint_error(world, result, person) < 0.05
            assert result.report["people"][person]["size"] == f"{true:.2f} m, given"
    assert all(0 < person["certainty"] <= 1 for person in result.report["people"])
    if settle:
        # The other one's size follows from the floor on which both stand, as far as a few stances tell.
        assert max(heights(world, result)) < true * np.exp(WRONG) - 0.01


def test_a_known_distance_resizes_all_shots_in_which_its_people_are(world: World, unknown: Result) -> None:
    result = reconstruct(world, known_distance=[known_span(world)])
    assert scene_ratio(world, result) == pytest.approx([1.0, 1.0], rel=0.02)
    true = float(world.body.standing_height(world.betas[0]))
    assert heights(world, result) == pytest.approx([true] * 2, rel=0.01)
    # One similarity: what is seen in the picture stays where it was, and so does everything beside everything else.
    found, old = result.reconstruction, unknown.reconstruction
    factor = float(np.median(found.depth[found.depth > 0] / old.depth[found.depth > 0]))
    known, scene = old.depth > 0, old.person_masks < 0
    np.testing.assert_allclose(found.depth[known & scene], factor * old.depth[known & scene], rtol=1e-5)
    # People's own points go with the bodies, whose paths are smoothed in metres. Measured: 1.5e-5.
    np.testing.assert_allclose(found.depth[known & ~scene], factor * old.depth[known & ~scene], rtol=3e-5)
    np.testing.assert_allclose(found.c2w[:, :3, 3], factor * old.c2w[:, :3, 3], atol=1e-5)
    np.testing.assert_allclose(found.floor[:, 3], factor * old.floor[:, 3], rtol=1e-5)
    valid = world.tracks.valid.numpy()
    np.testing.assert_allclose(found.joints[valid], factor * old.joints[valid], atol=0.02)
    table = [one.extra["depth_correction"][valid] for one in (found, old)]
    np.testing.assert_allclose(table[0][:, 4], factor * table[1][:, 4], rtol=1e-4)
    assert not any("nobody measures the scene" in warning for warning in result.report["warnings"])


def test_distances_that_disagree_are_averaged_and_said(world: World) -> None:
    result = reconstruct(world, known_distance=[known_span(world, 0.9), known_span(world, 1.1)])
    assert scene_ratio(world, result) == pytest.approx([np.sqrt(0.9 * 1.1)] * 2, rel=0.02)
    assert any("differ by a factor of 1.22: their mean" in warning for warning in result.report["warnings"])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"person_height": {7: 1.72}}, "nobody has the id 7: the people are 4, 9"),
        ({"known_distance": [(10.0, 10.0, 600.0, 10.0, 7200.0, 2.0)]}, "not within the picture of 500×300"),
        ({"known_distance": [(10.0, 10.0, 40.0, 10.0, 7200.0, 2.0)]}, "no depth is known"),
        ({"known_distance": [(200.0, 280.0, 300.0, 280.0, 100.0, 2.0)]}, "nearest frame with depth is at 7200.00 s"),
    ],
    ids=["nobody", "outside", "unsure", "too early"],
)
def test_what_cannot_be_is_one_sentence(world: World, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said.replace(".", r"\.")) as caught:
        reconstruct(world, **settings)
    assert "\n" not in str(caught.value)


def test_a_run_goes_on_with_other_sizes_without_looking_again(world: World, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nobody has the id 7"):
        reconstruct(world, work=tmp_path / "work", person_height={7: 1.72})
    windows = {path: path.stat().st_mtime_ns for path in (tmp_path / "work" / "windows").iterdir()}
    result = reconstruct(world, work=tmp_path / "work", person_height={4: 1.5})
    assert heights(world, result)[0] == pytest.approx(1.5, abs=1e-3)
    assert windows == {path: path.stat().st_mtime_ns for path in (tmp_path / "work" / "windows").iterdir()}
