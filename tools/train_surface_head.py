"""Train the network of the crop expert and write its weights as the surface head that ships; every step resumes.

python tools/train_surface_head.py --work build/surface-head

The clips are those of the recipe ``crop-expert``, rendered into ``WORK/clips`` where they are missing.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save_file

from unish.io import written_beside
from unish.lab.training.experts.crop_training import train_crop_expert
from unish.lab.training.recipes import CROP_EXPERT
from unish.lab.training.trainer import load_run_weights
from unish.network.crop_net import WEIGHTS

ENCODER = "encoder."
"""Its weights are in the small preset already."""


def write_weights(run: Path, path: Path) -> None:
    """Averaged weights of a run, in float16."""
    kept = {
        name: value.half().contiguous() for name, value in load_run_weights(run).items() if not name.startswith(ENCODER)
    }
    with written_beside(path) as beside:
        save_file(kept, beside)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of clips and runs")
    parser.add_argument("--clips", type=int, default=416, help="how many to learn from (default 416)")
    parser.add_argument("--steps", type=int, default=1200, help="default 1200")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn at random (default 0)")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="default: where the package reads them")
    arguments = parser.parse_args()
    fit = replace(CROP_EXPERT.fit, seed=arguments.seed, steps=arguments.steps)
    run = arguments.work / f"run-{arguments.seed}"
    train_crop_expert(
        replace(CROP_EXPERT, num_clips=arguments.clips, fit=fit), run, data=arguments.work / "clips",
        resume=run.exists(),
    )  # fmt: skip
    write_weights(run, arguments.out)


if __name__ == "__main__":
    main()
