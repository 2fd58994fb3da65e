"""Seconds of whole runs of ``unish reconstruct``, stage by stage: two states of the code in turns, on the same videos.

    python benchmarks/whole_run.py --old COMMIT video.mp4 other.mp4                 # wall time of two threads
    python benchmarks/whole_run.py --old COMMIT video.mp4 --threads 1 --clock cpu   # on a machine that does other work
    python benchmarks/whole_run.py video.mp4 --frames 24 100 --fast                 # this state alone

Every run is a process of its own. ``import`` is until ``unish.pipeline`` is there, ``whole`` is all of it but the start
of Python itself; ``start`` is what no stage of the report accounts for. Best of ``--repeats``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNNER = """
import json, resource, sys, time
from types import SimpleNamespace
clock = {"cpu": time.process_time, "wall": time.perf_counter}[sys.argv[1]]
began = clock()
import unish.pipeline
imported = clock() - began
import torch
import unish.structs.progress as progress
from unish.cli import main
torch.set_num_threads(int(sys.argv[2]))
progress.time = SimpleNamespace(perf_counter=clock)
code = 0
try:
    code = main(sys.argv[4:])
except SystemExit as stop:
    code = stop.code
own = {"import": imported, "whole": clock() - began}
if sys.argv[1] == "cpu":
    own["whole"] = time.process_time()
own["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
with open(sys.argv[3], "w") as file:
    json.dump(own, file)
raise SystemExit(code)
"""


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A folder with the code of a commit, as long as the context is open."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["git", "-C", ROOT, "worktree", "add", "--detach", "--quiet", tree, commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", tree], check=True)


def measure(tree: Path, video: Path, frames: int, threads: int, clock: str, options: list[str]) -> dict[str, float]:
    """Seconds of one run by stage."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(tree / "src")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else every run compiles the package anew
    with tempfile.TemporaryDirectory() as folder:
        out, own = Path(folder) / "out", Path(folder) / "own.json"
        asked = ["reconstruct", str(video), "--out", str(out), "--max-frames", str(frames), "--quiet", *options]
        subprocess.run(
            [sys.executable, "-c", RUNNER, clock, str(threads), str(own), *asked],
            check=True,
            cwd=folder,
            env=environment,
        )
        stages: dict[str, float] = json.loads((out / "report.json").read_text())["seconds"]
        known: dict[str, float] = json.loads(own.read_text())
    start = known["whole"] - sum(stages.values())
    return {"whole": known["whole"], "import": known["import"], "start": start, **stages, "peak_mb": known["peak_mb"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--old", metavar="COMMIT", help="measured beside this state of the code")
    parser.add_argument("--frames", nargs="+", type=int, default=[24])
    parser.add_argument("--fast", action="store_true", help="this state with --fast, too")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    args = parser.parse_args()
    with ExitStack() as stack:
        states: dict[str, tuple[Path, list[str]]] = {}
        if args.old:
            states["old"] = (stack.enter_context(checked_out(args.old)), [])
        states["new"] = (ROOT, [])
        if args.fast:
            states["fast"] = (ROOT, ["--fast"])
        for video in args.videos:
            for frames in args.frames:
                runs: dict[str, list[dict[str, float]]] = {name: [] for name in states}
                # In turns, so that what else the machine does meets all of them.
                for _ in range(args.repeats):
                    for name, (tree, options) in states.items():
                        runs[name].append(measure(tree, video.resolve(), frames, args.threads, args.clock, options))
                print_runs(f"{video.name}, {frames} frames, {args.threads} threads, {args.clock} seconds", runs)


def print_runs(title: str, runs: dict[str, list[dict[str, float]]]) -> None:
    """A table: stages in rows, states of the code in columns."""
    best = {name: min(found, key=lambda one: one["whole"]) for name, found in runs.items()}
    stages = list(dict.fromkeys(stage for one in best.values() for stage in one))
    print(f"\n{title}\n{'':16}" + "".join(f"{name:>9}" for name in best))
    for stage in stages:
        print(f"{stage:16}" + "".join(f"{one.get(stage, float('nan')):9.2f}" for one in best.values()))


if __name__ == "__main__":
    main()
