"""Kill `unish reconstruct` at random moments over an older result, and look at what is left.

    python tools/kill_runs.py VIDEO OUT [--times 30] [--seed 0] [-- options of unish reconstruct]

Every run has other settings than the one before, so its files differ from the older ones. After each kill (SIGKILL,
SIGTERM and SIGINT in turn) the files in OUT must be those of one whole result, and at most one work folder may stay.
Prints one line a run and exits with 1 if any was wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from unish.io import WORK_FOLDER

NAMES = ("reconstruction.npz", "preview.mp4", "scene.glb", "report.json")
ENDS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("options", nargs="*", default=["--people", "0", "--max-frames", "3", "--size", "112"])
    args = parser.parse_args()
    draw = random.Random(args.seed)
    command = [sys.executable, "-m", "unish", "reconstruct", str(args.video), "--out", str(args.out), *args.options]
    start = time.monotonic()
    subprocess.run([*command, "--quiet"], check=True)
    lasts = time.monotonic() - start
    known, wrong = {_marks(args.out): "first"}, 0
    for attempt in range(args.times):
        after, number = draw.uniform(0, 1.1 * lasts), ENDS[attempt % len(ENDS)]
        process = subprocess.Popen([*command, "--seed", str(attempt + 1), "--quiet"], stderr=subprocess.PIPE, text=True)
        try:
            _, said = process.communicate(timeout=after)
            how = "ended before"
        except subprocess.TimeoutExpired:
            process.send_signal(number)
            _, said = process.communicate()
            how = number.name
        left = sorted(path.name for path in args.out.iterdir() if path.name not in NAMES)
        marks = _marks(args.out)
        seen = known.get(marks, "new" if _is_whole(args.out, attempt + 1) else "MIXED")
        known[marks] = f"run {attempt}"
        right = seen != "MIXED" and left in ([], [WORK_FOLDER]) and said.count("\n") <= 1
        wrong += not right
        print(
            f"{'right' if right else 'WRONG'}  {how:12} after {after:5.2f} s: {seen:8} {left} {said.strip()}",
            flush=True,
        )
    return int(wrong > 0)


def _marks(folder: Path) -> tuple[str, ...]:
    return tuple(hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in NAMES if (folder / name).exists())


def _is_whole(folder: Path, seed: int) -> bool:
    """All files, the report among them naming the settings of this run, all moved in at one time."""
    report = folder / "report.json"
    times = [(folder / name).stat().st_mtime for name in NAMES if (folder / name).exists()]
    return len(times) == len(NAMES) and f'"seed": {seed}' in report.read_text() and max(times) - min(times) < 60


if __name__ == "__main__":
    raise SystemExit(main())
