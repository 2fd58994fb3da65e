"""``unish batch``: many videos, several at once; a second run does what is missing.

Exit codes beside those of all commands: 3 where some videos have no result, 4 where none has one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from unish.cli.arguments import OneLineParser, add_quiet, at_least, output_folder
from unish.cli.progress import Bars, make_progress
from unish.cli.settings_arguments import add_settings
from unish.errors import InputError
from unish.settings import Settings
from unish.values import shorten

if TYPE_CHECKING:
    from unish.batch import Engine, Outcome, Row, Task

NAME = "batch"
SUMMARY = "reconstruct many videos, several at once; a second run does what is missing"
EXAMPLE = "unish batch videos/ --out out/videos --workers 2"

SOME_FAILED, ALL_FAILED = 3, 4

_OWN = frozenset({"manifest", "out", "workers", "threads", "engine", "shard", "quiet", "command", "run"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "manifest",
        nargs="+",
        metavar="MANIFEST",
        help="csv (columns input, name and settings), jsonl (the same keys), list of paths, folder, pattern, or videos",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="each result gets a folder DIR/NAME")
    parser.add_argument(
        "--workers", type=at_least(1), metavar="N", help="videos at once (default: by GPUs, or cores and memory)"
    )
    parser.add_argument("--threads", type=at_least(1), metavar="N", help="of each worker (default: by cores)")
    parser.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="processes of this machine, or a Ray cluster"
    )
    parser.add_argument(
        "--shard", type=_shard, metavar="i/n", help="do the i-th of n parts, counted from 1, as arrays of Slurm do"
    )
    add_settings(parser)
    add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    from unish import batch

    common = {key: value for key, value in vars(args).items() if key not in _OWN}
    device = Settings(**common).device  # says what is wrong with them
    rows = batch.choose_shard(batch.read_manifests(args.manifest), args.shard)
    with output_folder(args.out) as out:
        tasks, refused = _make_tasks(rows, common, out)
        engine = _make_engine(args, device, len(tasks))
        progress = make_progress(quiet=args.quiet)
        try:
            summary = batch.run_batch(
                tasks, out, engine, refused=refused, shard=args.shard,
                tell=_Teller(len(rows), progress, quiet=args.quiet),
            )  # fmt: skip
        finally:
            progress.close()
    done, skipped, failed = (summary.count(status) for status in ("done", "skipped", "failed"))
    if not args.quiet:
        print(f"{done} done, {skipped} were there before, {failed} failed")
    return 0 if not failed else SOME_FAILED if done + skipped else ALL_FAILED


def _make_engine(args: argparse.Namespace, device: str, num_tasks: int) -> Engine:
    from unish import batch

    workers, threads, gpus = batch.choose_workers(num_tasks, device, args.workers, args.threads)
    if args.engine == "local":
        return batch.LocalEngine(workers=workers, threads=threads, gpus=gpus)
    # Its machines may have GPUs where this one has none; cores are shared out by Ray.
    return batch.RayEngine(threads=args.threads or 1, on_gpu=bool(gpus) or device == "cuda", at_once=args.workers)


class _Teller:
    """A line for each video that ends: failures on standard error, the others on standard output."""

    def __init__(self, num_rows: int, progress: Bars, *, quiet: bool) -> None:
        self._num_rows, self._progress, self._quiet, self._ended = num_rows, progress, quiet, 0

    def __call__(self, outcome: Outcome) -> None:
        self._ended += 1
        with tqdm.external_write_mode(file=sys.stderr):
            if outcome.status == "failed":
                print(f"unish: {outcome.name} failed: {outcome.message}", file=sys.stderr, flush=True)
            elif outcome.status == "done" and not self._quiet:
                counted = f"{outcome.frames} frames, {outcome.people} people, {outcome.seconds:.1f} s"
                print(f"[{self._ended}/{self._num_rows}] {outcome.name}: {counted}", flush=True)
        self._progress("videos", self._ended, self._num_rows)


def _make_tasks(rows: list[Row], common: Mapping[str, Any], out: Path) -> tuple[list[Task], list[Outcome]]:
    """What can be begun, and what fails because its settings are wrong."""
    from unish.batch import Outcome, Task

    parse = _row_parser()
    tasks, refused = list[Task](), list[Outcome]()
    for row in rows:
        try:
            settings = Settings(**{**common, **parse(row.settings)})
        except InputError as error:
            refused.append(Outcome(name=row.name, input=str(row.input), status="failed", message=str(error)))
        else:
            tasks.append(Task(name=row.name, input=row.input, settings=settings, out=out / row.name))
    return tasks, refused


def _row_parser() -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """What reads settings of a row as ``unish reconstruct`` reads its options."""
    parser = OneLineParser(prog="unish reconstruct", example="", add_help=False)
    add_settings(parser)
    actions = {action.dest: action for action in parser._actions}

    def parse(written: Mapping[str, Any]) -> dict[str, Any]:
        arguments: list[str] = []
        for name, value in written.items():
            if name not in actions:
                raise InputError(f"{shorten(name)} is no setting; see the options of `unish reconstruct --help`")
            arguments += _as_options(actions[name], value)
        return vars(parser.parse_args(arguments))

    return parse


def _as_options(action: argparse.Action, value: Any) -> list[str]:
    """A value of a table as on a command line; those of an option that may be repeated are parted by semicolons."""
    option = action.option_strings[0]
    if action.nargs == 0:
        said = str(value).strip().lower()
        if said not in _SWITCH:
            raise InputError(f"{action.dest} is {shorten(value)}; give true or false")
        return [option] if _SWITCH[said] else []
    if isinstance(value, bool):
        value = "on" if value else "off"
    repeated = type(action) is not argparse._StoreAction
    parts = value if isinstance(value, list) else value.split(";") if repeated and isinstance(value, str) else [value]
    if not repeated:
        parts = [",".join(str(part) for part in parts)]
    return [f"{option}={part}" for part in parts]


_SWITCH = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}


def _shard(text: str) -> tuple[int, int]:
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is no part; give i/n with i from 1 to n, as in 3/8")
    return int(index), int(count)
