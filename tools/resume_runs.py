"""Kill `unish reconstruct` at random moments, start it again, and compare what it ends with to a run that was let be.

    python tools/resume_runs.py VIDEO OUT [--kills 20] [--seed 0] [--options "--max-frames 60 --window 8 --overlap 2"]
    python tools/resume_runs.py VIDEO OUT --tiny  # a network that is small and knows nothing, and no people: cheap

A run is killed (SIGKILL, SIGTERM and SIGINT in turn) and started again until it ends by itself; then the next one
begins in an empty folder, until as many were killed as asked for. Moments are drawn by the processor time that the run
has taken, which other work on the machine changes little (read from ``/proc``, so on Linux). All files but preview.mp4
must be those of the run that was let be (times and memory in JSON files apart), and a window that was kept must not be
computed again, so that a kill loses one at most. Prints a line for each kill and exits with 1 if any result differs or
a window was lost.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from unish.io import WORK_FOLDER
from unish.network import UniSH
from unish.network.config import tiny_config

ENDS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--options", default="--max-frames 60 --window 8 --overlap 2")
    parser.add_argument("--tiny", action="store_true", help="a tiny network without weights, and no people")
    args = parser.parse_args()
    # A shell that runs this in the background has SIGINT ignored, and so would have the runs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if args.tiny:
        torch.manual_seed(0)
        UniSH(tiny_config()).save_pretrained(args.out / "tiny")
        args.options += f" --people 0 --model {shlex.quote(str(args.out / 'tiny'))}"
    draw, options = random.Random(args.seed), shlex.split(args.options)
    whole = args.out / "whole"
    before_s = _children_s()
    subprocess.run(_command(args.video, whole, options), check=True, stdout=subprocess.DEVNULL)
    lasts, wanted = _children_s() - before_s, _content(whole)
    print(f"a run that is let be takes {lasts:.1f} s of processor time", flush=True)
    kills = runs = wrong = lost = 0
    while kills < args.kills:
        folder = args.out / f"run-{runs}"
        shutil.rmtree(folder, ignore_errors=True)
        before = dict[str, int]()
        while _killed(args.video, folder, options, draw.uniform(0.05, 0.9) * lasts, ENDS[kills % len(ENDS)]):
            kills += 1
            kept = _windows(folder)
            lost += len(before.items() - kept.items())
            before = kept
        same = _content(folder) == wanted and not (folder / WORK_FOLDER).exists()
        print(f"{'same' if same else 'OTHER'} result after {kills} kills in {runs + 1} runs", flush=True)
        wrong += not same
        runs += 1
    print(f"{lost} windows that were kept were computed again", flush=True)
    return int(wrong > 0 or lost > 0)


def _windows(folder: Path) -> dict[str, int]:
    """The windows that a run has kept, and when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob(f"{WORK_FOLDER}/kept/windows/*.npz")}


def _command(video: Path, out: Path, options: list[str]) -> list[str]:
    return [sys.executable, "-m", "unish", "reconstruct", str(video), "--out", str(out), *options]


def _killed(video: Path, folder: Path, options: list[str], after_s: float, number: signal.Signals) -> bool:
    """Start a run and kill it unless it ends before; whether work of it was left to do."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(_command(video, folder, options), stdout=said)
        how = "ended"
        while process.poll() is None:
            if _processor_s(process.pid) >= after_s:
                process.send_signal(number)
                how = number.name if process.wait() else "ended"
            time.sleep(0.02)
        said.seek(0)
        lines = said.read().splitlines()
    begun = next((line for line in lines if line.startswith("resuming")), "from the beginning")
    print(f"{how:8} after {after_s:5.1f} s, {begun}; {len(_windows(folder))} windows are kept", flush=True)
    # A signal that arrives after the last file was put in its place ends a run that has ended.
    complete = (folder / "reconstruction.npz").exists() and not (folder / WORK_FOLDER).exists()
    return how != "ended" and not complete


def _processor_s(pid: int) -> float:
    """Processor time that a process of ours has taken, its finished children's included."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has just ended
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _children_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _content(folder: Path) -> dict[str, object]:
    content: dict[str, object] = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and path.name != "preview.mp4" and WORK_FOLDER not in path.parts:
            content[name] = _untimed(json.loads(path.read_bytes())) if path.suffix == ".json" else path.read_bytes()
    return content


def _untimed(part: Any) -> Any:
    """A report, or what is kept of one, without what no two runs have alike."""
    if not isinstance(part, dict):
        return part
    return {key: _untimed(value) for key, value in part.items() if key not in ("seconds", "peak_memory_mb")}


if __name__ == "__main__":
    raise SystemExit(main())
