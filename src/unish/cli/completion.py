"""``unish completion``: the script with which a shell completes commands, options and file names."""

from __future__ import annotations

import argparse
from pathlib import Path

from unish.cli.arguments import existing_file, existing_path
from unish.errors import InputError

NAME = "completion"
SUMMARY = "print the script with which a shell completes unish commands"
EXAMPLE = "unish completion bash > ~/.local/share/bash-completion/completions/unish"

SHELLS = ("bash", "zsh", "fish")
_PATHS = (Path, existing_file, existing_path)
"""Types of arguments that name a file or a folder."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, metavar="|".join(SHELLS), help="your shell")


def run(args: argparse.Namespace) -> None:
    from unish.cli import build_parser

    print(make_script(build_parser(), args.shell))


def make_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for one of ``SHELLS``, for the command that ``parser`` reads.

    Raises:
        InputError: the package that writes such scripts is not installed.
    """
    try:
        import shtab
    except ImportError:
        raise InputError("completion needs shtab; run pip install 'unish[completion]'") from None
    for action in _actions(parser):
        if action.type in _PATHS:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell=shell))


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Of the parser and of all parsers of subcommands."""
    found: list[argparse.Action] = []
    for action in parser._actions:
        found.append(action)
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                found += _actions(inner)
    return found
