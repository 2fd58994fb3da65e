"""What a command prints of a result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from unish.cli.terminal import print_table

if TYPE_CHECKING:
    from unish.pipeline import Result


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
