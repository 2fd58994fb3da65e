"""``unish train``: a named recipe, from start to finish."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

from unish.cli.arguments import add_quiet, output_folder, positive_float
from unish.errors import DegradedResultWarning

NAME = "train"
SUMMARY = "train by a named recipe"
EXAMPLE = "unish train pretrain-small --out runs/scene --data out/shards --resume"
RECIPES = (
    "pretrain-small", "crop-expert", "distill", "small-lifter", "coarse", "fine", "small-all", "paper", "smoke",
)  # fmt: skip


_OWN_WORLD = frozenset({"crop-expert", "distill", "coarse", "fine"})
"""Each renders another world, so that they cannot share a folder of shards."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help=f"one of {', '.join(RECIPES)}: docs/training.md")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN_DIR", help="folder for checkpoints and logs")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DATA",
        help="folder of training shards (default RUN_DIR/shards or RUN_DIR/RECIPE-data), live, KIND:PLACE or a mixture "
        ".toml: docs/data.md",
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in RUN_DIR")
    parser.add_argument(
        "--start",
        metavar="WEIGHTS",
        help="what distill, coarse and fine begin with, as for --model (default small)",
    )
    parser.add_argument("--minutes", type=positive_float, help="end after this time, summed over resumes")
    add_quiet(parser)


def run(args: argparse.Namespace) -> None:
    # A run of hours prints its warnings at once; its report is the folder.
    warnings.simplefilter("always", DegradedResultWarning)
    warnings.showwarning = _print_warning
    with output_folder(args.out) as out:
        from unish.lab import training
        from unish.lab.training.trainer import end_processes

        data = args.data or out / (f"{args.recipe}-data" if args.recipe in _OWN_WORLD else "shards")
        training.run(args.recipe, out=out, data=data, resume=args.resume, minutes=args.minutes, start=args.start)
        end_processes()


def _print_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    from tqdm import tqdm

    tqdm.write(f"unish: warning: {message}", file=sys.stderr)
