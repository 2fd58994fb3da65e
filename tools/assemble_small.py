"""Put the weights of finished (or running) training runs together into the checkpoint that ships with the package.

    python tools/assemble_small.py --scene runs/scene --lifter runs/lifter

A part without a run keeps the weights of the checkpoint that is there, or its untrained start where there is none (the
human branch then begins at its closed-form pose, AlignNet at the ruler's closed-form scale).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from unish.errors import InputError
from unish.lab.training.published import fetch_depth_prior, fetch_image_encoder
from unish.lab.training.trainer import load_run_weights
from unish.network import UniSH
from unish.network.config import small_config
from unish.network.weights import SHIPPED

MAX_MEGABYTES = 40


def assemble(
    scene_run: Path | None,
    lifter_run: Path | None,
    out: Path,
    *,
    refiner_run: Path | None = None,
    published: bool = False,
) -> Path:
    """Write ``config.json`` and ``model.safetensors`` (float16) into ``out``.

    Args:
        published: take the frozen parts from their publishers instead of the checkpoint that is there.

    Raises:
        InputError: a run has no weights, or the result is larger than what may ship.
    """
    torch.manual_seed(0)
    model = UniSH(small_config())
    if (out / "config.json").is_file():
        stored = UniSH.from_pretrained(out).state_dict()
        # A checkpoint from before the refiner has no weights for it.
        model.load_state_dict({**model.state_dict(), **stored})
    if published:
        model.scene.encoder.load_state_dict(fetch_image_encoder())
        model.scene.photo_prior.load_state_dict(fetch_depth_prior())
    parts = (model.scene, scene_run), (model.human, lifter_run), (model.depth_refiner, refiner_run)
    for part, run in parts:
        if run is not None:
            part.load_state_dict(load_run_weights(run))
    model.save_pretrained(out, dtype=torch.float16)
    megabytes = (out / "model.safetensors").stat().st_size / 1e6
    if megabytes > MAX_MEGABYTES:
        raise InputError(f"{out} has {megabytes:.0f} MB; at most {MAX_MEGABYTES} MB may ship, so use a smaller network")
    print(f"{out}: {megabytes:.1f} MB")
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", type=Path, help="run of the recipe pretrain-small")
    parser.add_argument("--lifter", type=Path, help="run of the recipe of the human branch")
    parser.add_argument("--refiner", type=Path, help="run of tools/train_refiner.py")
    parser.add_argument("--published", action="store_true", help="fetch the frozen parts from their publishers")
    parser.add_argument("--out", type=Path, default=SHIPPED / "small")
    arguments = parser.parse_args()
    try:
        assemble(
            arguments.scene, arguments.lifter, arguments.out,
            refiner_run=arguments.refiner, published=arguments.published,
        )  # fmt: skip
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
