"""``unish app``: a page to drop a video on."""

from __future__ import annotations

import argparse
from pathlib import Path

from unish.cli.arguments import at_least, positive_float, seconds

NAME = "app"
SUMMARY = "open a page to drop a video on, and to look at, correct and download the result"
EXAMPLE = "unish app"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--work",
        type=Path,
        metavar="DIR",
        help="folder of videos and results (default: app in the user's cache folder)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on (default 127.0.0.1: this machine alone; any other needs the token that is printed)",
    )
    parser.add_argument(
        "--port", type=at_least(0), metavar="N", help="port to listen on (default 8470, or a free one if it is taken)"
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name by which this machine is reached; may be given several times",
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address, open no browser")
    parser.add_argument(
        "--max-gb", type=positive_float, default=2.0, metavar="GB", help="largest video that is accepted (default 2)"
    )
    parser.add_argument(
        "--max-minutes", type=positive_float, default=30.0, metavar="M", help="longest video (default 30)"
    )
    parser.add_argument(
        "--keep-free-gb", type=positive_float, default=1.0, metavar="GB", help="of the disk that stay free (default 1)"
    )
    parser.add_argument(
        "--keep-days",
        type=seconds,
        default=30.0,
        metavar="N",
        help="delete results that have not changed for N days; 0 keeps all (default 30)",
    )


def run(args: argparse.Namespace) -> None:
    from unish.app.limits import Limits
    from unish.app.server import default_work, serve

    limits = Limits(
        max_bytes=int(1e9 * args.max_gb),
        max_minutes=args.max_minutes,
        min_free_bytes=int(1e9 * args.keep_free_gb),
        keep_days=args.keep_days,
    )
    serve(
        args.work or default_work(), limits=limits, host=args.host, port=args.port, names=args.allow_host,
        open_browser=not args.no_browser, announce=lambda sentence: print(sentence, flush=True),
    )  # fmt: skip
