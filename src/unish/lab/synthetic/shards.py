"""Training shards: many short clips of one picture size, stacked in one safetensors file that can be memory-mapped."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import ndarray
from safetensors.numpy import save_file

from unish.errors import InputError
from unish.io import written_beside
from unish.lab.synthetic.clip import make_clip
from unish.lab.synthetic.config import HELD_BACK_SEED, SynthConfig
from unish.structs import Reconstruction
from unish.structs.progress import Progress

SHARD_FORMAT = "unish-shard/1"
SHARD_PEOPLE = 6
"""Length of the people axis; missing people are zero and not valid."""
_MAX_HEADER = 8192
"""Bytes that a shard's names and notes take at most (1,400 now)."""


@dataclass(frozen=True, kw_only=True)
class ShardConfig:
    """Settings of training shards.

    Attributes:
        sizes: (height, width) choices, multiples of 16; shard s has size s modulo their number.
        clips_per_shard: C.
        clip: settings of each clip (its ``size`` is replaced).
        exact_depth: keep depth in float32. Half precision has steps of 2 mm at 3 m, where a fold of cloth is 5 mm deep.
    """

    sizes: tuple[tuple[int, int], ...] = ((160, 224), (224, 160), (128, 224), (192, 192))
    clips_per_shard: int = 64
    clip: SynthConfig = field(default_factory=lambda: SynthConfig(num_frames=5, fps=None, samples=1))
    exact_depth: bool = False


def write_shards(
    out: str | Path,
    *,
    num_shards: int,
    seed: int,
    first: int = 0,
    config: ShardConfig | None = None,
    workers: int = 1,
    max_gigabytes: float | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write ``shard-000000.safetensors`` and so on from number ``first``, keeping those already there.

    Shard s holds clips s·C to s·C + C − 1 of ``seed``; what each array means stands in docs/data.md. With several
    ``workers`` (processes) the same shards come out.

    Args:
        max_gigabytes: largest size in 10⁹ bytes of all shards in the folder, those of earlier calls included: no shard
            is begun that would not fit. A larger budget later goes on where this one ended.

    Returns:
        Paths of the shards that are there; fewer than ``num_shards`` when the budget ends before.

    Raises:
        InputError: the seed that is held back for evaluation was asked for, the folder cannot be written, or the budget
            does not allow one shard.
    """
    if seed == HELD_BACK_SEED:
        raise InputError(f"seed {seed} is held back for evaluation; train on another one")
    config = config or ShardConfig()
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be made ({error.strerror}); choose another folder") from None
    paths = {shard: out / f"shard-{shard:06d}.safetensors" for shard in range(first, first + num_shards)}
    if max_gigabytes is not None:
        paths = _keep_affordable(paths, seed, config, max_gigabytes * 1e9)
    jobs = [(path, shard, seed, config) for shard, path in paths.items() if not path.exists()]
    done, num_shards = len(paths) - len(jobs), len(paths)
    if progress is not None:
        progress("shards", done, num_shards)
    with start_workers(min(workers, len(jobs))) as run_all:
        for _ in run_all(_write_shard, *zip(*jobs, strict=True)) if jobs else ():
            done += 1
            if progress is not None:
                progress("shards", done, num_shards)
    return list(paths.values())


def _keep_affordable(paths: dict[int, Path], seed: int, config: ShardConfig, budget: float) -> dict[int, Path]:
    """The shards up to the first that would make all shards of their folder larger than ``budget`` bytes."""
    folder = next(iter(paths.values())).parent if paths else Path()
    held = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    sizes: dict[tuple[int, int], int] = {}
    kept: dict[int, Path] = {}
    for shard, path in paths.items():
        if not path.exists():
            size = config.sizes[shard % len(config.sizes)]
            if size not in sizes:
                sizes[size] = _measure_shard(seed, config, size)
            if held + sizes[size] > budget:
                break
            held += sizes[size]
        kept[shard] = path
    if paths and not kept:
        raise InputError(
            f"{folder}: {budget / 1e9:g} GB do not allow one shard more, {held / 1e9:.3f} GB are there; allow more"
        )
    return kept


def _measure_shard(seed: int, config: ShardConfig, size: tuple[int, int]) -> int:
    """Bytes of a shard of this picture size, at most: what a clip holds depends on the config, so one is made."""
    clip = stack_clip(make_clip(seed, 0, replace(config.clip, size=size)), exact_depth=config.exact_depth)
    return config.clips_per_shard * sum(values.nbytes for values in clip.values()) + _MAX_HEADER


@contextmanager
def start_workers(count: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """The built-in ``map`` for one, or that of a pool of ``count`` processes that take one thread each."""
    if count <= 1:
        yield map
        return
    # Forked processes would share the state of OpenGL and of thread pools.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=use_one_thread) as pool:
        yield pool.map


def use_one_thread() -> None:
    """A worker for each core: OpenGL on the CPU and the array libraries must not take more."""
    os.environ["LP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def _write_shard(path: Path, shard: int, seed: int, config: ShardConfig) -> None:
    settings = replace(config.clip, size=config.sizes[shard % len(config.sizes)])
    start = shard * config.clips_per_shard
    clips, labels = [], []
    for i in range(config.clips_per_shard):
        truth = make_clip(seed, start + i, settings)
        clips.append(stack_clip(truth, exact_depth=config.exact_depth))
        labels.append({name: str(truth.extra[f"truth_{name}"]) for name in ("place", "camera")})
    arrays = {name: np.stack([clip[name] for clip in clips]) for name in clips[0]}
    notes = {
        "format": SHARD_FORMAT,
        "seed": str(seed),
        "first_clip": str(start),
        "config": json.dumps(asdict(settings)),
        "labels": json.dumps(labels),
    }
    with written_beside(path) as beside:
        save_file(arrays, beside, metadata=notes)


def stack_clip(truth: Reconstruction, *, exact_depth: bool = False) -> dict[str, ndarray]:
    """The arrays of one clip as a shard holds them, without the leading clip axis; depth in float32 or float16."""
    people = {
        "person_valid": truth.person_valid,
        "betas": truth.betas,
        "global_orient_aa": truth.extra["truth_global_orient_aa"],
        "body_pose_aa": truth.extra["truth_body_pose_aa"],
        "transl": truth.extra["truth_transl"],
        "joints": truth.extra["truth_joints"],
        "landmarks_px": truth.extra["truth_landmarks_px"],
    }
    return {
        "images": truth.images,
        "depth": truth.depth.astype(np.float32 if exact_depth else np.float16),
        "ids": truth.person_masks.astype(np.int8),
        "intrinsics": truth.intrinsics,
        "c2w": truth.c2w,
        "timestamps": truth.timestamps_s.astype(np.float32),
        "gravity": truth.gravity[0],
        "floor": truth.floor[0],
        **{name: _pad_people(values) for name, values in people.items()},
    }


def _pad_people(values: ndarray) -> ndarray:
    """Zeros up to ``SHARD_PEOPLE`` along the first axis."""
    padded = np.zeros((SHARD_PEOPLE, *values.shape[1:]), values.dtype)
    padded[: len(values)] = values
    return padded
