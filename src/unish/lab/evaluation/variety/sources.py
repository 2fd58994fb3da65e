"""Rows of many clips: made by the synthetic world, or of the real videos in a folder. Both go on where they stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch

from unish import pipeline
from unish.body import Body, load_body
from unish.errors import InputError
from unish.lab.evaluation.provenance import hash_code
from unish.lab.evaluation.variety.quantities import Row, measure_clip
from unish.lab.synthetic import make_clip
from unish.lab.synthetic.shards import ShardConfig, start_workers
from unish.structs import Reconstruction
from unish.structs.progress import Progress

VIDEO_SUFFIXES = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"}
FRAMES, RATE_HZ = 3, 6.0
"""Of a synthetic clip; real clips are read at the same rate."""
REAL_FRAMES = 24
_TOGETHER = 8
"""Clips that a worker measures before it hands them over."""
_DECIDES_CLIPS = ("body", "render", "lab/synthetic", "lab/evaluation/variety")
"""What decides what a clip looks like and how it is measured."""


def measure_world(
    num_clips: int, *, seed: int, work: Path, workers: int = 1, progress: Progress | None = None
) -> list[Row]:
    """Rows of clips 0 … of ``seed``, made as for training shards: sizes in turn, sensor on, one sample per pixel.

    Rows are kept in ``work`` under a name that tells the code of the world, so none of another world is read back.
    """
    path = work / f"world-{seed}-{hash_code(_DECIDES_CLIPS)}.jsonl"
    work.mkdir(parents=True, exist_ok=True)
    rows = _read_rows(path)
    missing = [index for index in range(num_clips) if index not in rows]
    jobs = [missing[start : start + _TOGETHER] for start in range(0, len(missing), _TOGETHER)]
    # The first newline ends what a cut may have left of a line.
    with path.open("a") as file, start_workers(min(workers, len(jobs))) as run_all:
        file.write("\n")
        for job, made in zip(jobs, run_all(_measure_clips, [seed] * len(jobs), jobs), strict=True):
            for index, row in zip(job, made, strict=True):
                rows[index] = row
                file.write(json.dumps({"clip": index, "values": row}) + "\n")
            file.flush()
            if progress is not None:
                progress("synthetic clips", len(rows), num_clips)
    return [rows[index] for index in range(num_clips)]


def measure_videos(folder: Path, *, work: Path, progress: Progress | None = None) -> dict[str, Row]:
    """Rows of every video in ``folder`` by its stem, from ``work/STEM/reconstruction.npz``, made where it is missing.

    Pictures are measured directly; depth, cameras and people are what the small model estimates of the first
    ``REAL_FRAMES`` frames at ``RATE_HZ``.

    Raises:
        InputError: no video is in the folder, or one of them cannot be reconstructed.
    """
    videos = (
        sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES) if folder.is_dir() else []
    )
    if not videos:
        raise InputError(f"{folder}: no video is in there; give a folder of {', '.join(sorted(VIDEO_SUFFIXES))} files")
    rows = {}
    for number, video in enumerate(videos):
        if progress is not None:
            progress("real clips", number, len(videos))
        path = work / video.stem / "reconstruction.npz"
        if not path.exists():
            settings = pipeline.Settings(fps=RATE_HZ, max_frames=REAL_FRAMES)
            path.parent.mkdir(parents=True, exist_ok=True)
            pipeline.run(video, settings=settings).reconstruction.save(path)
        record = Reconstruction.load(path).in_memory()
        rows[video.stem] = measure_clip(record, _load_body(record.body_model))
    return rows


def _measure_clips(seed: int, indices: list[int]) -> list[Row]:
    """What a worker does."""
    shards = ShardConfig()
    config = replace(shards.clip, num_frames=FRAMES, fps=RATE_HZ)
    rows = []
    for index in indices:
        record = make_clip(seed, index, replace(config, size=shards.sizes[index % len(shards.sizes)]))
        with torch.inference_mode():
            rows.append(measure_clip(record, _load_body(record.body_model)))
    return rows


@lru_cache(maxsize=2)
def _load_body(name: str) -> Body:
    return load_body(name)


def _read_rows(path: Path) -> dict[int, Row]:
    """Whole lines of a cache; what a cut left of the last one is skipped."""
    rows = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            entry = json.loads(line)
            rows[int(entry["clip"])] = entry["values"]
        except ValueError:
            continue
    return rows
