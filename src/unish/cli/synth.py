"""``unish synth``: synthetic clips with exact ground truth."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from unish.cli.arguments import add_quiet, at_least, output_folder
from unish.cli.progress import make_progress

NAME = "synth"
SUMMARY = "make synthetic clips with exact ground truth"
EXAMPLE = "unish synth --out out/synth --clips 4 --seed 0"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for clip-000000.npz and so on")
    amount = parser.add_mutually_exclusive_group(required=True)
    amount.add_argument("--clips", type=at_least(1), metavar="N", help="how many clips")
    amount.add_argument("--shards", type=at_least(1), metavar="N", help="how many training shards, instead of clips")
    parser.add_argument(
        "--seed", type=at_least(0), default=0, help="clip i depends on the seed and i alone (default 0)"
    )
    parser.add_argument(
        "--workers",
        type=at_least(1),
        default=os.cpu_count() or 1,
        help="processes that render shards (default: a core each)",
    )
    add_quiet(parser)


def run(args: argparse.Namespace) -> None:
    with output_folder(args.out) as out:
        from unish.synthetic import write_clips
        from unish.synthetic.shards import write_shards

        progress = make_progress(quiet=args.quiet)
        try:
            if args.clips is not None:
                paths = write_clips(out, num_clips=args.clips, seed=args.seed, progress=progress)
            else:
                paths = write_shards(
                    out, num_shards=args.shards, seed=args.seed, workers=args.workers, progress=progress
                )
        finally:
            progress.close()
    if not args.quiet:
        print(f"{len(paths)} files in {args.out}, from {paths[0].name} on")
