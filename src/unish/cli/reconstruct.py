"""``unish reconstruct``: video in, metric scene, cameras and people out."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unish.cli.arguments import (
    add_quiet,
    at_least,
    everyone_or_count,
    existing_file,
    existing_path,
    intrinsics,
    on_or_off,
    output_folder,
    positive_float,
    seconds,
)
from unish.cli.progress import make_progress
from unish.cli.terminal import print_table
from unish.io import replaced_whole
from unish.settings import CAMERA_UNITS, DEVICES, Settings

if TYPE_CHECKING:
    from unish.pipeline import Result

NAME = "reconstruct"
SUMMARY = "reconstruct scene, cameras and people from a video file or a folder of images"
EXAMPLE = "unish reconstruct dance.mp4 --out out/dance --fps 6 --max-frames 60"

# Options that are not given stay out of the namespace: their defaults live in unish.pipeline.Settings alone.
_UNSET = argparse.SUPPRESS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", type=Path, metavar="INPUT", help="video file, folder of images, or one image")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    _add_frames(parser)
    _add_network(parser)
    _add_known(parser)
    parser.add_argument("--seed", type=at_least(0), default=_UNSET, help="of everything random (default 0)")
    add_quiet(parser)


def _add_frames(parser: argparse.ArgumentParser) -> None:
    """Which frames are used."""
    parser.add_argument("--fps", type=positive_float, default=_UNSET, help="frames to use per second (default 6)")
    parser.add_argument(
        "--scene-fps",
        type=positive_float,
        default=_UNSET,
        metavar="FPS",
        help="of these, frames per second with depth; people and cameras are given for all (default 6)",
    )
    parser.add_argument(
        "--source-fps",
        type=positive_float,
        default=_UNSET,
        metavar="FPS",
        help="frame rate of a folder of images or a raw stream (default: judged by names, EXIF times and number)",
    )
    parser.add_argument(
        "--size",
        type=at_least(32),
        default=_UNSET,
        metavar="PX",
        help="long side of the processed frames (default: the model's own)",
    )
    parser.add_argument("--start", type=seconds, default=_UNSET, metavar="S", help="seconds into the video to start at")
    parser.add_argument("--end", type=seconds, default=_UNSET, metavar="S", help="seconds into the video to end at")
    parser.add_argument("--max-frames", type=at_least(1), default=_UNSET, metavar="N", help="use at most N frames")


def _add_known(parser: argparse.ArgumentParser) -> None:
    """What the user knows of people and camera."""
    parser.add_argument(
        "--people",
        type=everyone_or_count,
        default=_UNSET,
        metavar="all|N",
        help="how many people at most; 0 = scene only (default all)",
    )
    parser.add_argument(
        "--tracks",
        type=existing_file,
        default=_UNSET,
        metavar="FILE",
        help="npz with your own boxes instead of the detector",
    )
    parser.add_argument(
        "--intrinsics", type=intrinsics, default=_UNSET, metavar="fx,fy,cx,cy", help="known camera, in source pixels"
    )
    parser.add_argument(
        "--cameras",
        type=existing_path,
        default=_UNSET,
        metavar="FILE",
        help="known poses, which are kept: folder of a COLMAP model, transforms.json, or a TUM trajectory",
    )
    parser.add_argument(
        "--refine-cameras", action="store_true", default=_UNSET, help="start from --cameras instead of keeping them"
    )
    parser.add_argument(
        "--camera-unit",
        choices=CAMERA_UNITS,
        default=_UNSET,
        help="of the places in --cameras (default: m for TUM trajectories, else unknown: people give the scale)",
    )
    parser.add_argument(
        "--settle",
        type=on_or_off,
        default=_UNSET,
        metavar="on|off",
        help="bring scene, ground and people together where feet stand (default on)",
    )
    parser.add_argument(
        "--body", default=_UNSET, metavar="free|PATH", help="body model: free, or a licensed SMPL file (default free)"
    )


def _add_network(parser: argparse.ArgumentParser) -> None:
    """The network, and how much of the video it sees at once."""
    parser.add_argument(
        "--model",
        default=_UNSET,
        metavar="NAME",
        help="small, release, a path, or OWNER/NAME[@REVISION] on the hub (default small)",
    )
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default=_UNSET,
        help="where the network runs (default auto: cuda where there is one, else cpu)",
    )
    parser.add_argument(
        "--sky", action="store_true", default=_UNSET, help="look for the sky and leave it out of depth, scale and floor"
    )
    parser.add_argument(
        "--window", type=at_least(1), default=_UNSET, metavar="N", help="frames that the network sees at once"
    )
    parser.add_argument(
        "--overlap", type=at_least(0), default=_UNSET, metavar="N", help="frames that neighbouring windows share"
    )


def run(args: argparse.Namespace) -> None:
    given = {key: value for key, value in vars(args).items() if key not in _NOT_SETTINGS}
    settings = Settings(**given)
    with output_folder(args.out) as out, replaced_whole(out) as work:
        from unish import pipeline

        progress = make_progress(quiet=args.quiet)
        announce = (lambda sentence: None) if args.quiet else print
        try:
            with _saying_what_is_kept(work.kept):
                result = pipeline.run(
                    args.input, settings=settings, progress=progress, work=work.kept, announce=announce
                )
                names = pipeline.write_files(
                    result.reconstruction, result.body, result.report, work.making, kept=result.kept, progress=progress
                )
        finally:
            progress.close()
    if not args.quiet:
        print_summary(result, [out / name for name in names])


@contextmanager
def _saying_what_is_kept(folder: Path) -> Iterator[None]:
    """Whatever ends the run is told, too, from where the next one can go on."""
    try:
        yield
    except BaseException as error:
        from unish.passes import RunFolder

        if frame := RunFolder(folder).next_frame:
            error.add_note(f"the work up to frame {frame} is kept, and the same command goes on there")
        raise


_NOT_SETTINGS = frozenset({"input", "out", "quiet", "command", "run"})


def print_summary(result: Result, paths: list[Path]) -> None:
    """People, quality, timings, warnings and the places of the files."""
    report = result.report
    rows = [
        [
            str(person.get("id", index)),
            str(person.get("frames", "")),
            _number(person.get("height_m"), "m"),
            _number(person.get("certainty")),
        ]
        for index, person in enumerate(report["people"])
    ]
    print(f"{result.reconstruction.num_frames} frames, {len(rows)} people")
    if rows:
        print_table(rows, ["person", "frames", "height", "certainty"])
    quality: dict[str, Any] = report["quality"]
    print(
        f"reprojection {_number(quality.get('reprojection_percent'), '% of the box')}, "
        f"body to points {_number(quality.get('body_to_points_cm'), 'cm')}"
    )
    print("seconds: " + ", ".join(f"{stage} {spent:.1f}" for stage, spent in report["seconds"].items()))
    for message in report["warnings"]:
        print(f"warning: {message}")
    for path in paths:
        print(path)


def _number(value: float | None, unit: str = "") -> str:
    return "unknown" if value is None or value != value else f"{value:.2f} {unit}".rstrip()
