"""``unish reconstruct``: video in, metric scene, cameras and people out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unish.cli.arguments import (
    add_quiet,
    at_least,
    everyone_or_count,
    existing_file,
    intrinsics,
    output_folder,
    positive_float,
    seconds,
)
from unish.cli.progress import make_progress
from unish.cli.terminal import print_table
from unish.errors import InputError

if TYPE_CHECKING:
    from unish.pipeline import Result

NAME = "reconstruct"
SUMMARY = "reconstruct scene, cameras and people from a video file or a folder of images"
EXAMPLE = "unish reconstruct dance.mp4 --out out/dance --fps 6 --max-frames 60"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    # Options that are not given stay out of the namespace: their defaults live in unish.pipeline.Settings alone.
    unset = argparse.SUPPRESS
    parser.add_argument("input", type=Path, metavar="INPUT", help="video file, folder of images, or one image")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--model",
        default=unset,
        metavar="NAME",
        help="small, release, a path, or OWNER/NAME[@REVISION] on the hub (default small)",
    )
    parser.add_argument("--fps", type=positive_float, default=unset, help="frames to use per second (default 6)")
    parser.add_argument(
        "--source-fps",
        type=positive_float,
        default=unset,
        metavar="FPS",
        help="frame rate of a folder of images or a raw stream (default: judged by names, EXIF times and number)",
    )
    parser.add_argument(
        "--size",
        type=at_least(32),
        default=unset,
        metavar="PX",
        help="long side of the processed frames (default: the model's own)",
    )
    parser.add_argument("--start", type=seconds, default=unset, metavar="S", help="seconds into the video to start at")
    parser.add_argument("--end", type=seconds, default=unset, metavar="S", help="seconds into the video to end at")
    parser.add_argument("--max-frames", type=at_least(1), default=unset, metavar="N", help="use at most N frames")
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default=unset,
        help="where the network runs (default auto: cuda where there is one, else cpu)",
    )
    parser.add_argument(
        "--people",
        type=everyone_or_count,
        default=unset,
        metavar="all|N",
        help="how many people at most; 0 = scene only (default all)",
    )
    parser.add_argument(
        "--tracks",
        type=existing_file,
        default=unset,
        metavar="FILE",
        help="npz with your own boxes instead of the detector",
    )
    parser.add_argument(
        "--intrinsics", type=intrinsics, default=unset, metavar="fx,fy,cx,cy", help="known camera, in source pixels"
    )
    parser.add_argument(
        "--body", default=unset, metavar="free|PATH", help="body model: free, or a licensed SMPL file (default free)"
    )
    parser.add_argument(
        "--window", type=at_least(1), default=unset, metavar="N", help="frames that the network sees at once"
    )
    parser.add_argument(
        "--overlap", type=at_least(0), default=unset, metavar="N", help="frames that neighbouring windows share"
    )
    parser.add_argument("--seed", type=at_least(0), default=unset, help="of everything random (default 0)")
    add_quiet(parser)


def run(args: argparse.Namespace) -> None:
    given = {key: value for key, value in vars(args).items() if key not in _NOT_SETTINGS}
    if "start" in given and "end" in given and given["start"] >= given["end"]:
        raise InputError(f"--start {given['start']:g} is not before --end {given['end']:g}; swap or change them")
    with output_folder(args.out) as out:
        from unish import pipeline

        settings = pipeline.Settings(**given)
        if settings.overlap >= settings.window:
            raise InputError(f"--overlap {settings.overlap} must be below --window {settings.window}; lower it")
        progress = make_progress(quiet=args.quiet)
        try:
            result = pipeline.run(args.input, settings=settings, progress=progress)
            paths = pipeline.write_outputs(result, out, progress=progress)
        finally:
            progress.close()
    if not args.quiet:
        print_summary(result, paths)


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
