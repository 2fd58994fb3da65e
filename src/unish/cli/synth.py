"""``unish synth``: synthetic clips with exact ground truth."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from unish.cli.arguments import add_quiet, at_least, output_folder
from unish.cli.progress import make_progress
from unish.errors import InputError

NAME = "synth"
SUMMARY = "make synthetic clips with exact ground truth"
EXAMPLE = "unish synth --out out/synth --clips 4 --seed 0"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for clip-000000.npz and so on; a picture for --sheet",
    )
    amount = parser.add_mutually_exclusive_group(required=True)
    amount.add_argument("--clips", type=at_least(1), metavar="N", help="how many clips")
    amount.add_argument("--shards", type=at_least(1), metavar="N", help="how many training shards, instead of clips")
    amount.add_argument(
        "--sheet",
        type=Path,
        metavar="SOURCE",
        help="make nothing new: draw a contact sheet (.png, .jpg) of a shard, a reconstruction or a folder of them",
    )
    parser.add_argument(
        "--seed", type=at_least(0), default=0, help="clip i depends on the seed and i alone (default 0)"
    )
    parser.add_argument(
        "--workers",
        type=at_least(1),
        default=os.cpu_count() or 1,
        help="processes that render shards (default: a core each)",
    )
    parser.add_argument(
        "--tiles", type=at_least(1), metavar="N", help="of a sheet: at most N clips, evenly spread (default 64)"
    )
    parser.add_argument("--strip", action="store_true", help="of a sheet: frames over time, not the first alone")
    parser.add_argument(
        "--with",
        dest="views",
        nargs="+",
        choices=("depth", "ids"),
        default=[],
        metavar="VIEW",
        help="of a sheet: depth and ids, one or both, beside each frame",
    )
    add_quiet(parser)


def run(args: argparse.Namespace) -> None:
    if args.sheet is not None:
        _write_sheet(args)
        return
    if args.tiles or args.strip or args.views:
        raise InputError("--tiles, --strip and --with are for contact sheets; add --sheet SOURCE or leave them out")
    with output_folder(args.out) as out:
        from unish.lab.synthetic import write_clips
        from unish.lab.synthetic.shards import write_shards

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


def _write_sheet(args: argparse.Namespace) -> None:
    with output_folder(args.out.parent):
        from unish.lab.synthetic.contact_sheet import SheetConfig, write_sheet

        config = SheetConfig(strip=args.strip, views=tuple(dict.fromkeys(args.views)))
        shown = write_sheet(args.sheet, args.out, replace(config, tiles=args.tiles) if args.tiles else config)
    if not args.quiet:
        print(f"{shown} clips in {args.out}")
