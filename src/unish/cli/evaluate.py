"""``unish evaluate``: field-standard metrics of a method on a benchmark."""

from __future__ import annotations

import argparse
from pathlib import Path

from unish.cli.arguments import add_quiet, at_least, output_folder
from unish.cli.progress import make_progress
from unish.errors import InputError

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
        help="small, release, a model folder, files:DIR with finished reconstructions, or baseline:NAME",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="where the numbers go")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these sequences instead of all")
    parser.add_argument(
        "--max-frames", type=at_least(1), metavar="N", help="the first N used frames of each sequence (default: all)"
    )
    parser.add_argument("--workers", type=at_least(1), default=1, metavar="N", help="processes, one thread each")
    parser.add_argument("--body", default="free", metavar="free|PATH", help="licensed SMPL file to pose bodies with")
    add_quiet(parser)


def run(args: argparse.Namespace) -> None:
    with output_folder(args.out.parent):
        from unish.evaluation import evaluate

        progress = make_progress(quiet=args.quiet)
        try:
            results = evaluate(
                args.benchmark,
                data=args.data,
                method=args.method,
                out=args.out,
                progress=progress,
                only=args.only,
                max_frames=args.max_frames,
                workers=args.workers,
                body=args.body,
                quiet=args.quiet,
            )
        finally:
            progress.close()
    errors = [row["error"] for row in results.sequences.values() if "error" in row]
    if len(errors) == len(results.sequences):
        raise InputError(f"no sequence gave a result; the first says: {errors[0]}")
