"""Known cameras: they stay, the depth takes their unit, and a wrong set of them is noticed."""

from __future__ import annotations

import math

import pytest
import torch

from furnished_room import RoomClip, bend, film_room, turn_errors, walk
from unish.geometry.camera import unproject
from unish.geometry.rigid import exp_twist, invert_rigid
from unish.network.outputs import SceneOutput
from unish.network.view_config import ViewSolverConfig
from unish.network.view_scene import refine_scene

CONFIG = ViewSolverConfig(num_keypoints=512, num_anchors=200)


def refine(clip: RoomClip, c2w: torch.Tensor, *, unit: float = 1.0, refines: bool = False) -> SceneOutput:
    """``unit``: of the depth that the scene branch gives, beside its other errors."""
    log_depth = bend(clip.depth).log() + math.log(unit)
    scene = SceneOutput(
        local_points=unproject(log_depth.exp(), clip.intrinsics)[None],
        point_conf_logits=torch.zeros_like(log_depth)[None],
        c2w=torch.eye(4).repeat(1, len(c2w), 1, 1),
        intrinsics=clip.intrinsics[None],
        hidden=torch.zeros(1, len(c2w), 1, 1),
    )
    return refine_scene(
        clip.images[None], scene, known_camera=True, c2w=c2w[None], refine_c2w=refines, config=CONFIG
    )  # fmt: skip


def depth_errors(found: SceneOutput, true: torch.Tensor) -> torch.Tensor:
    return (found.local_points[0, ..., 2] / true).log().abs()


@pytest.mark.parametrize("unit", [1.0, 30.0])
def test_known_cameras_stay_to_the_bit_and_the_depth_takes_their_unit(unit: float) -> None:
    clip = film_room(walk(6))
    c2w = invert_rigid(clip.w2c)
    found = refine(clip, c2w, unit=unit)
    assert torch.equal(found.c2w[0], c2w)
    assert found.in_given_unit is not None and found.in_given_unit.all()
    assert depth_errors(found, clip.depth).median() < 0.02
    assert found.given_error_px is not None and found.given_error_px < 0.4


def test_the_unit_is_that_of_the_cameras_whatever_it_is() -> None:
    clip = film_room(walk(6))
    c2w = invert_rigid(clip.w2c)
    larger = torch.cat([c2w[..., :3], c2w[..., 3:] * torch.tensor([7.0, 7.0, 7.0, 1.0])[:, None]], dim=-1)
    found = refine(clip, larger)
    assert torch.equal(found.c2w[0], larger)
    assert depth_errors(found, 7 * clip.depth).median() < 0.02


def test_cameras_that_are_refined_become_better_and_keep_their_size() -> None:
    clip = film_room(walk(6))
    noise = torch.randn(6, 6, generator=torch.Generator().manual_seed(1)) * torch.tensor([0.01] * 3 + [0.004] * 3)
    noise[0] = 0.0
    wrong = exp_twist(noise) @ clip.w2c
    found = refine(clip, invert_rigid(wrong), refines=True)
    w2c = invert_rigid(found.c2w[0])
    assert turn_errors(w2c, clip.w2c).max() < 0.5 * turn_errors(wrong, clip.w2c).max()
    sizes = [invert_rigid(path)[-1, :3, 3].norm() for path in (w2c, wrong)]
    # The places that were given are wrong by a centimetre on half a metre themselves.
    assert abs(float(sizes[0] / sizes[1]) - 1) < 0.05
    kept = refine(clip, invert_rigid(wrong))
    assert torch.equal(kept.c2w[0], invert_rigid(wrong))


def test_a_camera_that_only_turns_tells_no_unit() -> None:
    clip = film_room(walk(6, step=(0.0, 0.0, 0.0), turn=0.05))
    found = refine(clip, invert_rigid(clip.w2c), unit=30.0)
    assert torch.equal(found.c2w[0], invert_rigid(clip.w2c))
    assert found.in_given_unit is not None and not found.in_given_unit.any()


def test_cameras_of_other_axes_do_not_fit_the_pictures() -> None:
    clip = film_room(walk(6))
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    found = refine(clip, flip @ invert_rigid(clip.w2c) @ flip)
    assert found.given_error_px is not None and found.given_error_px > 5.0
