"""``unish reconstruct``: video in, metric scene, cameras and people out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unish.cli.arguments import add_quiet, at_least, output_folder
from unish.cli.process import silence_stdout
from unish.cli.progress import make_progress
from unish.cli.progress_lines import JSON, ProgressLines, add_progress
from unish.cli.settings_arguments import add_settings
from unish.cli.summary import print_summary
from unish.errors import InputError
from unish.settings import Settings

NAME = "reconstruct"
SUMMARY = "reconstruct scene, cameras and people from a video file or a folder of images"
EXAMPLE = "unish reconstruct dance.mp4 --out out/dance --fps 6 --max-frames 60"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input", type=Path, nargs="?", metavar="INPUT", help="video file, folder of images, one image, or - for a pipe"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--camera", type=at_least(0), metavar="N", help="instead of INPUT: record this camera first")
    parser.add_argument(
        "--follow",
        action="store_true",
        help="of a pipe or camera, print results of each window as they come (JSON lines)",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="read headers alone and print what would be used, fetched and taken: frames, time, memory, disk",
    )
    add_settings(parser)
    add_progress(parser)
    add_quiet(parser)


def run(args: argparse.Namespace) -> None:
    given = {key: value for key, value in vars(args).items() if key not in _NOT_SETTINGS}
    settings = Settings(**given)
    if args.dry_run:
        if args.input is None or args.input == Path("-"):
            raise InputError("--dry-run reads the headers of a file or a folder; give one as INPUT")
        from unish.cli.dry_run import print_plan

        return print_plan(args.input, args.out, settings)
    announce = _make_announce(args)
    with output_folder(args.out) as out:
        from unish import into_folder

        lines = JsonLines() if args.follow else None
        source = _choose_source(args, lines, announce)
        progress = ProgressLines() if args.progress == JSON else make_progress(quiet=args.quiet)
        try:
            result, paths = into_folder.reconstruct_into(
                source, out, settings=settings, progress=progress, announce=announce
            )
        finally:
            progress.close()
    if lines is not None:
        lines.write({"event": "result", "final": True, "files": [str(path) for path in paths]})
    elif not args.quiet:
        print_summary(result, paths)


def _choose_source(args: argparse.Namespace, lines: JsonLines | None, announce: Callable[[str], None]) -> Any:
    """What is to be reconstructed: a path, or a source of ``unish.live``.

    Raises:
        InputError: none or two of them are given, or ``--follow`` for what is no stream.
    """
    piped = args.input == Path("-")
    if (args.input is None) == (args.camera is None):
        raise InputError("give one INPUT (a video, a folder of images, or - for a pipe), or --camera N")
    if args.follow and not piped and args.camera is None:
        raise InputError("--follow is for a pipe (-) or a --camera; the result of a file is there when all of it is")
    if args.camera is None and not piped:
        return args.input
    from unish import live

    tell = None if lines is None else lines.write
    if args.camera is not None:
        return live.CameraSource(number=args.camera, tell=tell, announce=announce)
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("INPUT is -, but nothing is piped in; write `… | unish reconstruct -`")
    return live.PipeSource(stream=sys.stdin.buffer, tell=tell, announce=announce)


def _make_announce(args: argparse.Namespace) -> Callable[[str], None]:
    """Sentences go where no lines for programs go."""
    if args.quiet:
        return lambda sentence: None
    return lambda sentence: print(sentence, file=sys.stderr if args.follow else sys.stdout, flush=True)


class JsonLines:
    """Standard output as JSON lines. Once nobody reads them, the run goes on without."""

    def __init__(self) -> None:
        self._read = True

    def write(self, values: dict[str, Any]) -> None:
        if not self._read:
            return
        try:
            print(json.dumps(values, allow_nan=False), flush=True)
        except BrokenPipeError:
            silence_stdout()
            self._read = False


_NOT_SETTINGS = frozenset({"input", "out", "camera", "follow", "dry_run", "progress", "quiet", "command", "run"})
