"""Measure what distillation is for, with seeds and without each of its parts: the table of docs/research/training.md.

    python tools/measure_distillation.py --out runs/distillation --seeds 0 1 2

The crop expert is trained once, clips are rendered and described once; every run has a folder and a line in
``results.json``, so a call that was cut off goes on where it ended. Scores are means over held-back clips of their
medians (normals) or means (AbsRel), at the working size of the network; ``own size`` is that of the pictures.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from unish.cli.progress import make_progress
from unish.errors import InputError
from unish.geometry.camera import resize_intrinsics, unproject
from unish.io import write_json
from unish.lab.datasets import ClipSource
from unish.lab.datasets.resize import resize_clip
from unish.lab.training.data import degrade_images
from unish.lab.training.experts import DepthExpert, ExpertView
from unish.lab.training.recipes import DISTILL
from unish.lab.training.stages.distill import DistillStage, open_expert, run_distill_stage
from unish.lab.training.stages.distill_clips import DistillBatch, collate_clips, describe_clip, place_maps
from unish.lab.training.surface_validation import score_depth, score_normals
from unish.network import UniSH
from unish.network.dense_layers import resize_guided
from unish.network.small_scene import SmallScene, depth_from_log

HELD_BACK_CLIPS = 96


class TruthExpert:
    """Knows the depth that was rendered: what a perfect expert could teach."""

    key = "truth"

    def __init__(self, source: ClipSource) -> None:
        self.source = source

    def estimate(self, view: ExpertView) -> Float[Tensor, "F H W"]:
        arrays = self.source.load(view.clip, np.random.default_rng(0), num_frames=len(view.images))
        return torch.from_numpy(arrays["depth"]) * (view.person_ids >= 0)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One row with one seed; ``stage`` is ``None`` where only the network as it was, or the expert, is scored."""

    name: str
    seed: int
    stage: DistillStage | None
    expert: str = "crop"

    @property
    def key(self) -> str:
        return f"{self.name}-{self.seed}"


def list_runs(seeds: list[int]) -> Iterator[Run]:
    """The claim with every seed, then a row without each loss and with a perfect expert, with the first."""
    yield Run(name="before", seed=seeds[0], stage=None)
    yield Run(name="expert-alone", seed=seeds[0], stage=None)
    for seed in seeds:
        yield Run(name="distill", seed=seed, stage=DISTILL)
    yield Run(name="whole-way", seed=seeds[0], stage=replace(DISTILL, share=1.0))
    yield Run(name="truth-as-expert", seed=seeds[0], stage=DISTILL, expert="truth")
    variants = {
        "as-published": {"normals": 0.0, "place": 0.0, "confidence": 0.0},
        "without-detail": {"detail": 0.0},
        "without-forgetting": {"forgetting": 0.0},
        "without-normals": {"normals": 0.0},
        "without-place": {"place": 0.0},
        "without-confidence": {"confidence": 0.0},
    }
    longer = replace(DISTILL, fit=replace(DISTILL.fit, steps=3 * DISTILL.fit.steps))
    yield Run(name="three-times-as-long", seed=seeds[0], stage=longer)
    for name, changes in variants.items():
        yield Run(name=name, seed=seeds[0], stage=replace(DISTILL, losses=replace(DISTILL.losses, **changes)))


@dataclass(frozen=True, kw_only=True)
class HeldBackClip:
    """A clip with its truth, at the working size and at its own (``own_``)."""

    batch: DistillBatch
    depth: Float[Tensor, "N h w"]
    intrinsics: Float[Tensor, "N 3 3"]
    pictures: UInt8[Tensor, "N 3 H W"]
    own_depth: Float[Tensor, "N H W"]
    own_intrinsics: Float[Tensor, "N 3 3"]
    own_mask: Bool[Tensor, "N H W"]


