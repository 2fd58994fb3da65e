#!/usr/bin/env python
"""How memory and time grow with the length of a video: a made film, a network and people models that cost little.

    python tools/measure_memory.py --frames 10800 --size 1280x720 --out /tmp/long
    python tools/measure_memory.py --frames 5001 --size 64x48 --window 2 --overlap 1 --long-side 64 --out OUT \\
        --nobody --no-files  # five thousand windows
    python tools/measure_memory.py --video VIDEO --end 40 --out /tmp/start  # a real film, the network that ships

Prints the resident memory of this process and its children over five equal parts of the processor time, the peak,
processor milliseconds per frame of each stage and of the five fifths of its steps (what a stage does after the last of
them, as the network's looks for loops, is in the former alone), and the size of the result.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import torch

from unish.body import load_body
from unish.geometry.camera import make_intrinsics, unproject
from unish.network.config import tiny_config
from unish.passes import Models, write_files
from unish.people import PeopleModels
from unish.people.protocols import Detection, Pose
from unish.people.regions import Region
from unish.pipeline import run
from unish.settings import Settings
from unish.structs import Prediction


class FlatNetwork:
    """A slanted floor, and people who stand upright; a mask of nothing but the number of frames decides."""

    fingerprint = "flat"
    device = torch.device("cpu")

    def __init__(self, long_side: int) -> None:
        self.config = replace(tiny_config(), long_side=long_side, multiple=16)

    def __call__(self, images, humans, timestamps, intrinsics=None, **told):
        _, num_frames, _, height, width = images.shape
        known = make_intrinsics(torch.full((1, num_frames), 1.1 * max(height, width)), height, width)
        depth = 8.0 - 5.0 * torch.linspace(0, 1, height)[:, None].expand(num_frames, height, width)
        c2w = torch.eye(4).repeat(1, num_frames, 1, 1)
        c2w[..., 0, 3] = 0.01 * torch.arange(num_frames)
        num_people = 0 if humans is None else humans.valid.shape[1]
        upright = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
        rotations = torch.eye(3).repeat(1, num_people, num_frames, 24, 1, 1)
        rotations[..., 0, :, :] = upright
        return Prediction(
            local_points=unproject(depth, known[0])[None],
            point_conf_logits=torch.full((1, num_frames, height, width), 3.0),
            c2w=c2w,
            scale=torch.ones(1),
            rotations=rotations if num_people else None,
            betas=torch.zeros(1, num_people, 10) if num_people else None,
            transl=torch.tensor([0.0, 0.0, 5.0]).expand(1, num_people, num_frames, 3) if num_people else None,
            intrinsics=known,
        )


class OneWalker:
    """A detector and landmark model that see one person, who walks to and fro."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size, self.frame = size, 0
        body = load_body()
        marks = body.landmark_template.numpy().copy()
        self.world = (marks - marks[[23, 24]].mean(0)) * [1, -1, -1]
        yy, xx = np.mgrid[-1:1:256j, -1:1:256j]
        self.mask = (255 * ((xx / 0.35) ** 2 + (yy / 0.9) ** 2 < 1)).astype(np.uint8)

    def _box(self) -> np.ndarray:
        height, width = self.size
        x = width * (0.5 + 0.3 * np.sin(self.frame / 40))
        return np.array([x - 0.1 * height, 0.25 * height, x + 0.1 * height, 0.85 * height])

    def detect(self, images):
        found = []
        for _ in images:
            self.frame += 1
            found.append([Detection(box_xyxy=self._box(), score=0.95)])
        return found

    def read_pose(self, picture, region):
        box = self._box()
        scale = (box[3] - box[1]) / 1.75
        middle = (box[:2] + box[2:]) / 2
        px = np.concatenate([middle + scale * self.world[:, :2], np.full((33, 1), 0.95)], axis=1).astype(np.float32)
        around = Region.around_box(box, margin=1.25)
        return Pose(
            px=px, world=self.world.astype(np.float32), score=0.95, region=around, next_region=around, mask=self.mask
        )


class Nobody:
    def detect(self, images):
        return [[] for _ in images]


class OneWalkerModels(Models):
    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def _people_models(self, config, experts, progress):
        walker = OneWalker(self.size)
        return PeopleModels(detector=walker, support=Nobody(), landmarks=walker)


