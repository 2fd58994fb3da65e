"""Measure how varied the synthetic world is next to real clips; draw the figure and print the biggest differences.

    python tools/measure_variety.py --clips 2000 --real VIDEOS --work WORK --out docs/pictures/variety.png

WORK keeps the rows of the synthetic clips, for as long as the code of the world stays the same, and the
reconstructions of the real ones: a run that was cut goes on, and a second run only draws.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from unish.cli.arguments import at_least
from unish.cli.progress import make_progress
from unish.errors import InputError
from unish.lab.evaluation.variety import compare_rows, draw_figure, measure_videos, measure_world
from unish.lab.evaluation.variety.comparison import TABLE_HEADER


def measure(clips: int, seed: int, real: Path, work: Path, out: Path, workers: int) -> None:
    """Write the figure and print the table as Markdown.

    Raises:
        InputError: the folder holds no video, or one that cannot be read.
    """
    progress = make_progress()
    try:
        videos = measure_videos(real, work=work / "real", progress=progress)
        synthetic = measure_world(clips, seed=seed, work=work, workers=workers, progress=progress)
    finally:
        progress.close()
    differences = compare_rows(synthetic, list(videos.values()))
    out.parent.mkdir(parents=True, exist_ok=True)
    draw_figure(differences, num_synthetic=clips, num_real=len(videos)).quantize(64).save(out, optimize=True)
    for cells in (TABLE_HEADER, ["---"] * len(TABLE_HEADER), *(difference.cells() for difference in differences)):
        print("| " + " | ".join(cells) + " |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=at_least(1), default=2000, help="synthetic clips (default 2000)")
    parser.add_argument("--seed", type=at_least(0), default=0, help="of the synthetic clips (default 0)")
    parser.add_argument("--real", type=Path, required=True, help="folder of videos")
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps what was measured")
    parser.add_argument("--out", type=Path, required=True, help="the figure, a PNG file")
    parser.add_argument("--workers", type=at_least(1), default=2, help="processes that render (default 2)")
    arguments = parser.parse_args()
    try:
        measure(**vars(arguments))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
