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
from unish.structs import Reconstruction
from unish.structs.progress import Progress
from unish.synthetic.clip import make_clip
from unish.synthetic.config import HELD_BACK_SEED, SynthConfig

SHARD_FORMAT = "unish-shard/1"
SHARD_PEOPLE = 6
"""Length of the people axis; missing people are zero and not valid."""


@dataclass(frozen=True, kw_only=True)
class ShardConfig:
    """Settings of training shards.

    Attributes:
        sizes: (height, width) choices, multiples of 16; shard s has size s modulo their number.
        clips_per_shard: C.
        clip: settings of each clip (its ``size`` is replaced).
    """

    sizes: tuple[tuple[int, int], ...] = ((160, 224), (224, 160), (128, 224), (192, 192))
    clips_per_shard: int = 64
    clip: SynthConfig = field(default_factory=lambda: SynthConfig(num_frames=5, fps=None, samples=1))


def write_shards(
    out: str | Path,
    *,
    num_shards: int,
    seed: int,
    first: int = 0,
    config: ShardConfig | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[Path]:
    """Write ``shard-000000.safetensors`` and so on from number ``first``, keeping those already there.

    Shard s holds clips s·C to s·C + C − 1 of ``seed``; what each array means stands in docs/data.md. With several
    ``workers`` (processes) the same shards come out.

    Raises:
        InputError: the seed that is held back for evaluation was asked for, or the folder cannot be written.
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
    jobs = [(path, shard, seed, config) for shard, path in paths.items() if not path.exists()]
    done = num_shards - len(jobs)
    if progress is not None:
        progress("shards", done, num_shards)
    with start_workers(min(workers, len(jobs))) as run_all:
        for _ in run_all(_write_shard, *zip(*jobs, strict=True)) if jobs else ():
            done += 1
            if progress is not None:
                progress("shards", done, num_shards)
    return list(paths.values())


@contextmanager
def start_workers(count: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """The built-in ``map`` for one, or that of a pool of ``count`` processes that take one thread each."""
    if count <= 1:
        yield map
        return
    # Forked processes would share the state of OpenGL and of thread pools.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_use_one_thread) as pool:
        yield pool.map


def _use_one_thread() -> None:
    """A worker for each core: OpenGL on the CPU and the array libraries must not take more."""
    os.environ["LP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def _write_shard(path: Path, shard: int, seed: int, config: ShardConfig) -> None:
    settings = replace(config.clip, size=config.sizes[shard % len(config.sizes)])
    start = shard * config.clips_per_shard
    clips, labels = [], []
    for i in range(config.clips_per_shard):
        truth = make_clip(seed, start + i, settings)
        clips.append(stack_clip(truth))
        labels.append({name: str(truth.extra[f"truth_{name}"]) for name in ("place", "camera")})
    arrays = {name: np.stack([clip[name] for clip in clips]) for name in clips[0]}
    notes = {
        "format": SHARD_FORMAT,
        "seed": str(seed),
        "first_clip": str(start),
        "config": json.dumps(asdict(settings)),
        "labels": json.dumps(labels),
    }
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        save_file(arrays, beside, metadata=notes)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def stack_clip(truth: Reconstruction) -> dict[str, ndarray]:
    """The arrays of one clip as a shard holds them, without the leading clip axis."""
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
        "depth": truth.depth.astype(np.float16),
        "ids": truth.person_masks.astype(np.int8),
        "intrinsics": truth.intrinsics,
        "c2w": truth.c2w,
        "timestamps": truth.timestamps_s.astype(np.float32),
        "gravity": truth.gravity,
        "floor": truth.floor,
        **{name: _pad_people(values) for name, values in people.items()},
    }


def _pad_people(values: ndarray) -> ndarray:
    """Zeros up to ``SHARD_PEOPLE`` along the first axis."""
    padded = np.zeros((SHARD_PEOPLE, *values.shape[1:]), values.dtype)
    padded[: len(values)] = values
    return padded
