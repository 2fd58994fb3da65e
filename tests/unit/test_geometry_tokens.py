"""Geometry in tokens against a slow twin that walks over patches, and the branch that hands them on."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from unish.network import PRESETS
from unish.network.geometry_tokens import NUM_GEOMETRY, NUM_PLACE, append_geometry, describe_place
from unish.network.small_scene import SmallScene

GRID = (2, 3)


def test_channels_say_where_the_points_of_a_patch_are() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(1, 2, 8, 5, generator=generator)
    log_depth = 1.2 + torch.randn(2, 32, 48, generator=generator)
    logits = torch.randn(2, 8, 12, generator=generator)
    rays = torch.randn(2, 6, 2, generator=generator)

    found = append_geometry(hidden, GRID, log_depth, logits, rays)

    torch.testing.assert_close(found[..., :5].mean(-1), torch.zeros(1, 2, 8), atol=1e-6, rtol=0)
    torch.testing.assert_close(found[..., :5].std(-1, correction=0), torch.ones(1, 2, 8), atol=1e-3, rtol=0)
    for frame in range(2):
        values = log_depth[frame].double().numpy()
        for patch in range(6):
            row, column = divmod(patch, 3)
            cell = values[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
            sure = logits[frame, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].mean()
            x, y = rays[frame, patch].tolist()
            wanted = [
                2 * (cell.mean() - 1.2), 2 * (cell.min() - 1.2), 5 * cell.std(), float(sure) / 2, 2 * x, 2 * y,
                4 * (x * x + y * y), 2 * (cell.mean() - values.mean()),
            ]  # fmt: skip
            for frequency in (4, 8, 16, 32):
                wanted += [wave(frequency * place) for wave in (math.sin, math.cos) for place in (x, y)]
            told = found[0, frame, 2 + patch, 5:].numpy() / 3
            np.testing.assert_allclose(told, wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[:, :, :2, 5:], found[:, :, 2:, 5:].mean(2, keepdim=True).expand(-1, -1, 2, -1))


def test_places_of_patches_and_people_are_told_alike() -> None:
    """The product of what both say is largest where they are the same place: attention can find a person's patch."""
    ys, xs = torch.meshgrid(torch.linspace(-0.4, 0.4, 8), torch.linspace(-0.5, 0.5, 10), indexing="ij")
    rays = torch.stack([xs, ys], dim=-1).reshape(1, 80, 2)
    hidden = torch.zeros(1, 1, 81, 4)
    tokens = append_geometry(hidden, (8, 10), torch.zeros(1, 128, 160), torch.zeros(1, 32, 40), rays)[0, 0, 1:]
    people = describe_place(rays[0], torch.full((80,), 0.25))
    waves = NUM_PLACE - 3
    assert torch.equal((people[:, -waves:] @ tokens[:, -waves:].T).argmax(1), torch.arange(80))
    assert people[:, 2].abs().max() < 1e-6  # four metres away: the usual size


def test_the_small_branch_appends_its_answer_only_if_told_to() -> None:
    torch.manual_seed(0)
    config = PRESETS["tiny"]().scene
    images = torch.rand(1, 2, 3, 48, 64)
    plain = SmallScene(config).eval()
    telling = SmallScene(replace(config, geometry_in_tokens=True)).eval()
    telling.load_state_dict(plain.state_dict())
    with torch.no_grad():
        before, after = plain(images), telling(images)
    assert before.hidden.shape[-1] == plain.hidden_dim
    assert after.hidden.shape[-1] == telling.hidden_dim == plain.hidden_dim + NUM_GEOMETRY
    normalised = torch.nn.functional.layer_norm(before.hidden, before.hidden.shape[-1:])
    assert torch.equal(after.hidden[..., :-NUM_GEOMETRY], normalised)
    assert torch.equal(after.local_points, before.local_points)
    depth = after.local_points[..., 2].log()
    mean = depth.unfold(2, 16, 16).unfold(3, 16, 16).mean((-1, -2)).flatten(2)
    told = after.hidden[:, :, config.decoder.num_special_tokens :, plain.hidden_dim]
    torch.testing.assert_close(told, 6 * (mean - 1.2), rtol=1e-4, atol=1e-4)
