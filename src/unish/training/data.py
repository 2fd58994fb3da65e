"""Training batches from shards of synthetic clips.

A shard is one ``.safetensors`` file of C clips of one size: ``images`` u1 (C,N,H,W,3), ``depth`` f2 (C,N,H,W) metres
(0 = undefined), ``ids`` i1 (C,N,H,W) person or −1, ``intrinsics`` f4 (C,N,3,3), ``c2w`` f4 (C,N,4,4). Clips are read
one at a time, so the shards may be larger than memory.

Batch i depends on (seed, i) and on the list of shards alone.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from safetensors import safe_open
from torch import Tensor
from torch.nn import functional

from unish.errors import InputError


@dataclass(frozen=True, kw_only=True)
class SceneBatch:
    """B clips of N frames with exact truth. World is arbitrary; only relative poses are used."""

    images: Float[Tensor, "B N 3 H W"]
    depth: Float[Tensor, "B N H W"]
    person_ids: Int[Tensor, "B N H W"]
    intrinsics: Float[Tensor, "B N 3 3"]
    c2w: Float[Tensor, "B N 4 4"]


@dataclass(frozen=True, kw_only=True)
class SceneDataConfig:
    """What is drawn from the shards.

    Attributes:
        num_clips, num_frames: of a batch.
        long_sides: working sizes, one is drawn per batch.
        max_stride: frames are taken 1 … this many apart.
        degrade: spoil the renders like cameras and codecs do.
        first, last: only the clips whose running number modulo 20 lies in [first, last): 19 is for validation.
    """

    num_clips: int = 3
    num_frames: int = 4
    long_sides: tuple[int, ...] = (160, 160, 192)
    max_stride: int = 3
    degrade: bool = True
    first: int = 0
    last: int = 19


class SceneShards:
    """``SceneShards(folder, config, seed)(step)`` is batch number ``step``."""

    def __init__(self, folder: Path, config: SceneDataConfig, *, seed: int = 0) -> None:
        self.config = config
        self.seed = seed
        self.clips: list[tuple[Path, int]] = []
        self.sizes: dict[Path, tuple[int, int]] = {}
        for path in sorted(folder.glob("*.safetensors")):
            with safe_open(path, framework="numpy") as shard:
                count, _, height, width = shard.get_slice("depth").get_shape()
            self.sizes[path] = (height, width)
            self.clips += [(path, i) for i in range(count)]
        self.clips = [c for i, c in enumerate(self.clips) if config.first <= i % 20 < config.last]
        if not self.clips:
            raise InputError(f"{folder} holds no training shards (*.safetensors); `unish train small-scene` makes them")

    def __call__(self, step: int) -> SceneBatch:
        generator = np.random.default_rng([self.seed, step])
        lead = self.clips[generator.integers(len(self.clips))][0]
        size = self._draw_size(self.sizes[lead], generator)
        # Clips of one batch share an aspect ratio, not a shard.
        aspect = self.sizes[lead]
        fitting = [clip for clip in self.clips if self.sizes[clip[0]] == aspect]
        chosen = [fitting[i] for i in generator.integers(len(fitting), size=self.config.num_clips)]
        clips = [self._load(path, index, size, generator) for path, index in chosen]
        return SceneBatch(**{name: torch.stack([clip[name] for clip in clips]) for name in clips[0]})

    def _draw_size(self, stored: tuple[int, int], generator: np.random.Generator) -> tuple[int, int]:
        """A working size with multiples of 16 and about the aspect of the stored images."""
        long_side = self.config.long_sides[generator.integers(len(self.config.long_sides))]
        factor = long_side / max(stored)
        rows, columns = (max(2, round(side * factor / 16)) for side in stored)
        return rows * 16, columns * 16

    def _load(self, path: Path, index: int, size: tuple[int, int], generator: np.random.Generator) -> dict[str, Tensor]:
        with safe_open(path, framework="numpy") as shard:
            frames = self._draw_frames(shard.get_slice("depth").get_shape()[1], generator)
            arrays = {
                name: shard.get_slice(name)[index][frames] for name in ("images", "depth", "ids", "intrinsics", "c2w")
            }
        clip = resize_clip(arrays, size, zoom=1.0 + generator.exponential(0.1) if self.config.degrade else 1.0)
        if self.config.degrade:
            if generator.random() < 0.5:
                clip = mirror_clip(clip)
            clip["images"] = degrade_images(clip["images"], generator)
        return {
            "images": torch.from_numpy(np.ascontiguousarray(clip["images"])).permute(0, 3, 1, 2).float() / 255,
            "depth": torch.from_numpy(np.ascontiguousarray(clip["depth"])).float(),
            "person_ids": torch.from_numpy(np.ascontiguousarray(clip["ids"])).long(),
            "intrinsics": torch.from_numpy(clip["intrinsics"]).float(),
            "c2w": torch.from_numpy(clip["c2w"]).float(),
        }

    def _draw_frames(self, stored: int, generator: np.random.Generator) -> np.ndarray:
        """Evenly spaced frames, backwards half of the time."""
        wanted = self.config.num_frames
        if stored < wanted:
            raise InputError(f"the shards hold clips of {stored} frames, but {wanted} are asked for")
        stride = int(generator.integers(1, min(self.config.max_stride, (stored - 1) // max(wanted - 1, 1)) + 1))
        start = int(generator.integers(0, stored - (wanted - 1) * stride))
        frames = start + stride * np.arange(wanted)
        return frames[::-1] if self.config.degrade and generator.random() < 0.5 else frames


def resize_clip(arrays: dict[str, np.ndarray], size: tuple[int, int], *, zoom: float = 1.0) -> dict[str, np.ndarray]:
    """Resize to ``size`` after cutting out the central 1/zoom; colours are averaged, truth is picked (nearest)."""
    height, width = arrays["depth"].shape[1:]
    zoom = min(zoom, 1.6)
    crop = height / zoom, width / zoom
    top, left = (height - crop[0]) / 2, (width - crop[1]) / 2
    box = (left, top, left + crop[1], top + crop[0])
    images = [
        np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BOX, box=box))
        for image in arrays["images"]
    ]
    rows = np.clip((top + (np.arange(size[0]) + 0.5) * crop[0] / size[0]).astype(int), 0, height - 1)
    columns = np.clip((left + (np.arange(size[1]) + 0.5) * crop[1] / size[1]).astype(int), 0, width - 1)
    move = np.array(
        [[size[1] / crop[1], 0, -left * size[1] / crop[1]], [0, size[0] / crop[0], -top * size[0] / crop[0]], [0, 0, 1]]
    )
    return {
        **arrays,
        "images": np.stack(images),
        "depth": arrays["depth"][:, rows[:, None], columns],
        "ids": arrays["ids"][:, rows[:, None], columns],
        "intrinsics": (move @ arrays["intrinsics"]).astype(np.float32),
    }


def mirror_clip(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Left and right exchanged: pixels, principal point, and the camera's x axis."""
    width = arrays["depth"].shape[2]
    intrinsics = arrays["intrinsics"].copy()
    intrinsics[:, 0, 2] = width - intrinsics[:, 0, 2]
    flip = np.diag([-1.0, 1.0, 1.0, 1.0]).astype(np.float32)
    flipped = {name: arrays[name][:, :, ::-1] for name in ("images", "depth", "ids")}
    return {**arrays, **flipped, "intrinsics": intrinsics, "c2w": flip @ arrays["c2w"] @ flip}


