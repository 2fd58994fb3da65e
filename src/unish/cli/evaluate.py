"""``unish evaluate``: field-standard metrics of a method on a benchmark."""

from __future__ import annotations

import argparse
from pathlib import Path

from unish.cli.arguments import add_quiet, output_folder
from unish.cli.progress import make_progress

NAME = "evaluate"
SUMMARY = "measure a method on a benchmark"
EXAMPLE = "unish evaluate --benchmark synthetic --data out/synth --method small --out out/scores.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--benchmark", required=True, metavar="NAME", help="an unknown name lists them")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the benchmark's data")
    parser.add_argument(
        "--method",
        required=True,
        metavar="METHOD",
        help="small, release, a model folder, or files:DIR with finished reconstructions",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="where the numbers go")
    add_quiet(parser)


def run(args: argparse.Namespace) -> None:
    with output_folder(args.out.parent):
        from unish.evaluation import evaluate

        progress = make_progress(quiet=args.quiet)
        try:
            evaluate(args.benchmark, data=args.data, method=args.method, out=args.out, progress=progress)
        finally:
            progress.close()
