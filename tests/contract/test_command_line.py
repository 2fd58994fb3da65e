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
        "--people", "--person-box", "--person-at", "--person-id", "--fill-gaps", "--tracks", "--intrinsics", "--body",
        "--window", "--overlap", "--settle", "--seed", "--quiet", "--blur-faces", "--fov", "--focal-35mm",
        "--person-height", "--known-distance", "--camera", "--follow", "--cameras",
        "--refine-cameras", "--camera-unit", "--depth-prior", "--people-detector", "--keypoints", "--masks",
        "--dry-run", "--progress", "--keep-observations", "--person-points", "--fast", "--title",
    },
    "refine": {"--quiet"},
    "batch": {"--out", "--workers", "--threads", "--engine", "--shard", "--quiet"},
    "export": {
        "--to", "--out", "--fps", "--up", "--gravity", "--people", "--rig", "--in-place", "--lock-feet",
        "--no-lock-feet", "--per-person", "--refine-cameras", "--blur-faces", "--quiet",
    },
    "view": {
        "--static", "--fly-through", "--flight", "--follow", "--title", "--credit", "--blur-faces", "--port",
        "--no-browser", "--no-edits", "--quiet",
    },
    "app": {
        "--work", "--host", "--port", "--allow-host", "--no-browser", "--max-gb", "--max-minutes", "--keep-free-gb",
        "--keep-days",
    },
    "synth": {"--out", "--clips", "--seed", "--quiet"},
    "train": {"--out", "--resume", "--quiet"},
    "evaluate": {"--benchmark", "--data", "--method", "--out", "--quiet"},
    "assets": set(),
    "doctor": set(),
    "completion": set(),
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


def test_what_is_known_of_lens_and_sizes_is_parsed() -> None:
    def parse(*options: str) -> argparse.Namespace:
        return build_parser().parse_args(["reconstruct", "a.mp4", "--out", "b", *options])

    known = parse("--fov", "62.5", "--person-height", "0=1.72", "--person-height", "3=1.1")
    assert (known.fov, known.person_height) == (62.5, {0: 1.72, 3: 1.1})
    known = parse("--focal-35mm", "26", "--known-distance", "1,2,3.5,4@2.5=1.8", "--known-distance", "1,2,3,4@0=2")
    assert known.known_distance == [(1, 2, 3.5, 4, 2.5, 1.8), (1, 2, 3, 4, 0, 2)]
    assert not {"fov", "person_height", "known_distance"} & vars(parse()).keys()
    for option, text, what in (
        ("--person-height", "1.72", "give ID=METRES"),
        ("--person-height", "tall=1.72", "not a whole number"),
        ("--person-height", "0=-1", "not above 0"),
        ("--known-distance", "1,2,3@2=1", "x1,y1,x2,y2@SECONDS=METRES"),
        ("--known-distance", "1,2,3,4=1", "x1,y1,x2,y2@SECONDS=METRES"),
        ("--known-distance", "1,2,3,4@-2=1", "negative"),
        ("--known-distance", "1,2,3,4@2=0", "not above 0"),
        ("--fov", "wide", "not a number"),
    ):
        with pytest.raises(InputError, match=what):
            parse(option, text)
    with pytest.raises(InputError, match="given twice for 0"):
        parse("--person-height", "0=1.7", "--person-height", "0=1.8")


def test_every_setting_has_a_flag_and_a_keyword() -> None:
    names = {f"--{field.name.replace('_', '-')}" for field in fields(Settings)}
    assert names <= flags_of("reconstruct") and names <= flags_of("batch")
    assert {"model", "settings"} <= set(inspect.signature(unish.reconstruct).parameters)
