"""The two worlds differ where they say, and held-back clips are no training clips."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from unish.errors import InputError
from unish.geometry.camera import unproject
from unish.lab.synthetic.cameras.lenses import LENSES, sample_intrinsics
from unish.lab.synthetic.cameras.subjects import HEIGHTS, sample_height
from unish.lab.synthetic.clip import make_clip
from unish.lab.synthetic.config import SynthConfig
from unish.lab.training.losses.body import recover_cameras
from unish.lab.training.stages.domains import COARSE_WORLD, DISTILL_WORLD, EXPERT_WORLD, HELD_BACK, STRANGE_WORLD


def test_worlds_share_nothing_that_is_meant_to_differ() -> None:
    known, strange = COARSE_WORLD, STRANGE_WORLD
    assert known.seed != strange.seed
    assert not set(known.places) & set(strange.places)
    assert not set(known.clip.lenses) & set(strange.clip.lenses)
    assert known.clip.clothes != strange.clip.clothes
    assert strange.degrade and not known.degrade


def test_the_expert_never_saw_the_world_that_it_teaches() -> None:
    learnt, taught = EXPERT_WORLD, DISTILL_WORLD
    assert len({world.seed for world in (COARSE_WORLD, STRANGE_WORLD, learnt, taught)}) == 4
    assert not set(learnt.places) & set(taught.places)
    assert not set(learnt.clip.lenses or ()) & set(taught.clip.lenses or ())


@pytest.mark.long
@pytest.mark.parametrize("exact", [False, True])
def test_depth_is_exact_where_a_world_says_so(tmp_path: Path, exact: bool) -> None:
    """Half precision has steps of up to 2 mm between 2 and 4 m."""
    world = replace(
        COARSE_WORLD, places=("hall",), sizes=((32, 32),), clips_per_shard=1, exact_depth=exact,
        clip=replace(COARSE_WORLD.clip, num_frames=1),
    )  # fmt: skip
    depth = world.open(tmp_path, 1).load(0, np.random.default_rng(0), num_frames=1)["depth"]
    wanted = make_clip(world.seed, 0, replace(world.clip, size=(32, 32), place="hall")).depth
    assert depth.dtype == np.float32
    assert np.array_equal(depth, wanted) == exact
    np.testing.assert_allclose(depth, wanted, rtol=1e-3)


@pytest.mark.parametrize("name", list(LENSES))
def test_lenses_and_heights_are_drawn_by_name(name: str) -> None:
    rng = np.random.default_rng(0)
    focal = np.array([sample_intrinsics(rng, (160, 224), (name,))[0, 0] for _ in range(50)])
    field_of_view = np.degrees(2 * np.arctan(112 / focal))
    _, low, _, high = LENSES[name]
    assert low <= field_of_view.min() and field_of_view.max() <= high
    _, low, high = HEIGHTS["low"]
    assert all(low <= sample_height(rng, ("low",)) <= high for _ in range(20))


@pytest.mark.parametrize("wrong", [{"lenses": ("fisheye",)}, {"heights": ()}, {"fill": (0.5, 0.2)}])
def test_unknown_cameras_are_refused(wrong: dict) -> None:
    with pytest.raises(InputError):
        make_clip(0, 0, replace(SynthConfig(num_frames=1, size=(16, 16)), **wrong))


@pytest.mark.long
def test_held_back_clips_are_others(tmp_path: Path) -> None:
    world = replace(
        COARSE_WORLD,
        places=("hall",),
        sizes=((32, 32),),
        clips_per_shard=1,
        clip=replace(COARSE_WORLD.clip, num_frames=1),
    )
    world.open(tmp_path / "train", 1)
    world.open(tmp_path / "test", 1, held_back=True)
    first, held_back = (next(iter((tmp_path / name).glob("*.safetensors"))) for name in ("train", "test"))
    assert (first.stem, held_back.stem) == ("shard-000000", f"shard-{HELD_BACK:06d}")
    assert first.read_bytes() != held_back.read_bytes()
    with pytest.raises(InputError, match="another world"):
        replace(world, seed=3).open(tmp_path / "train", 1)


def test_of_a_known_camera_the_shift_alone_is_solved() -> None:
    camera = torch.tensor([[50.0, 0, 30.0], [0, 50.0, 24.0], [0, 0, 1]])[None, None]
    depth = 2 + torch.rand(1, 1, 48, 60, generator=torch.Generator().manual_seed(0))
    points = unproject(depth, camera)
    points[..., 2] -= 0.4
    cameras, shift = recover_cameras(points, torch.ones(1, 1, 48, 60, dtype=torch.bool), camera)
    assert torch.equal(cameras, camera)
    assert float(shift) == pytest.approx(0.4, abs=1e-3)