def make_film(path: Path, num_frames: int, size: tuple[int, int]) -> None:
    """Blocks of noise that drift, six frames a second."""
    height, width = size
    noise = np.random.default_rng(0).integers(40, 220, (height // 8 + 2, width // 8 + 64, 3), np.uint8)
    wide = np.repeat(np.repeat(noise, 8, axis=0), 8, axis=1)
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=6, options={"preset": "ultrafast", "crf": "30"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in range(num_frames):
            shift = int(200 + 190 * np.sin(frame / 60))
            film.mux(stream.encode(av.VideoFrame.from_ndarray(wide[:height, shift : shift + width], format="rgb24")))
        film.mux(stream.encode(None))


class Log(threading.Thread):
    """(processor seconds, MB) of this process and its children, twice a second; and how far each stage was when."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.samples: list[tuple[float, float]] = []
        self.stages: list[tuple[float, str]] = []
        self.steps: dict[str, list[tuple[float, int, int]]] = {}
        self.running = True

    def run(self) -> None:
        while self.running:
            self.samples.append((_processor_s(), _resident_mb()))
            time.sleep(0.5)

    def note(self, stage: str, done: int, total: int | None) -> None:
        if done == 0 and total is None:
            self.stages.append((_processor_s(), stage))
        elif total is not None and (done, total) != (1, 1):  # that is the end of a stage
            self.steps.setdefault(stage, []).append((_processor_s(), done, total))


def _processor_s() -> float:
    ended = os.times()
    return time.process_time() + ended.children_user + ended.children_system


def _resident_mb() -> float:
    """Anonymous memory: pages of files that are mapped can be dropped at any time and do not count."""
    total = 0
    for status in Path("/proc/self").glob("task/*/children"):
        try:
            children = status.read_text().split()
        except OSError:  # the thread has ended
            continue
        total += sum(_anonymous_kb(child) for child in children)
    return (total + _anonymous_kb("self")) / 1024


def _anonymous_kb(process: str) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", help="measure this film with the network that ships, instead of a made one")
    parser.add_argument("--end", type=float, help="seconds of the film to use")
    parser.add_argument("--frames", type=int, default=10800)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--long-side", type=int, default=512)
    parser.add_argument("--window", type=int, default=30)
    parser.add_argument("--overlap", type=int, default=6)
    parser.add_argument("--nobody", action="store_true", help="look for no people")
    parser.add_argument("--no-files", action="store_true", help="end before the third pass, which writes the files")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    args.out.mkdir(parents=True, exist_ok=True)
    film, network, models = args.video or args.out / "film.mp4", None, None
    if not args.video:
        network, models = FlatNetwork(args.long_side), OneWalkerModels((height, width))
        if not film.exists():
            make_film(film, args.frames, (height, width))
    log = Log()
    log.start()
    start = _processor_s()
    settings = Settings(window=args.window, overlap=args.overlap, end=args.end, people=0 if args.nobody else None)
    (args.out / "result").mkdir(exist_ok=True)
    result = run(
        film, settings=settings, progress=log.note, network=network, models=models, work=args.out / "work"
    )  # fmt: skip
    if not args.no_files:
        write_files(
            result.reconstruction, result.body, result.report, args.out / "result", kept=result.kept, progress=log.note
        )
    log.running = False
    print(json.dumps(_report(log, start, result.reconstruction.num_frames, args.out / "result"), indent=1))


def _report(log: Log, start: float, num_frames: int, folder: Path) -> dict[str, object]:
    end = _processor_s()
    times, values = map(np.array, zip(*log.samples, strict=True))
    stages: dict[str, dict[str, object]] = {}
    for (begin, name), (stop, _) in pairwise([*log.stages, (end, "end")]):
        inside = values[(times >= begin) & (times <= stop)]
        stages[name] = {
            "cpu_ms_per_frame": round(1000 * (stop - begin) / num_frames, 2),
            "peak_mb": round(float(inside.max()), 1) if len(inside) else 0.0,
            "fifths_mb": [round(float(part.max())) for part in np.array_split(inside, 5) if len(part)],
            "fifths_cpu_ms_per_step": _fifths_of_steps(begin, log.steps.get(name, [])),
        }
    edges = np.linspace(start, end, 6)
    fifths = [values[(times >= low) & (times <= high)] for low, high in pairwise(edges)]
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {
        "frames": num_frames,
        "fifths_mb": [round(float(part.max()), 1) if len(part) else 0.0 for part in fifths],
        "peak_mb": round(float(values.max()), 1),
        "cpu_seconds": round(end - start, 1),
        "stages": stages,
        "result_mb": round(size / 2**20, 1),
    }


def _fifths_of_steps(begin: float, steps: list[tuple[float, int, int]]) -> list[float]:
    """Processor milliseconds of a step (a frame, or what the stage counts) in each fifth of them."""
    if not steps:
        return []
    total = steps[-1][2]
    at, done = np.array([begin, *(when for when, _, _ in steps)]), np.array([0, *(count for _, count, _ in steps)])
    edges = np.interp(np.linspace(0, total, 6), done, at)
    return [round(1000 * float(spent) / (total / 5), 2) for spent in np.diff(edges)]


if __name__ == "__main__":
    main()
