"""``unish train``: a named recipe, from start to finish."""

from __future__ import annotations

import argparse
from pathlib import Path

from unish.cli.arguments import add_quiet, output_folder

NAME = "train"
SUMMARY = "train by a named recipe"
EXAMPLE = "unish train small --out runs/small --resume"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="name of a recipe; an unknown name lists them")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN_DIR", help="folder for checkpoints and logs")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in RUN_DIR")
    add_quiet(parser)


def run(args: argparse.Namespace) -> None:
    with output_folder(args.out) as out:
        from unish import training

        training.run(args.recipe, out, resume=args.resume, progress=not args.quiet)
