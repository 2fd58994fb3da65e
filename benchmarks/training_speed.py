"""How fast the scene branch trains, and where the time goes: waiting for data, forward, backward, optimiser.

    python benchmarks/training_speed.py
    python benchmarks/training_speed.py --steps 6 --clips 8 --threads 1

The clips are rendered first (``--shards`` keeps them, and takes those that are there). Each row is a run of the trainer
as in training ("shards") or with batches that were made before ("memory"): the difference is what the making of batches
costs beside the time that training waits for them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from unish.cli.terminal import print_table
from unish.lab.evaluation.provenance import name_cpu
from unish.lab.synthetic.config import SynthConfig
from unish.lab.synthetic.shards import ShardConfig, write_shards
from unish.lab.training.data import SceneBatch, SceneDataConfig, SceneShards
from unish.lab.training.scene import SceneLossWeights, scene_loss
from unish.lab.training.trainer import FitConfig, fit
from unish.network.small_scene import SmallScene, SmallSceneConfig

_WARM_UP = 2
_PHASES = ("data_s", "forward_s", "backward_s", "optimizer_s")


def main() -> None:
    arguments = read_arguments()
    torch.set_num_threads(arguments.threads)
    print(f"{name_cpu()}, {os.cpu_count()} cores, {arguments.threads} threads, PyTorch {torch.__version__}\n")
    with tempfile.TemporaryDirectory() as folder:
        shards = arguments.shards or Path(folder) / "shards"
        if not any(shards.glob("*.safetensors")):
            shards.mkdir(parents=True, exist_ok=True)
            clip = SynthConfig(num_frames=6, fps=None)
            write_shards(
                shards,
                num_shards=1,
                seed=1,
                config=ShardConfig(sizes=((128, 192),), clips_per_shard=arguments.clips, clip=clip),
            )
        batches = SceneShards(shards, SceneDataConfig(), seed=1)
        steps = arguments.steps + _WARM_UP
        made = [batches(step) for step in range(steps)]
        rows = []
        seconds: dict[str, float] = {}
        for source, read in (("memory", made.__getitem__), ("shards", batches)):
            lines = train(Path(folder) / source, read, steps=steps)
            seconds[source] = statistics.median(sum(line[phase] for phase in _PHASES) for line in lines)
            speed = seconds["memory"] / seconds[source]
            rows.append([source, *describe(lines, clips=batches.config.num_clips), f"{speed:.0%}"])
    print_table(
        rows, ["batches", "clips/s", "s/step", "data", "forward", "backward", "optimiser", "making", "of memory"]
    )


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20, help="measured steps of each run (default 20)")
    parser.add_argument("--clips", type=int, default=16, help="clips to render (default 16)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of PyTorch (default: all cores)")
    parser.add_argument("--shards", type=Path, help="folder of shards to use, or to make and keep")
    return parser.parse_args()


def train(run_dir: Path, batches: Callable[[int], SceneBatch], *, steps: int) -> list[dict[str, float]]:
    """Metrics of every step after the first two, with the recipe's sizes and number format."""
    torch.manual_seed(0)
    model = SmallScene(SmallSceneConfig())
    model.encoder.requires_grad_(False)
    model.to(memory_format=torch.channels_last)

    def compute_loss(_: nn.Module, batch: SceneBatch) -> tuple[Tensor, dict[str, Tensor]]:
        return scene_loss(model, batch, SceneLossWeights(), know_intrinsics=False)

    config = FitConfig(steps=steps, precision="bfloat16", log_every=1, checkpoint_every=0)
    fit(model, compute_loss, batches, config=config, run_dir=run_dir, progress=False)
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return lines[_WARM_UP:]


def describe(lines: list[dict[str, float]], *, clips: int) -> list[str]:
    """Medians over the steps: clips per second, seconds, shares of the phases; seconds that making the batches took."""
    medians = {name: statistics.median(line[name] for line in lines) for name in (*_PHASES, "making_s")}
    total = sum(medians[name] for name in _PHASES)
    shares = [f"{medians[name] / total:.0%}" for name in _PHASES]
    return [f"{clips / total:.2f}", f"{total:.2f}", *shares, f"{medians['making_s']:.2f} s"]


if __name__ == "__main__":
    main()
