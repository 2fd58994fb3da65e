"""``unish refine``: edits of a finished result, without the video and the network."""

from __future__ import annotations

import argparse
from contextlib import closing
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
        "edits", type=existing_file, metavar="EDITS.json", nargs="?",
        help="the complete list of edits against the first run; an empty list gives back the first result; "
        'for instance {"format": "unish-edits/1", "edits": [{"kind": "person_height", "person": 1, "metres": 1.72}]}',
    )  # fmt: skip
    parser.add_argument(
        "--preview", action="store_true",
        help="draw preview.mp4 of the new result, too, which takes longer than most edits; without EDITS.json, of the "
        "result as it is. An edit alone removes the film of the result before",
    )  # fmt: skip
    add_quiet(parser)


def run(args: argparse.Namespace) -> None:
    if not args.folder.is_dir():
        raise InputError(f"{args.folder}: no such folder; give the --out folder of `unish reconstruct`")
    if args.edits is None and not args.preview:
        raise InputError("nothing is to be done; give a file of edits, or --preview to draw the film of the result")
    if args.edits is None:
        _draw(args)
    else:
        _refine(args)


def _draw(args: argparse.Namespace) -> None:
    from unish.refinement import redraw_preview

    with closing(make_progress(quiet=args.quiet)) as progress:
        path = redraw_preview(args.folder, progress=progress)
    if not args.quiet:
        print(path)


def _refine(args: argparse.Namespace) -> None:
    from unish.cli.summary import print_summary
    from unish.passes import PREVIEW
    from unish.refinement import find_old_exports, refine_into

    film = args.folder / PREVIEW
    had_film = film.is_file()
    with closing(make_progress(quiet=args.quiet)) as progress:
        result, paths = refine_into(args.folder, args.edits, preview=args.preview, progress=progress)
    if args.quiet:
        return
    print_summary(result, paths)
    if had_film and not film.is_file():
        print(f"{film}: showed other edits and is gone; `unish refine {args.folder} --preview` draws it anew")
    if old := find_old_exports(args.folder, result.report):
        print(f"{args.folder / 'export'}: {', '.join(old)} of before show other edits; run `unish export` again")
