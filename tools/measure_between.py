"""How far cameras between the frames of the scene are off: measured by matches, and on a curve.

    python tools/measure_between.py WORK [--seed 913] [--clips 8]

Renders clips of 16 frames at 30 a second, 320 × 240 pixels, whose cameras go and turn (all is kept in WORK). Depth and
cameras of every fifth frame are the true ones; the others are asked for.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from scene_gaps import SceneGaps
from unish.geometry.rigid import invert_rigid
from unish.geometry.rotation import rotation_angle
from unish.lab.synthetic import SynthConfig, clip_from_truth, make_clip
from unish.lab.synthetic.clip import plan_clip
from unish.structs import Camera, Reconstruction

CONFIG = SynthConfig(size=(240, 320), num_frames=16, fps=30.0, max_people=1, samples=1)
EVERY = 5
MIN_PATH_M, MIN_TURN_DEG = 0.02, 0.5
"""What the camera of a clip does at least."""
FAR_M = 50.0
"""Depth of the sky."""


def find_clips(work: Path, seed: int, count: int) -> Iterator[Reconstruction]:
    index = found = 0
    while found < count:
        c2stage = torch.from_numpy(
            np.asarray(plan_clip(np.random.default_rng([seed, index]), seed, CONFIG).camera.c2stage)
        )
        path_m = float(c2stage[:, :3, 3].diff(dim=0).norm(dim=-1).sum())
        turn = float(rotation_angle(c2stage[0, :3, :3].mT @ c2stage[:, :3, :3]).max().rad2deg())
        if path_m > MIN_PATH_M and turn > MIN_TURN_DEG:
            path = work / f"clip-{seed}-{index}.npz"
            if not path.exists():
                make_clip(seed, index, CONFIG).save(path)
            found += 1
            yield Reconstruction.load(path)
        index += 1


def read_gaps(truth: Reconstruction) -> SceneGaps:
    depth, c2w = torch.from_numpy(np.asarray(truth.depth)).float(), torch.from_numpy(truth.c2w).float()
    size = (int(depth.shape[1]), int(depth.shape[2]))
    return SceneGaps(
        clip=clip_from_truth(truth),
        c2w=invert_rigid(c2w[:1]) @ c2w,
        depth=torch.where(depth > 0, depth, FAR_M),
        camera=Camera(matrix=torch.from_numpy(truth.intrinsics[0]).float(), size=size, focal_source="given"),
        dense=list(range(0, len(c2w), EVERY)),
    )


def describe(name: str, place_m: Tensor, turn_deg: Tensor) -> str:
    levels = torch.tensor([0.5, 0.95, 1.0], dtype=torch.float64)
    cells = [values.double().quantile(levels).tolist() for values in (100 * place_m, turn_deg)]
    place, turn = (
        " · ".join(f"{value:.{digits}f}" for value in cell) for cell, digits in zip(cells, (2, 3), strict=True)
    )
    return f"| {name} | {place} | {turn} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seed", type=int, default=913)
    parser.add_argument("--clips", type=int, default=8)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[tuple[Tensor, Tensor]]] = {"measured": [], "on a curve": []}
    for truth in find_clips(args.work, args.seed, args.clips):
        gaps = read_gaps(truth)
        shot, others = gaps.stitch(), [frame for frame in range(len(gaps.c2w)) if frame not in gaps.dense]
        with tempfile.TemporaryDirectory() as folder:
            between = gaps.measure(Path(folder))
        print(f"{int(between.known.any(-1).sum())} of {len(others)} cameras were measured", flush=True)
        for name, told in (("measured", between), ("on a curve", None)):
            place, turn = gaps.errors(gaps.fill(shot, told))
            rows[name].append((place[others], turn[others]))
    print("| cameras | place, cm: median · p95 · worst | turn, degrees |\n|---|---|---|")
    for name, found in rows.items():
        print(describe(name, *(torch.cat(part) for part in zip(*found, strict=True))))


if __name__ == "__main__":
    main()
