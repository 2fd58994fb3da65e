"""``make quality``: the dashboard of a checkpoint, and whether it is better than an earlier one."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from unish.cli.arguments import OneLineParser, add_quiet, at_least, output_folder
from unish.cli.progress import make_progress
from unish.errors import InputError
from unish.lab.evaluation.quality import (
    DASHBOARD_FRAMES,
    check_same,
    comparison_lines,
    is_better,
    load_dashboard,
    measure_dashboard,
)

MEDIA = "UNISH_MEDIA_DIR"
NOT_BETTER = 1


def main(argv: list[str] | None = None) -> int:
    """Run the dashboard; returns the exit code: 0, ``NOT_BETTER`` where --compare says no, 2 for bad input."""
    try:
        return _run(_parse(argv))
    except InputError as error:
        print(f"unish: error: {error}", file=sys.stderr)
        return 2


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = OneLineParser(
        prog="python -m unish.cli.quality",
        description=__doc__,
        example=f"{MEDIA}=path/to/media python -m unish.cli.quality --method small",
    )
    parser.add_argument("--media", type=Path, metavar="DIR", help=f"with labelled/ and video/ (default: ${MEDIA})")
    parser.add_argument("--method", default="small", metavar="METHOD", help="as for `unish evaluate` (default: small)")
    parser.add_argument(
        "--frames", type=at_least(1), default=DASHBOARD_FRAMES, metavar="N", help="used frames of each clip"
    )
    parser.add_argument("--out", type=Path, default=Path("out/quality"), metavar="DIR", help="(default: out/quality)")
    parser.add_argument("--workers", type=at_least(1), default=2, metavar="N", help="processes (default: 2)")
    parser.add_argument("--compare", type=Path, metavar="OLD.json", help="quality.json of an earlier run")
    add_quiet(parser)
    return parser.parse_args(argv)


def _run(args: argparse.Namespace) -> int:
    media = args.media or (Path(os.environ[MEDIA]) if os.environ.get(MEDIA) else None)
    if media is None:
        raise InputError(f"no media: set {MEDIA} to the folder that holds labelled/ and video/, or give --media")
    before = None if args.compare is None else load_dashboard(args.compare)
    if before is not None:
        check_same(before, "frames", args.frames)
    progress = make_progress(quiet=args.quiet)
    with output_folder(args.out) as out:
        try:
            after = measure_dashboard(
                media, method=args.method, out=out, frames=args.frames, workers=args.workers, progress=progress
            )
        finally:
            progress.close()
    print(f"{args.method} ({after.header['fingerprint']}), {args.frames} frames a clip; all tables: {out}/quality.md\n")
    if before is None:
        print("\n".join([after.table(), *after.notes]))
        return 0
    print("\n".join(comparison_lines(before, after)))
    return 0 if is_better(before, after) else NOT_BETTER


if __name__ == "__main__":
    sys.exit(main())
