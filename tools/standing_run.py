"""Train the shipped weights further, in pieces, and replace them when the quality dashboard says that they got better.

    python tools/standing_run.py --out runs/standing --minutes 10               # a piece; once more: the next one
    python tools/standing_run.py --out runs/standing --evaluate --media MEDIA   # before and after
    python tools/standing_run.py --out runs/standing --replace --media MEDIA    # the same, then install what is better

A piece that was killed goes on where it was. ``--evaluate`` and ``--replace`` also follow a piece when ``--minutes`` is
given. Exit code 1: not better. docs/training.md, "The standing run", tells the rest.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from unish.cli.arguments import OneLineParser, add_quiet, at_least, positive_float
from unish.cli.progress import make_progress
from unish.cli.quality import MEDIA, NOT_BETTER
from unish.errors import InputError
from unish.lab.evaluation.quality import comparison_lines
from unish.lab.training.recipes import STANDING
from unish.lab.training.standing import StandingRun, open_run
from unish.network.weights import SHIPPED


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = OneLineParser(
        prog="standing_run.py", description=__doc__, example="tools/standing_run.py --out runs/standing --minutes 10"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--minutes", type=positive_float, help="length of this piece; none: train nothing")
    parser.add_argument("--total", type=positive_float, help="minutes of all pieces together (default 40)")
    parser.add_argument("--shards", type=at_least(1), help="shards to render, 16 clips each (default 120)")
    parser.add_argument("--data", help="clips in place of these, as for `unish train` (default RUN/shards)")
    parser.add_argument("--stages", nargs="+", metavar="STAGE", help="of depth, coarse, fine (default depth)")
    parser.add_argument(
        "--share",
        type=positive_float,
        metavar="S",
        help="the candidate lies S of the way to what was trained (default 1)",
    )
    parser.add_argument("--evaluate", action="store_true", help="compare with the shipped weights")
    parser.add_argument("--replace", action="store_true", help="compare, and install what is better")
    parser.add_argument("--media", type=Path, metavar="DIR", help=f"with labelled/ and video/ (default: ${MEDIA})")
    parser.add_argument(
        "--workers", type=at_least(1), default=1, metavar="N", help="processes that measure (default 1)"
    )
    parser.add_argument("--weights", type=Path, default=SHIPPED / "small", help="(default: those of the package)")
    add_quiet(parser)
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> int:
    judges = args.evaluate or args.replace
    media = args.media or (Path(os.environ[MEDIA]) if os.environ.get(MEDIA) else None)
    if not args.minutes and not judges:
        raise InputError("nothing to do: give --minutes for a piece, --evaluate or --replace")
    if judges and media is None:
        raise InputError(f"no media: set {MEDIA} to the folder that holds labelled/ and video/, or give --media")
    standing = open_run(
        args.out, plan=STANDING, weights=args.weights, minutes=args.total, shards=args.shards, data=args.data,
        stages=tuple(args.stages) if args.stages else None, share=args.share,
    )  # fmt: skip
    if args.minutes:
        standing.train(minutes=args.minutes)
        print(describe(standing))
        standing.build_candidate()
    return judge(standing, media, args) if judges and media else 0


def describe(standing: StandingRun) -> str:
    done, left = standing.progress(), standing.stages_left()
    rows = [f"  {name}: {steps} steps, {minutes:.1f} minutes" for name, (steps, minutes) in done.items()]
    rows.append(f"  {sum(left.values()):.1f} of {standing.settings.minutes:g} minutes are left")
    return "\n".join(rows)


def judge(standing: StandingRun, media: Path, args: argparse.Namespace) -> int:
    progress = make_progress(quiet=args.quiet)
    try:
        found = standing.compare(media, workers=args.workers, progress=progress)
    finally:
        progress.close()
    print("\n".join(comparison_lines(found.before, found.after)))
    if args.replace and standing.install(found):
        print(f"installed into {standing.weights}")
    return 0 if found.better else NOT_BETTER


def main(argv: list[str] | None = None) -> int:
    try:
        return run(parse(argv))
    except InputError as error:
        print(f"standing_run.py: error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