def degrade_images(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Exposure, colours, contrast, textures, blur, noise and JPEG blocks, mostly the same for all frames of a clip.

    Args:
        images: (N, H, W, 3) u1.
    """
    x = images.astype(np.float32) / 255
    x = x ** np.exp(generator.normal(0, 0.25))
    gain = np.exp(generator.normal(0, 0.15)) * np.exp(generator.normal(0, 0.06, size=3))
    grey = x.mean(axis=-1, keepdims=True)
    x = grey + (x - grey) * np.clip(generator.normal(1.0, 0.3), 0.0, 1.6)
    x = (x - 0.5) * np.exp(generator.normal(0, 0.2)) + 0.5
    x = x * gain * np.exp(generator.normal(0, 0.03, size=(len(x), 1, 1, 1)))
    if generator.random() < 0.4:
        x = filter_randomly(x, generator)
    if generator.random() < 0.4:
        x = _blur(x, generator.uniform(0.3, 1.2))
    x = x + generator.normal(0, 1, size=x.shape).astype(np.float32) * generator.uniform(0, 0.04)
    out = (np.clip(x, 0, 1) * 255).astype(np.uint8)
    if generator.random() < 0.5:
        quality = int(generator.integers(25, 90))
        out = np.stack([_compress(image, quality) for image in out])
    return out


def filter_randomly(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Blend with a random convolution of the pictures (RandConv, Xu et al. 2021): other textures on the same shapes.

    Args:
        images: (N, H, W, 3) in [0, 1]; all get the same filter, and keep their mean and spread of colours.
    """
    size = int(generator.choice([1, 3, 5]))
    kernel = torch.from_numpy(generator.normal(0, 1, size=(3, 3, size, size)).astype(np.float32))
    x = torch.from_numpy(images).float().permute(0, 3, 1, 2)
    filtered = functional.conv2d(functional.pad(x, (size // 2,) * 4, mode="replicate"), kernel)
    over = (0, 2, 3)
    spread = x.std(over, keepdim=True) / filtered.std(over, keepdim=True).clamp_min(1e-4)
    filtered = (filtered - filtered.mean(over, keepdim=True)) * spread + x.mean(over, keepdim=True)
    return torch.lerp(x, filtered, float(generator.random())).permute(0, 2, 3, 1).numpy()


def _blur(images: np.ndarray, sigma: float) -> np.ndarray:
    taps = np.exp(-0.5 * (np.arange(-3, 4) / sigma) ** 2)
    kernel = torch.from_numpy((taps / taps.sum()).astype(np.float32))
    x = torch.from_numpy(images).float().permute(0, 3, 1, 2).flatten(0, 1)[:, None]
    x = functional.pad(x, (3, 3, 3, 3), mode="replicate")
    x = functional.conv2d(functional.conv2d(x, kernel[None, None, None]), kernel[None, None, :, None])
    return x[:, 0].unflatten(0, (-1, 3)).permute(0, 2, 3, 1).numpy()


def _compress(image: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))
