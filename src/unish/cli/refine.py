"""``unish refine``: edits of a finished result, without the video and the network."""

from __future__ import annotations

import argparse
from pathlib import Path

from unish.cli.arguments import add_quiet, existing_file
from unish.cli.progress import make_progress
from unish.errors import InputError

NAME = "refine"
SUMMARY = "correct a finished reconstruction: heights, identities, contacts, floor, closed loops, known distances"
EXAMPLE = "unish refine out/dance edits.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of a finished `unish reconstruct`")
    parser.add_argument(
        "edits", type=existing_file, metavar="EDITS.json",
        help="the complete list of edits against the first run; an empty list gives back the first result; "
        'for instance {"format": "unish-edits/1", "edits": [{"kind": "person_height", "person": 1, "metres": 1.72}]}',
    )  # fmt: skip
    add_quiet(parser)


def run(args: argparse.Namespace) -> None:
    if not args.folder.is_dir():
        raise InputError(f"{args.folder}: no such folder; give the --out folder of `unish reconstruct`")
    from unish.cli.summary import print_summary
    from unish.refinement import find_old_exports, refine_into

    progress = make_progress(quiet=args.quiet)
    try:
        result, paths = refine_into(args.folder, args.edits, progress=progress)
    finally:
        progress.close()
    if args.quiet:
        return
    print_summary(result, paths)
    if old := find_old_exports(args.folder, result.report):
        print(f"{args.folder / 'export'}: {', '.join(old)} of before show other edits; run `unish export` again")
