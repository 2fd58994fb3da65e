"""The sky: found in pictures, refined to their edges, out of stillness and of what is confident, and in the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_reconstruction_assemble import assemble_two
from test_stillness import HEIGHT, NOBODY, WIDTH, film
from test_stitch import CAMERA, make_world

from joined import join
from standing_shots import HEIGHT as SHOT_HEIGHT
from standing_shots import WIDTH as SHOT_WIDTH
from unish.lab.synthetic import SynthConfig, make_clip
from unish.network import sky
from unish.network.sky import STRIDE, SkyHead, find_sky, refine, walk
from unish.reconstruction import camera_stood_still, leave_out
from unish.structs import Reconstruction


def test_a_prediction_without_sky_is_the_very_same() -> None:
    world = make_world(4, num_people=1)
    assert leave_out(world, torch.zeros(world.point_conf_logits.shape[1:], dtype=torch.bool)) is world


def test_the_sky_is_not_confident_and_a_unit_stays_as_many_metres() -> None:
    """Half of the picture is sky, five times as far as the network's mean: its scale is about all of it."""
    world = make_world(4, num_people=1)
    sky = torch.zeros(world.point_conf_logits.shape[1:], dtype=torch.bool)
    sky[:, : sky.shape[1] // 2] = True
    points = torch.where(sky[None, ..., None], 5 * world.local_points, world.local_points)
    far = replace(world, local_points=points, scale=(2.0 * points.norm(dim=-1).mean())[None])
    cleared = leave_out(far, sky)
    assert (cleared.point_conf_logits.sigmoid()[0][sky] < 1e-12).all()
    torch.testing.assert_close(cleared.point_conf_logits[0][~sky], world.point_conf_logits[0][~sky], rtol=0, atol=0)
    valid = torch.ones(1, 4, dtype=torch.bool)
    shots = [join([one], [range(4)], valid, CAMERA) for one in (far, cleared)]
    assert shots[0].network_scale == pytest.approx(2.0, rel=1e-5)
    assert shots[1].network_scale == pytest.approx(2.0, rel=1e-5)
    assert leave_out(replace(far, scale=None), sky).scale is None
    nothing = leave_out(far, torch.ones_like(sky))
    assert join([nothing], [range(4)], valid, CAMERA).network_scale is None


def test_clouds_do_not_move_a_tripod() -> None:
    """The upper two thirds of the picture drift; what stands below them does not."""
    pictures, sky = film(), torch.zeros(NOBODY.shape, dtype=torch.bool)
    sky[:, : 2 * HEIGHT // 3] = True
    pictures = torch.where(sky[..., None], film(2.0), pictures)
    assert pictures.shape[1:3] == (HEIGHT, WIDTH)
    assert not camera_stood_still(pictures, NOBODY)
    assert not camera_stood_still(pictures, NOBODY, torch.zeros_like(sky))
    assert camera_stood_still(pictures, NOBODY, sky)
    assert not camera_stood_still(film(2.0), NOBODY, sky), "the ground moves too"


def test_the_file_has_the_sky_and_no_depth_there(tmp_path: Path) -> None:
    before = assemble_two()
    assert before.sky is None and (before.depth[2:] > 0).any()
    sky = np.zeros((5, SHOT_HEIGHT, SHOT_WIDTH), bool)
    sky[:, :20] = True
    record = assemble_two(sky=torch.from_numpy(sky))
    assert (record.depth[sky] == 0).all()
    np.testing.assert_array_equal(record.depth[~sky], before.depth[~sky])
    for name, one in (("with", record), ("without", before)):
        one.save(tmp_path / f"{name}.npz")
    np.testing.assert_array_equal(Reconstruction.load(tmp_path / "with.npz").sky, sky)
    assert Reconstruction.load(tmp_path / "without.npz").sky is None
    with np.load(tmp_path / "with.npz") as file:
        assert file["sky"].dtype == np.bool_
    with np.load(tmp_path / "without.npz") as file:
        assert "sky" not in file.files


def test_the_mask_ends_where_the_picture_has_its_edge() -> None:
    """The head knows cells of four pixels; the border between blue and brown lies inside one, askew."""
    height, width, factor = 64, 96, 3
    rows, columns = torch.meshgrid(torch.arange(factor * height), torch.arange(factor * width), indexing="ij")
    sky = rows < 90 + 0.2 * columns
    colours = torch.where(sky[..., None], torch.tensor([0.5, 0.7, 0.95]), torch.tensor([0.35, 0.3, 0.2]))
    pictures = colours.permute(2, 0, 1)[None] + 0.01 * torch.randn(1, 3, *sky.shape)
    small = torch.nn.functional.avg_pool2d(pictures, factor)
    cells = torch.nn.functional.avg_pool2d(sky.float()[None, None], factor * STRIDE)[:, 0]
    blurred = torch.nn.functional.avg_pool2d(cells[:, None], 3, stride=1, padding=1, count_include_pad=False)[:, 0]
    plain = torch.nn.functional.interpolate(blurred[:, None], sky.shape, mode="bilinear")[0, 0] > 0.5
    refined = refine(blurred, small, pictures)[0] > 0.5
    wrong = [int((mask != sky).sum()) for mask in (plain, refined)]
    assert wrong[1] < 150 and wrong[1] < wrong[0] / 2, wrong


def test_a_smooth_sky_is_sky_up_to_its_edges() -> None:
    """It grows lighter downwards; the head knows its lower half, and says next to nothing of the rest."""
    colours = torch.full((3, 24, 32), 0.25)
    colours[:, :16] = torch.linspace(0.5, 0.9, 16)[None, :, None]
    given = torch.full((24, 32), 0.02)
    given[:16], given[8:16] = 0.4, 0.95
    sky = torch.zeros(24, 32, dtype=torch.bool)
    sky[:16] = True
    assert torch.equal(walk(given, colours) > 0.5, sky)


def test_a_patch_of_sky_amid_much_that_is_none_is_none() -> None:
    """Snow of one colour, of which a part was taken for sky; beyond an edge the same share is a sky."""
    given = torch.full((24, 32), 0.1)
    given[14:20, 3:11] = 0.9
    snow = torch.full((3, 24, 32), 0.9)
    assert not (walk(given, snow) > 0.5).any()
    snow[:, 14:20, 3:11] = 0.6
    assert torch.equal(walk(given, snow) > 0.5, given > 0.5)


def test_the_mask_is_what_the_walk_says(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.randint(0, 255, (1, 48, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    for said in (0.0, 1.0):
        monkeypatch.setattr(sky, "walk", lambda probability, colours, said=said: torch.full_like(probability, said))
        assert (find_sky(image) == (said > 0)).all()


def test_the_head_is_light() -> None:
    assert sum(weight.numel() for weight in SkyHead().parameters()) < 11_000


@pytest.mark.slow
def test_frames_are_judged_one_by_one() -> None:
    """More of them at once, or in another order, change nothing but rounding."""
    images = torch.randint(0, 255, (6, 48, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[2:5, :24] = torch.tensor([120, 170, 240], dtype=torch.uint8)
    together, turned = find_sky(images), find_sky(images.flip(0)).flip(0)
    alone = torch.cat([find_sky(image[None]) for image in images])
    assert together.shape == images.shape[:3] and together.dtype == torch.bool
    assert (together != alone).float().mean() < 1e-3 and (together != turned).float().mean() < 1e-3
    assert find_sky(images[:0]).shape == (0, 48, 64)


@pytest.mark.slow
def test_skies_of_places_never_seen_are_found_and_ceilings_are_none() -> None:
    """A street and a room of a seed that taught nothing; docs/research/sky.md has the measured numbers."""
    outdoors = make_clip(
        5, 0, SynthConfig(size=(160, 224), num_frames=2, fps=1.0, place="open", samples=1, max_people=1)
    )
    truth = outdoors.extra["truth_sky"]
    found = find_sky(torch.from_numpy(outdoors.images)).numpy()
    assert truth.mean() > 0.05 and (found & truth).sum() / (found | truth).sum() > 0.9
    inside = make_clip(5, 1, SynthConfig(size=(160, 224), num_frames=2, fps=1.0, place="corridor", samples=1))
    assert not inside.extra["truth_sky"].any() and find_sky(torch.from_numpy(inside.images)).float().mean() < 0.01
