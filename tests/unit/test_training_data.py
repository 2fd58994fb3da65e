"""Training batches: what is resized, mirrored and spoiled, and that truth stays true."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from unish.errors import InputError
from unish.geometry.camera import unproject
from unish.geometry.rigid import invert_rigid, transform_points
from unish.lab.training.data import (
    BatchWorkers,
    SceneDataConfig,
    SceneShards,
    degrade_images,
    filter_randomly,
    mirror_clip,
    resize_clip,
    run_ahead,
)

SIZE = (48, 64)


def make_clips(num_clips: int = 20, num_frames: int = 6, size: tuple[int, int] = SIZE) -> dict[str, np.ndarray]:
    """A slanted plane before a camera that moves to the right and turns."""
    generator = np.random.default_rng(0)
    height, width = size
    arrays = {
        "images": generator.integers(0, 256, (num_clips, num_frames, height, width, 3)).astype(np.uint8),
        "ids": np.full((num_clips, num_frames, height, width), -1, np.int8),
        "intrinsics": np.zeros((num_clips, num_frames, 3, 3), np.float32),
        "c2w": np.tile(np.eye(4, dtype=np.float32), (num_clips, num_frames, 1, 1)),
        "depth": np.zeros((num_clips, num_frames, height, width), np.float16),
    }
    arrays["intrinsics"][:] = [[50, 0, width / 2 + 2], [0, 50, height / 2], [0, 0, 1]]
    x = (np.arange(width) + 0.5 - width / 2 - 2) / 50
    for frame in range(num_frames):
        angle, shift = 0.02 * frame, 0.05 * frame
        cosine, sine = np.cos(angle), np.sin(angle)
        arrays["c2w"][:, frame, :3, :3] = [[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]]
        arrays["c2w"][:, frame, 0, 3] = shift
        # The plane z = 3 + 0.4·x in the world, along the ray (x, y, 1) of each column.
        slope = (-sine * x + cosine) - 0.4 * (cosine * x + sine)
        arrays["depth"][:, frame] = ((3.0 + 0.4 * shift) / slope)[None, None]
    return arrays


def assert_on_the_plane(depth: torch.Tensor, intrinsics: torch.Tensor, c2w: torch.Tensor, slope: float) -> None:
    """All frames of a clip show the plane that the first frame shows (its nearest-pixel error allowed for)."""
    points = transform_points(c2w, unproject(depth, intrinsics).flatten(1, 2))
    off = points[..., 2] - 3.0 - slope * points[..., 0]
    assert off.abs().max() < 0.06


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_file(make_clips(), tmp_path / "shard-000000.safetensors")
    return tmp_path


def test_truth_survives_resizing_and_zoom() -> None:
    clip = {name: values[0] for name, values in make_clips().items()}
    small = resize_clip(clip, (32, 48), zoom=1.2)
    assert small["images"].shape == (6, 32, 48, 3)
    assert_on_the_plane(*(torch.from_numpy(small[name]).float() for name in ("depth", "intrinsics", "c2w")), slope=0.4)


def test_truth_survives_mirroring() -> None:
    clip = mirror_clip({name: values[0] for name, values in make_clips().items()})
    depth, intrinsics, c2w = (
        torch.from_numpy(np.ascontiguousarray(clip[name])).float() for name in ("depth", "intrinsics", "c2w")
    )
    assert_on_the_plane(depth, intrinsics, c2w, slope=-0.4)
    torch.testing.assert_close(torch.linalg.det(c2w[:, :3, :3]), torch.ones(6))


def test_a_batch_depends_on_its_number_alone(folder: Path) -> None:
    config = SceneDataConfig(num_clips=2, long_sides=(64,))
    once, again = SceneShards(folder, config, seed=1), SceneShards(folder, config, seed=1)
    again(7)
    torch.testing.assert_close(once(3).images, again(3).images, rtol=0, atol=0)
    assert not torch.equal(once(3).images, once(4).images)


def test_batches_have_the_asked_shape_and_steps_match_truth(folder: Path) -> None:
    batch = SceneShards(folder, SceneDataConfig(num_clips=3, num_frames=4, long_sides=(48,)), seed=0)(0)
    assert batch.images.shape == (3, 4, 3, 32, 48)
    assert batch.depth.shape == batch.person_ids.shape == (3, 4, 32, 48)
    assert 0 <= batch.images.min() <= batch.images.max() <= 1
    steps = invert_rigid(batch.c2w[:, 1:]) @ batch.c2w[:, :-1]
    # Evenly spaced frames of an even turn.
    torch.testing.assert_close(steps[:, 0, :3, :3], steps[:, 1, :3, :3], atol=1e-4, rtol=0)


def test_validation_clips_are_not_trained_on(folder: Path) -> None:
    trained = SceneShards(folder, SceneDataConfig()).clips(0)
    held_back = SceneShards(folder, SceneDataConfig(first=19, last=20)).clips(0)
    assert len(trained) == 19
    assert not set(trained) & set(held_back)


def test_the_recipe_draws_the_batches_that_it_always_drew(tmp_path: Path) -> None:
    """Hashes of batches taken before a shard was one source among others. The truth of a spoiled batch depends on
    every number drawn before it; its pictures depend on how a platform rounds, so they are left out."""
    for index, size in enumerate([(48, 64), (64, 48), (64, 64)]):
        save_file(make_clips(size=size), tmp_path / f"shard-{index:06d}.safetensors")
    held_back = SceneDataConfig(first=19, last=20, long_sides=(64,), max_stride=2, degrade=False)
    truth = ("depth", "person_ids", "intrinsics", "c2w")
    spoiled = digest(SceneShards(tmp_path, SceneDataConfig(long_sides=(64, 48)), seed=1), truth)
    assert (spoiled, digest(SceneShards(tmp_path, held_back, seed=2), ("images", *truth))) == (
        "09b3e753", "5c65d45b",
    )  # fmt: skip


def digest(batches: SceneShards, names: tuple[str, ...], steps: int = 6) -> str:
    sha = hashlib.sha256()
    for step in range(steps):
        for name in names:
            values = getattr(batches(step), name)
            sha.update(f"{name}{tuple(values.shape)}{values.dtype}".encode() + values.contiguous().numpy().tobytes())
    return sha.hexdigest()[:8]


def test_spoiled_images_stay_images() -> None:
    images = make_clips(1)["images"][0]
    for seed in range(8):
        spoiled = degrade_images(images, np.random.default_rng(seed))
        assert spoiled.shape == images.shape
        assert spoiled.dtype == np.uint8


class LeavesOut(np.random.Generator):
    """No filter, no blur, no JPEG."""

    def random(self, *_: object) -> float:  # type: ignore[override]
        return 0.9


@pytest.mark.parametrize("seed", range(8))
def test_exposure_and_colours_agree_with_doubles(seed: int) -> None:
    """The slow twin draws the same numbers and computes one thing after another, in doubles."""
    images = make_clips(1)["images"][0]
    found = degrade_images(images, LeavesOut(np.random.PCG64(seed)))
    draw = LeavesOut(np.random.PCG64(seed))
    x = (images / 255.0) ** np.exp(draw.normal(0, 0.25))
    gain = np.exp(draw.normal(0, 0.15)) * np.exp(draw.normal(0, 0.06, size=3))
    grey = x.mean(axis=-1, keepdims=True)
    x = grey + (x - grey) * np.clip(draw.normal(1.0, 0.3), 0.0, 1.6)
    x = (x - 0.5) * np.exp(draw.normal(0, 0.2)) + 0.5
    x = x * gain * np.exp(draw.normal(0, 0.03, size=(len(x), 1, 1, 1)))
    x = x + draw.normal(0, 1, size=x.shape) * draw.uniform(0, 0.04)
    wanted = np.clip(x, 0, 1) * 255
    assert (np.abs(found + 0.5 - wanted) < 0.51).all()


def test_shards_are_read_here_unless_a_gpu_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file(make_clips(), tmp_path / "shard-000000.safetensors")
    batches = SceneShards(tmp_path, SceneDataConfig(long_sides=(64,)))
    with run_ahead(batches) as made:
        assert made is batches
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with run_ahead(batches) as made:
        assert isinstance(made, BatchWorkers)


def test_no_shards(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no training shards"):
        SceneShards(tmp_path, SceneDataConfig())


def test_clips_too_short(folder: Path) -> None:
    with pytest.raises(InputError, match="6 frames"):
        SceneShards(folder, SceneDataConfig(num_frames=7))(0)


def test_a_random_filter_is_the_same_in_all_frames_and_keeps_the_colours() -> None:
    picture = np.random.default_rng(0).random((12, 16, 3)).astype(np.float32)
    images = np.stack([picture, picture, np.roll(picture, 3, axis=1)])
    for seed in range(6):
        filtered = filter_randomly(images, np.random.default_rng(seed))
        assert filtered.shape == images.shape and np.isfinite(filtered).all()
        np.testing.assert_array_equal(filtered[0], filtered[1])
        np.testing.assert_allclose(filtered[2, :, 6:-4], np.roll(filtered[0], 3, axis=1)[:, 6:-4], atol=1e-5)
        np.testing.assert_allclose(filtered.mean((0, 1, 2)), images.mean((0, 1, 2)), atol=1e-5)
