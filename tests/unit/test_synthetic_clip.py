"""Clips and shards as files: reproducible, resumable, strict about what they are asked for."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from unish.errors import InputError
from unish.lab.synthetic import HELD_BACK_SEED, SKY_DEPTH, SynthConfig, make_clip, write_clips
from unish.lab.synthetic.cameras import look_matrices, sample_intrinsics
from unish.lab.synthetic.clip import plan_clip
from unish.lab.synthetic.shards import ShardConfig, write_shards
from unish.lab.synthetic.textures import make_texture_bank
from unish.structs import Reconstruction

SMALL = SynthConfig(size=(48, 64), num_frames=3, min_people=1, max_people=2)


def assert_same(first: Reconstruction, second: Reconstruction) -> None:
    for field in fields(first):
        if field.name != "extra":
            np.testing.assert_array_equal(getattr(first, field.name), getattr(second, field.name), err_msg=field.name)
    assert first.extra.keys() == second.extra.keys()
    for name in first.extra:
        np.testing.assert_array_equal(first.extra[name], second.extra[name], err_msg=name)


@pytest.mark.long
def test_a_clip_depends_on_seed_and_index_alone() -> None:
    alone = make_clip(4, 2, SMALL)
    make_clip(4, 0, SMALL)
    assert_same(alone, make_clip(4, 2, SMALL))
    assert not np.array_equal(alone.images, make_clip(4, 3, SMALL).images)


@pytest.mark.long
def test_the_plain_renderer_makes_the_same_clip() -> None:
    fast = make_clip(4, 1, SMALL)
    slow = make_clip(4, 1, SynthConfig(**{**SMALL.__dict__, "renderer": "plain"}))
    np.testing.assert_array_equal(fast.c2w, slow.c2w)
    np.testing.assert_array_equal(fast.extra["truth_transl"], slow.extra["truth_transl"])
    same = fast.person_masks == slow.person_masks
    assert same.mean() > 0.99
    error = np.abs(fast.depth - slow.depth)[same] / slow.depth[same]
    assert np.quantile(error, 0.98) < 1e-3


@pytest.mark.long
def test_clips_are_written_once_and_read_back(tmp_path: Path) -> None:
    paths = write_clips(tmp_path, num_clips=2, seed=4, config=SMALL)
    assert [path.name for path in paths] == ["clip-000000.npz", "clip-000001.npz"]
    assert sorted(tmp_path.iterdir()) == paths
    before = [path.stat().st_mtime_ns for path in paths]
    steps: list[tuple[str, int, int | None]] = []
    write_clips(tmp_path, num_clips=2, seed=4, config=SMALL, progress=lambda *step: steps.append(step))
    assert [path.stat().st_mtime_ns for path in paths] == before
    assert steps[-1] == ("render", 2, 2)
    assert_same(Reconstruction.load(paths[1]), make_clip(4, 1, SMALL))


@pytest.mark.long
def test_shards_hold_what_the_clips_hold(tmp_path: Path) -> None:
    config = ShardConfig(sizes=((48, 64), (64, 48)), clips_per_shard=2, clip=SMALL)
    paths = write_shards(tmp_path, num_shards=2, seed=4, config=config)
    shard = load_file(paths[1])
    assert shard["images"].shape == (2, 3, 64, 48, 3) and shard["depth"].dtype == np.float16
    truth = make_clip(4, 3, SynthConfig(**{**SMALL.__dict__, "size": (64, 48)}))
    np.testing.assert_array_equal(shard["images"][1], truth.images)
    np.testing.assert_array_equal(shard["ids"][1], truth.person_masks)
    np.testing.assert_allclose(shard["depth"][1], truth.depth, rtol=1e-3)
    assert shard["depth"].max() <= SKY_DEPTH
    people = truth.num_people
    np.testing.assert_array_equal(shard["person_valid"][1, :people], truth.person_valid)
    assert shard["joints"].shape == (2, 6, 3, 24, 3) and not shard["person_valid"][1, people:].any()
    assert all(np.isfinite(values).all() for values in shard.values() if values.dtype.kind == "f")


@pytest.mark.long
def test_workers_write_the_same_shards(tmp_path: Path) -> None:
    config = ShardConfig(sizes=((32, 48),), clips_per_shard=1, clip=replace(SMALL, num_frames=2))
    alone = write_shards(tmp_path / "alone", num_shards=3, seed=4, config=config)
    write_shards(tmp_path / "many", num_shards=1, seed=4, config=config)
    steps: list[int] = []
    many = write_shards(
        tmp_path / "many",
        num_shards=3,
        seed=4,
        config=config,
        workers=2,
        progress=lambda _, done, total: steps.append(done),
    )
    assert steps == [1, 2, 3]
    for path, expected in zip(many, alone, strict=True):
        arrays, wanted = load_file(path), load_file(expected)
        assert arrays.keys() == wanted.keys()
        assert all(np.array_equal(arrays[name], wanted[name]) for name in wanted)


def test_the_held_back_seed_makes_no_shard(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="held back"):
        write_shards(tmp_path, num_shards=1, seed=HELD_BACK_SEED)


@pytest.mark.parametrize(
    "config",
    [
        SynthConfig(size=(8, 64)),
        SynthConfig(num_frames=0),
        SynthConfig(min_people=3, max_people=2),
        SynthConfig(max_people=7),
        SynthConfig(fps=0.0),
        SynthConfig(fps=float("nan")),
        SynthConfig(place="moon"),
    ],
)
def test_settings_that_make_no_clip_are_refused(config: SynthConfig) -> None:
    with pytest.raises(InputError):
        make_clip(0, 0, config)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="folder"):
        write_clips(tmp_path / "file" / "clips", num_clips=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(12))
def test_cameras_stay_in_the_room_and_see_it_everywhere(seed: int) -> None:
    shooting = plan_clip(np.random.default_rng(seed), 0, SynthConfig(num_frames=4, place="corridor", max_people=0))
    position, stage = shooting.camera.c2stage[:, :3, 3], shooting.stage
    # Hand shake comes on top of a path that keeps 20 cm away from the walls.
    assert (position > stage.low - 0.1).all() and (position < stage.high + 0.1).all()
    clip = make_clip(0, seed, replace(SMALL, min_people=0, max_people=0, place="room"))
    assert (clip.depth > 0).all() and clip.num_people == 0 and str(clip.extra["truth_place"]) == "room"


def test_cameras_look_where_they_should() -> None:
    matrices = look_matrices(np.zeros((3, 3)), np.array([0.0, np.pi / 2, 0.0]), np.array([0.0, 0.0, 0.3]), np.zeros(3))
    np.testing.assert_allclose(matrices[0, :3, 2], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(matrices[1, :3, 2], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(matrices[0, :3, 1], [0, -1, 0], atol=1e-12)  # image down is stage down
    assert matrices[2, 1, 2] < 0  # a positive angle looks down
    np.testing.assert_allclose(np.linalg.det(matrices[:, :3, :3]), 1)


def test_fields_of_view_vary_within_their_bounds() -> None:
    rng = np.random.default_rng(0)
    focal = np.array([sample_intrinsics(rng, (160, 224))[0, 0] for _ in range(300)])
    view = np.degrees(2 * np.arctan(112 / focal))
    assert 30 <= view.min() < 38 and 95 < view.max() <= 110
    assert 0.65 < np.mean((view > 50) & (view < 74)) < 0.9, "mostly a phone's"


@pytest.mark.long
def test_textures_are_varied_and_take_images_from_a_folder(tmp_path: Path) -> None:
    from PIL import Image

    bank = make_texture_bank(0)
    spread = bank.layers.reshape(len(bank.layers), -1, 3).std(axis=1).mean(1)
    assert (spread > 2).mean() > 0.95
    Image.new("RGB", (40, 30), (10, 200, 30)).save(tmp_path / "green.png")
    more = make_texture_bank(0, str(tmp_path))
    assert len(more.layers) == len(bank.layers) + 1
    layer = more.pick(np.random.default_rng(0), "image")
    assert (more.layers[layer] == [10, 200, 30]).all()


@pytest.mark.long
def test_a_budget_is_kept_and_can_be_raised(tmp_path: Path) -> None:
    config = ShardConfig(sizes=((32, 48), (64, 48)), clips_per_shard=2, clip=replace(SMALL, num_frames=2))
    free = write_shards(tmp_path / "free", num_shards=4, seed=4, config=config)
    sizes = [path.stat().st_size for path in free]
    assert sizes[1] > sizes[0]
    budget = (sum(sizes[:2]) + sizes[2] // 2 + 16_000) / 1e9
    paths = write_shards(tmp_path / "small", num_shards=4, seed=4, config=config, max_gigabytes=budget)
    assert [path.name for path in paths] == [path.name for path in free[:2]]
    held = sum(path.stat().st_size for path in paths)
    assert budget * 1e9 - sizes[2] - 8192 < held <= budget * 1e9
    # The same budget again adds nothing, a larger one the rest; what is there is what would have come without one.
    assert write_shards(tmp_path / "small", num_shards=4, seed=4, config=config, max_gigabytes=budget) == paths
    write_shards(tmp_path / "small", num_shards=4, seed=4, config=config, max_gigabytes=1.0)
    for path in free:
        grown, whole = load_file(tmp_path / "small" / path.name), load_file(path)
        assert all(np.array_equal(grown[name], whole[name]) for name in whole)
    with pytest.raises(InputError, match="allow more"):
        write_shards(tmp_path / "none", num_shards=1, seed=4, config=config, max_gigabytes=1e-6)
