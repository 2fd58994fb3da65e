"""``make demo``: the main job on a real clip that anyone can get, or on a rendered one whose truth is known exactly."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from unish import assets
from unish.cli.progress import make_progress
from unish.errors import InputError
from unish.into_folder import write_outputs
from unish.pipeline import Result, run
from unish.settings import Settings

STATED_HEIGHT_M = 1.65
"""Height of its first person in the configuration that comes with the demo clip."""

SYNTHETIC_FRAMES = 24


def main(argv: list[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m unish.cli.demo", description=__doc__)
    parser.add_argument("--video", type=Path, help="your own video instead of the sample clip")
    parser.add_argument("--synthetic", action="store_true", help="render a clip and compare with its exact truth")
    arguments = parser.parse_args(argv)
    try:
        if arguments.video is not None:
            return _show_video(arguments.video, Path("out") / arguments.video.stem, stated_height_m=None)
        if arguments.synthetic:
            return _show_synthetic()
        try:
            video = assets.fetch("demo-video")
        except InputError as error:
            print(f"{error}\nGoing on with a rendered clip instead.", file=sys.stderr)
            return _show_synthetic()
        return _show_video(video, Path("out/demo"), stated_height_m=STATED_HEIGHT_M)
    except InputError as error:
        print(f"unish: error: {error}", file=sys.stderr)
        return 2


def _show_video(video: Path, out: Path, *, stated_height_m: float | None) -> int:
    progress = make_progress()
    result = run(video, settings=Settings(), progress=progress)
    paths = write_outputs(result, out, progress=progress)
    _print_people(result.report["people"], stated_height_m)
    _print_run(result, paths)
    return 0


def _show_synthetic() -> int:
    """The rendered clip carries its own observations of people, so that no model file has to be fetched."""
    from unish.body import load_body
    from unish.lab.evaluation.compare import compare_with_truth
    from unish.lab.synthetic import SynthConfig, clip_from_truth, make_clip, observe_people

    progress = make_progress()
    progress("render", 0, None)
    config = SynthConfig(size=(192, 320), num_frames=SYNTHETIC_FRAMES, min_people=2, max_people=3)
    truth = make_clip(seed=7, index=40, config=config)
    body = load_body("free")
    result = run(
        clip_from_truth(truth),
        settings=Settings(),
        progress=progress,
        people_finder=lambda clip, size: observe_people(truth, body, size),
    )
    paths = write_outputs(result, Path("out/demo"), progress=progress)
    _print_people(result.report["people"], None)
    print("\nErrors against the exact truth (people were read from the truth's own landmarks, not detected):")
    for name, value in compare_with_truth(result.reconstruction, truth, body).items():
        print(f"  {name:32s} {value:8.3f}")
    _print_run(result, paths)
    return 0


def _print_people(people: list[dict[str, Any]], stated_height_m: float | None) -> None:
    print(f"\n{len(people)} {'person' if len(people) == 1 else 'people'} found")
    if people:
        print(f"  {'id':>3}  {'frames':>6}  {'height m':>8}  {'certainty':>9}  {'reprojection %':>14}")
    for row in people:
        print(
            f"  {row['id']:>3}  {row['frames']:>6}  {row['height_m']:>8.2f}  {row['certainty']:>9.2f}"
            f"  {row['reprojection_percent']:>14.1f}"
        )
    if stated_height_m is not None:
        print(f"  The clip's own configuration states {stated_height_m:.2f} m for its first person.")


def _print_run(result: Result, paths: list[Path]) -> None:
    quality, seconds = result.report["quality"], result.report["seconds"]
    print(f"\nreprojection {quality['reprojection_percent']:.1f} % of the box, ", end="")
    print(f"body to own points {quality['body_to_points_cm']:.0f} cm, ", end="")
    print(f"camera path {quality['camera_path_m']:.2f} m")
    print("seconds: " + ", ".join(f"{stage} {value:.1f}" for stage, value in seconds.items()))
    for warning in result.report["warnings"]:
        print(f"warning: {warning}")
    print("files:")
    for path in paths:
        print(f"  {path}")


if __name__ == "__main__":
    sys.exit(main())
