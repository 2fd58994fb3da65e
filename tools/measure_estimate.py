"""Hold what ``unish reconstruct --dry-run`` says against runs: the table of docs/how-to/own-video.md.

    python tools/measure_estimate.py walk.mp4 dance.mp4 --max-frames 48 --work out/estimates

Each video is run in a process of its own with one thread. Its time is processor time, start included, so other programs
hardly change it. Where stages take other shares than the rates of ``unish.cli.dry_run`` say, ``report.json`` of a run
on an idle machine has their seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

from unish.cli.dry_run import estimate_run, find_working_size
from unish.settings import Settings
from unish.video import read_headers


def main(argv: list[str] | None = None) -> int:
    """Print one row of a Markdown table for each video."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--max-frames", type=int, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--fast", action="store_true", help="runs with --fast")
    arguments = parser.parse_args(argv)
    print("| video | frames | people | time, said | measured | memory, said | measured | disk, said | measured |")
    print("|---|---|---|---|---|---|---|---|---|")
    for video in arguments.videos:
        print(measure(video, arguments.max_frames, arguments.work / video.stem, fast=arguments.fast), flush=True)
    return 0


def measure(video: Path, max_frames: int, out: Path, *, fast: bool = False) -> str:
    """The row of one video: seconds, MiB and 10⁶ bytes."""
    settings = Settings(max_frames=max_frames, fast=fast)
    headers = read_headers(video, max_frames=max_frames)
    size = find_working_size(headers.size, settings)
    assert size is not None
    said = estimate_run(headers, size, settings, threads=1)
    command = [sys.executable, "-m", "unish", "reconstruct", video, "--out", out, "--max-frames", str(max_frames)]
    command += ["--fast"] if fast else []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, "--quiet"], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    disk_mb = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    cells = [video.stem, str(max_frames), str(len(report["people"]))]
    cells += [f"{said.seconds[0]:.0f}–{said.seconds[1]:.0f} s", f"{seconds:.0f} s"]
    cells += [f"{value:.0f}" for value in (said.memory_mb, report["peak_memory_mb"], said.result_mb, disk_mb)]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    raise SystemExit(main())
