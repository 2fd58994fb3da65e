"""The flags that users and scripts rely on: removing or renaming one needs a decision record, adding one does not."""

import argparse
import inspect
from dataclasses import fields

import pytest

import unish
from unish.cli import build_parser
from unish.errors import InputError
from unish.pipeline import Settings

PROMISED = {
    "reconstruct": {
        "--out", "--model", "--fps", "--source-fps", "--size", "--start", "--end", "--max-frames", "--device",
        "--people", "--tracks", "--intrinsics", "--body", "--window", "--overlap", "--settle", "--seed", "--quiet",
        "--cameras", "--refine-cameras", "--camera-unit",
    },
    "export": {
        "--to", "--out", "--fps", "--up", "--gravity", "--people", "--rig", "--in-place", "--per-person", "--quiet",
    },
    "synth": {"--out", "--clips", "--seed", "--quiet"},
    "train": {"--out", "--resume", "--quiet"},
    "evaluate": {"--benchmark", "--data", "--method", "--out", "--quiet"},
    "assets": set(),
    "doctor": set(),
}  # fmt: skip


def parsers() -> dict[str, argparse.ArgumentParser]:
    (action,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


def flags_of(command: str) -> set[str]:
    return {option for action in parsers()[command]._actions for option in action.option_strings}


def test_every_promised_command_is_there() -> None:
    assert parsers().keys() >= PROMISED.keys()


@pytest.mark.parametrize("command", PROMISED)
def test_flags(command: str) -> None:
    assert flags_of(command) >= PROMISED[command] | {"--help"}


def test_settling_is_on_or_off() -> None:
    parse = build_parser().parse_args
    assert parse(["reconstruct", "a.mp4", "--out", "b", "--settle", "off"]).settle is False
    assert parse(["reconstruct", "a.mp4", "--out", "b", "--settle", "on"]).settle is True
    with pytest.raises(InputError, match="neither on nor off"):
        parse(["reconstruct", "a.mp4", "--out", "b", "--settle", "perhaps"])


def test_every_setting_has_a_flag_and_a_keyword() -> None:
    names = {f"--{field.name.replace('_', '-')}" for field in fields(Settings)}
    assert names <= flags_of("reconstruct")
    assert {"model", "settings"} <= set(inspect.signature(unish.reconstruct).parameters)
