"""Kill `unish reconstruct` at random moments over an older result, and look at what is left.

    python tools/kill_runs.py VIDEO OUT [--times 30] [--seed 0] [-- options of unish reconstruct]

Every run has other settings than the one before, so its files differ from the older ones. The moments are drawn in
seconds of processor time, so that other programs do not move them (Linux). After each kill (SIGKILL, SIGTERM and SIGINT
in turn) all that is in OUT must be of one whole result, what `unish refine` needs included, and at most one work folder
may stay. Prints one line a run and exits with 1 if any was wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from unish.io import WORK_FOLDER
from unish.passes import OBSERVATIONS

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
    before = os.times()
    subprocess.run([*command, "--quiet"], check=True)
    lasts = sum(os.times()[2:4]) - sum(before[2:4])
    known, names, wrong = {_marks(args.out): "first"}, {path.name for path in args.out.iterdir()}, 0
    for attempt in range(args.times):
        after, number, started = draw.uniform(0, 1.1 * lasts), ENDS[attempt % len(ENDS)], time.time()
        process = subprocess.Popen([*command, "--seed", str(attempt + 1), "--quiet"], stderr=subprocess.PIPE, text=True)
        how = "ended before"
        while process.poll() is None:
            if _processor_seconds(process.pid) > after:
                process.send_signal(number)
                how = number.name
                break
            time.sleep(0.01)
        _, said = process.communicate()
        marks, left = _marks(args.out), {path.name for path in args.out.iterdir()} - {WORK_FOLDER}
        new = "new" if left == names and _is_whole(args.out, attempt + 1, started) else "MIXED"
        seen = known.setdefault(marks, f"run {attempt}")
        seen = new if seen == f"run {attempt}" else seen
        right = seen != "MIXED" and said.count("\n") <= 1
        wrong += not right
        kept = WORK_FOLDER if (args.out / WORK_FOLDER).exists() else "nothing"
        print(
            f"{'right' if right else 'WRONG'}  {how:12} after {after:5.2f} s: {seen:8} {kept} kept  {said.strip()}",
            flush=True,
        )
    return int(wrong > 0)


def _processor_seconds(pid: int) -> float:
    """Of a process of ours that has not been waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _files(folder: Path) -> list[Path]:
    """All that is shown of a result, which the work folder is not."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and WORK_FOLDER not in path.parts)


def _marks(folder: Path) -> tuple[tuple[str, str], ...]:
    return tuple((path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in _files(folder))


def _is_whole(folder: Path, seed: int, started: float) -> bool:
    """Every file is of this run, and both places that name its settings name these."""
    told = [folder / "report.json", *(folder / OBSERVATIONS).glob("*.json")]
    names_it = [f'"seed": {seed}' in path.read_text() for path in told]
    return len(told) > 1 and all(names_it) and all(path.stat().st_mtime > started - 1 for path in _files(folder))


if __name__ == "__main__":
    raise SystemExit(main())
