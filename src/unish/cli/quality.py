"""``make quality``: the dashboard of a checkpoint, and whether it is better than an earlier one."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from unish.cli.arguments import OneLineParser, add_quiet, at_least, output_folder
from unish.cli.progress import make_progress
from unish.errors import InputError
from unish.evaluation.quality import (
    DASHBOARD_FRAMES,
    LINES,
    WORSE_BY_AT_MOST,
    Dashboard,
    is_better,
    load_dashboard,
    measure_dashboard,
    relative_changes,
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
        _check_same(before, "frames", args.frames)
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
        _print_lines(after)
        return 0
    _check_same(before, "sequences", after.header["sequences"])
    return _print_comparison(before, after)


def _check_same(before: Dashboard, name: str, now: object) -> None:
    """Numbers of other clips, other frames or other samples are not compared."""
    if before.header.get(name) != now:
        raise InputError(f"the old run has other {name} ({before.header.get(name)}, now {now}); measure it again")


def _print_lines(found: Dashboard) -> None:
    for line in LINES:
        if line.name in found.lines:
            other = f"  ({line.beside} {found.beside[line.name]:.3g})" if line.name in found.beside else ""
            print(f"  {line.name:40s} {found.lines[line.name]:9.3g}{other}")
    _print_notes(found)


def _print_comparison(before: Dashboard, after: Dashboard) -> int:
    changes = relative_changes(before.lines, after.lines)
    print(f"  {'':40s} {'before':>9} {'after':>9} {'change':>8}")
    for line in LINES:
        if line.name in changes:
            change, new = changes[line.name], after.lines.get(line.name, float("nan"))
            word = "same" if change == 0 else "worse" if change > 0 else "better"
            mark = "" if line.decides else ", does not decide"
            percent = 100 * change if line.higher_is_better is False else -100 * change
            print(f"  {line.name:40s} {before.lines[line.name]:9.3g} {new:9.3g} {percent:+7.1f}%  {word}{mark}")
    _print_notes(after)
    better = is_better(before.lines, after.lines)
    rule = f"no deciding line worse by more than {100 * WORSE_BY_AT_MOST:.0f} %, and better on average"
    print(f"\n{'better' if better else 'not better'} than {before.header['fingerprint']} ({rule})")
    return 0 if better else NOT_BETTER


def _print_notes(found: Dashboard) -> None:
    for note in found.notes:
        print(f"  {note}")


if __name__ == "__main__":
    sys.exit(main())
