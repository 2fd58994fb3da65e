"""Kill `unish reconstruct` at random moments, start it again, and compare what it ends with to a run that was let be.

    python tools/resume_runs.py VIDEO OUT [--kills 20] [--seed 0] [--options "--max-frames 60 --window 8 --overlap 2"]

A run is killed (SIGKILL, SIGTERM and SIGINT in turn) and started again until it ends by itself; then the next one
begins in an empty folder, until as many were killed as asked for. reconstruction.npz, scene.glb and report.json (but
for times, memory and the place of the input) must be those of the run that was let be. Prints a line for each kill and
exits with 1 if any result differs.
"""

from __future__ import annotations

import argparse
import json
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from unish.io import WORK_FOLDER

ENDS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--options", default="--max-frames 60 --window 8 --overlap 2")
    args = parser.parse_args()
    draw, options = random.Random(args.seed), shlex.split(args.options)
    whole = args.out / "whole"
    start = time.monotonic()
    subprocess.run(_command(args.video, whole, options), check=True, stdout=subprocess.DEVNULL)
    lasts, wanted = time.monotonic() - start, _content(whole)
    print(f"a run that is let be takes {lasts:.1f} s", flush=True)
    kills = runs = wrong = 0
    while kills < args.kills:
        folder = args.out / f"run-{runs}"
        shutil.rmtree(folder, ignore_errors=True)
        while _killed(args.video, folder, options, draw.uniform(0.05, 0.9) * lasts, ENDS[kills % len(ENDS)]):
            kills += 1
        same = _content(folder) == wanted and not (folder / WORK_FOLDER).exists()
        print(f"{'same' if same else 'OTHER'} result after {kills} kills in {runs + 1} runs", flush=True)
        wrong += not same
        runs += 1
    return int(wrong > 0)


def _command(video: Path, out: Path, options: list[str]) -> list[str]:
    return [sys.executable, "-m", "unish", "reconstruct", str(video), "--out", str(out), *options]


def _killed(video: Path, folder: Path, options: list[str], after_s: float, number: signal.Signals) -> bool:
    """Start a run and kill it unless it ends before; whether it was killed."""
    process = subprocess.Popen(_command(video, folder, options), stdout=subprocess.PIPE, text=True)
    try:
        said, _ = process.communicate(timeout=after_s)
        how = "ended"
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        said, _ = process.communicate()
        how = number.name if process.returncode else "ended"
    begun = next((line for line in said.splitlines() if line.startswith("resuming")), "from the beginning")
    windows = len(list(folder.glob(f"{WORK_FOLDER}/kept/windows/*.npz")))
    print(f"{how:8} after {after_s:5.1f} s, {begun}; {windows} windows are kept", flush=True)
    return how != "ended"


def _content(folder: Path) -> dict[str, object]:
    content: dict[str, object] = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("preview.mp4", "report.json") and WORK_FOLDER not in path.parts
    }
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return content | {"report": {key: report[key] for key in report if key not in ("seconds", "peak_memory_mb")}}


if __name__ == "__main__":
    raise SystemExit(main())
