"""Cameras and people between the frames that the scene branch has seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unish.geometry.camera import zoom_intrinsics
from unish.geometry.rigid import make_rigid
from unish.geometry.rotation import axis_angle_to_matrix
from unish.lab.synthetic.cameras.hands import sample_shake, sample_steps
from unish.reconstruction.between import (
    interpolate_cameras,
    interpolate_intrinsics,
    interpolate_points,
    interpolate_values,
)


def hand(times_s: np.ndarray, seed: int) -> torch.Tensor:
    """A camera in the hands of somebody who walks: drift, sway, steps, and a tremor of .06 degrees that is too fast to
    be followed."""
    rng = np.random.default_rng(seed)
    turn, place = (
        np.add(*parts) for parts in zip(sample_shake(rng, times_s), sample_steps(rng, times_s, 1.2, 0.3), strict=True)
    )
    place = place + np.array([0.35, 0.0, 1.1]) * times_s[:, None]
    return make_rigid(axis_angle_to_matrix(torch.from_numpy(turn)), torch.from_numpy(place)).float()


@pytest.mark.parametrize("seed", range(5))
def test_a_hand_is_followed_between_six_frames_a_second(seed: int) -> None:
    """Half of the frames between are at most .4 cm and .17 degrees off (worst of 40 hands)."""
    times = np.arange(121) / 30
    dense = np.arange(0, 121, 5)
    true = hand(times, seed)
    found = interpolate_cameras(times[dense], true[dense], times)
    assert torch.equal(found[dense], true[dense]), "those that were solved stay as they are"
    between = np.setdiff1d(np.arange(121), dense)
    off = (found[between, :3, 3] - true[between, :3, 3]).norm(dim=-1)
    cosine = ((found[:, :3, :3].double().mT @ true[:, :3, :3].double()).diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    turned = torch.rad2deg(cosine.clamp(-1, 1).acos())[between]
    assert float(off.median()) < 0.0045 and float(off.quantile(0.95)) < 0.01
    assert float(turned.median()) < 0.2 and float(turned.quantile(0.95)) < 0.32
    straight = true[dense[:-1]].repeat_interleave(5, dim=0)
    late = (straight[:, :3, 3] - true[:-1, :3, 3]).norm(dim=-1)
    assert float(off.max()) < 0.2 * float(late.max()), "what holding the last camera would be off"


@pytest.mark.parametrize("num_known", [1, 2, 3])
def test_few_cameras(num_known: int) -> None:
    times = np.arange(7) / 7
    dense = np.linspace(0, 6, num_known).round().astype(int)
    true = make_rigid(torch.eye(3).repeat(7, 1, 1), torch.arange(7)[:, None] * torch.tensor([0.0, 0.0, 0.1]))
    found = interpolate_cameras(times[dense], true[dense], times)
    wanted = true if num_known > 1 else true[:1].repeat(7, 1, 1)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_a_lens_that_zooms_does_so_between_frames_and_another_stays_as_it_is() -> None:
    lens = torch.tensor([[[300.1, 0, 160], [0, 300.1, 120], [0, 0, 1]]])
    known, times = np.array([0.0, 1.0]), np.array([0.0, 0.25, 1.0])
    found = interpolate_intrinsics(known, zoom_intrinsics(lens[0], torch.tensor([1.0, 1.2])), times)
    torch.testing.assert_close(found[:, 0, 0], 300.1 * torch.tensor([1.0, 1.05, 1.2]))
    assert torch.equal(found[:, :, 2], lens[:, :, 2].expand(3, 3))
    assert torch.equal(interpolate_intrinsics(known, lens.repeat(2, 1, 1), times), lens.repeat(3, 1, 1))


def test_points_lie_on_lines_between_finite_ones() -> None:
    points = torch.tensor([[0.0, 0, 1], [torch.nan] * 3, [2.0, 0, 3]])
    found = interpolate_points(np.array([1.0, 2.0, 3.0]), points, np.array([0.5, 1.0, 1.5, 2.0, 3.0, 3.5]))
    assert found[[0, 5]].isnan().all()
    torch.testing.assert_close(found[1:5, 0], torch.tensor([0.0, 0.5, 1.0, 2.0]))
    torch.testing.assert_close(found[1:5, 2], torch.tensor([1.0, 1.5, 2.0, 3.0]))
    assert interpolate_points(np.array([1.0]), torch.full((1, 3), torch.nan), np.arange(3.0)).isnan().all()


def test_values_are_told_of_every_frame_of_a_person() -> None:
    nan = torch.nan
    values = torch.tensor([[nan, 1.0, nan, 3.0, nan], [nan] * 5, [2.0, nan, nan, nan, nan]])
    found = interpolate_values(values, np.array([0.0, 1.0, 1.5, 3.0, 4.0]))
    torch.testing.assert_close(found[0], torch.tensor([1.0, 1.0, 1.5, 3.0, 3.0]))
    assert found[1].isnan().all() and found[2].tolist() == [2.0] * 5
