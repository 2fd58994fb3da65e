"""The command line: one file per subcommand, whose heavy imports happen when it runs."""

from __future__ import annotations

import errno
import signal
import sys
import warnings
from collections.abc import Sequence

from unish.cli import app, assets, batch, completion, doctor, evaluate, export, reconstruct, refine, synth, train, view
from unish.cli.arguments import OneLineParser
from unish.cli.process import TerminationRequested, graceful_termination, open_standard_streams, silence_stdout
from unish.cli.terminal import NativeStderrCapture, print_error, write_log
from unish.errors import InputError

SUBCOMMANDS = (reconstruct, refine, batch, view, app, export, synth, train, evaluate, assets, doctor, completion)

OK, INTERNAL_FAILURE, BAD_INPUT, SIGNALLED = 0, 1, 2, 128
INTERRUPTED = SIGNALLED + signal.SIGINT

_ENVIRONMENT_ERRORS = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "no space left on the device",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than allowed",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "this is a folder, not a file",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EIO: "the disk, or the way to it, has failed",
    errno.ENOLCK: "this file system has no locks, which keep two runs apart",
}
"""Errors of the environment, not of the program: exit code 2, and what the user can change."""


def build_parser() -> OneLineParser:
    parser = OneLineParser(
        prog="unish",
        description="Scene, cameras and metric human bodies from one monocular video.",
        example="unish reconstruct dance.mp4 --out out/dance",
    )
    parser.add_argument("--version", action="version", version=_version())
    subparsers = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for module in SUBCOMMANDS:
        subparser = subparsers.add_parser(
            module.NAME, help=module.SUMMARY, description=module.SUMMARY, example=module.EXAMPLE
        )
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 for bad input or usage, 1 for a fault of the program.

    A command may have codes of its own above these: see ``unish.cli.batch``.
    """
    open_standard_streams()
    with NativeStderrCapture() as native_stderr:
        try:
            with graceful_termination(), warnings.catch_warnings():
                if not sys.warnoptions:
                    # Degraded results are listed at the end and in report.json; stderr is kept for errors.
                    warnings.simplefilter("ignore")
                args = build_parser().parse_args(argv)
                code: int | None = args.run(args)
                sys.stdout.flush()
        except SystemExit as leaving:  # argparse after --help or --version
            return int(leaving.code or 0)
        except InputError as error:
            return print_error(_with_notes(str(error), error), BAD_INPUT)
        except KeyboardInterrupt as error:
            return print_error(_with_notes("interrupted; nothing half-written was left", error), INTERRUPTED)
        except TerminationRequested as request:
            message = f"ended by {signal.Signals(request.number).name}; nothing half-written was left"
            return print_error(_with_notes(message, request), SIGNALLED + request.number)
        except BrokenPipeError:
            # The reader of our output has gone (`unish … | head`): nothing is left to say.
            silence_stdout()
            return OK
        except MemoryError as error:
            message = "not enough memory; use a smaller --size, or fewer frames with --max-frames"
            return print_error(_with_notes(message, error), BAD_INPUT)
        except Exception as error:
            known = _ENVIRONMENT_ERRORS.get(error.errno or 0) if isinstance(error, OSError) else None
            if isinstance(error, OSError) and known is not None:
                return _print_environment_error(error, known)
            log = write_log(error, native_stderr.read())
            return print_error(
                f"internal failure ({type(error).__name__}); please report it with {log}", INTERNAL_FAILURE
            )
    return OK if code is None else code


def _with_notes(message: str, error: BaseException) -> str:
    """With what was noted on the way out, such as what was kept."""
    return "; ".join([message, *getattr(error, "__notes__", [])])


def _print_environment_error(error: OSError, message: str) -> int:
    """The one line for an error of the environment, at a file or with standard output."""
    place = error.filename
    if place is None:
        try:
            sys.stdout.flush()
        except OSError:
            silence_stdout()  # its disk is full: it must not fail again at shutdown
    told = f"{'' if place is None else f'{place}: '}{message}; choose another place or free it"
    return print_error(_with_notes(told, error), BAD_INPUT)


def _version() -> str:
    from unish import __version__

    return f"unish {__version__}"