class Workplace:
    """Data, expert and trained network that all runs share."""

    def __init__(self, out: Path, weights: str) -> None:
        self.out, self._weights = out, weights
        self._progress = make_progress()
        self.before = self.load_scene()
        self.train = DISTILL.world.open(out / "data" / "distill-train", DISTILL.num_clips, progress=self._progress)

    def load_scene(self) -> SmallScene:
        """The scene branch that every run starts from."""
        scene = UniSH.from_pretrained(self._weights).scene
        assert isinstance(scene, SmallScene)
        return scene.eval()

    @cached_property
    def expert(self) -> DepthExpert:
        data = self.out / "data" / "expert-train"
        return open_expert(DISTILL.expert, self.out / "runs", data=data, resume=True, minutes=None)

    @cached_property
    def held_back(self) -> list[HeldBackClip]:
        source = DISTILL.world.open(
            self.out / "data" / "distill-test", HELD_BACK_CLIPS, held_back=True, progress=self._progress
        )
        return [self._read(source, index) for index in range(HELD_BACK_CLIPS)]

    def _read(self, source: ClipSource, index: int) -> HeldBackClip:
        rng = np.random.default_rng([1, index])
        arrays = source.load(index, rng, num_frames=DISTILL.num_frames)
        if DISTILL.world.degrade:
            arrays = {**arrays, "images": degrade_images(arrays["images"], rng)}
        pictures = torch.from_numpy(arrays["images"]).permute(0, 3, 1, 2)
        ids = torch.from_numpy(arrays["ids"]).long()
        batch = collate_clips([describe_clip(self.before, self.expert, pictures.float() / 255, ids, clip=index)])
        height, width = batch.expert_depth.shape[-2:]
        small = resize_clip(arrays, (height, width))
        return HeldBackClip(
            batch=batch, depth=torch.from_numpy(small["depth"]), intrinsics=torch.from_numpy(small["intrinsics"]),
            pictures=pictures, own_depth=torch.from_numpy(arrays["depth"]),
            own_intrinsics=torch.from_numpy(arrays["intrinsics"]), own_mask=ids >= 0,
        )  # fmt: skip

    def execute(self, run: Run) -> dict[str, float]:
        """Train (or only load) and score."""
        if run.name == "expert-alone":
            return _mean([_score_expert(clip) for clip in self.held_back])
        model = self.load_scene()
        if run.stage is not None:
            folder = self.out / "runs" / run.key
            expert = TruthExpert(self.train) if run.expert == "truth" else self.expert
            run_distill_stage(
                run.stage, model, self.train, expert, folder, degrade=run.stage.world.degrade, seed=run.seed,
                resume=folder.exists(), described=self.out / "described" / run.expert, progress=self._progress,
            )  # fmt: skip
            model.eval()
        return _mean([_score(model, clip) for clip in self.held_back])


@torch.no_grad()
def _score(model: SmallScene, clip: HeldBackClip) -> dict[str, float]:
    inputs = clip.batch.inputs
    dense = model.predict_dense(inputs)
    points = place_maps(dense, inputs)[0][0]
    mask = clip.batch.person_mask[0]
    log_depth = resize_guided(dense.log_depth, inputs.images[0], clip.pictures.float() / 255)
    camera = resize_intrinsics(inputs.intrinsics[0], _size(clip.depth), _size(clip.own_depth))
    own_points = unproject(depth_from_log(log_depth), camera)
    return {
        "normals_deg": score_normals(points, clip.depth, clip.intrinsics, mask),
        "own_normals_deg": score_normals(own_points, clip.own_depth, clip.own_intrinsics, clip.own_mask, margin=4),
        **score_depth(points[..., 2], clip.depth, mask),
    }


def _size(maps: Float[Tensor, "N H W"]) -> tuple[int, int]:
    return int(maps.shape[-2]), int(maps.shape[-1])


def _score_expert(clip: HeldBackClip) -> dict[str, float]:
    """Normals alone: its depth has no scale that could be compared."""
    points = unproject(clip.batch.expert_depth[0], clip.batch.inputs.intrinsics[0])
    return {"normals_deg": score_normals(points, clip.depth, clip.intrinsics, clip.batch.person_mask[0])}


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """Mean over the clips that have a value; people are too small or too few to score in some."""
    known = {name: [row[name] for row in rows if not math.isnan(row[name])] for name in rows[0]}
    return {name: statistics.mean(values) for name, values in known.items()} | {"clips": len(known["normals_deg"])}


COLUMNS = {
    "normals_deg": ("normals, °", 1), "own_normals_deg": ("own size, °", 1), "absrel": ("AbsRel", 4),
    "scene_absrel": ("of the scene", 4), "people_absrel": ("of people", 3),
}  # fmt: skip


def write_table(results: dict[str, dict[str, float]], path: Path) -> None:
    """Mean over seeds, and the range where there are several."""
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    for key, scores in results.items():
        rows[key.rsplit("-", 1)[0]].append(scores)
    lines = ["| run | seeds | " + " | ".join(title for title, _ in COLUMNS.values()) + " |"]
    lines.append("|---|---" + "|---" * len(COLUMNS) + "|")
    for name, scores in rows.items():
        cells = [
            _summarise([s[column] for s in scores if column in s], digits) for column, (_, digits) in COLUMNS.items()
        ]
        lines.append(f"| {name} | {len(scores)} | " + " | ".join(cells) + " |")
    path.write_text("\n".join(lines) + "\n")


def _summarise(values: list[float], digits: int) -> str:
    if not values:
        return "–"
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def measure(out: Path, seeds: list[int], only: list[str], weights: str) -> None:
    """Everything that is not in ``results.json`` yet."""
    workplace = Workplace(out, weights)
    path = out / "results.json"
    for run in list_runs(seeds):
        results = json.loads(path.read_text()) if path.exists() else {}
        if run.key in results or (only and run.name not in only):
            continue
        scores = workplace.execute(run)
        results = (json.loads(path.read_text()) if path.exists() else {}) | {run.key: scores}
        write_json(path, results, indent=1)
        write_table(results, out / "table.md")
        print(run.key, {name: round(value, 4) for name, value in scores.items()}, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of data, runs and results")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="*", default=[], help="names of rows")
    parser.add_argument("--weights", default="small", help="network to start from, as for --model (default small)")
    arguments = parser.parse_args()
    try:
        measure(arguments.out, arguments.seeds, arguments.only, arguments.weights)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
