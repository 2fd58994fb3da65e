"""How fast the viewer is: the table of docs/viewing.md.

    python tools/measure_viewer.py [--frames 1000]

Makes a result of 640×360 pixels with four people, shows it on a server of its own and looks at it in Chromium without a
graphics card: seconds until the server answers, until the page shows the first frame, and of jumps to steps that the
page has and that it has not, on the clock; and the memory of server and page. Needs ``unish[view]``, Playwright and
Chromium, and is worth something on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from small_record import make_record
from unish.body import load_body
from unish.io import peak_memory_mb
from unish.structs import FrameArray, Reconstruction
from unish.viewer.live import LiveViewer
from unish.viewer.record import build_record
from unish.viewer.stage import open_stage

SIZE, WINDOW, MAX_POINTS = (360, 640), (900, 600), 60_000
GROWTH = 7.5
"""From the small record's pixels to these."""

OPTIONS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


def make_result(num_frames: int) -> Reconstruction:
    """A floor, a camera that walks and four people who move; frames are made when they are read."""
    small = make_record(load_body("free"), num_people=4, num_frames=num_frames)
    rows, columns = ((np.arange(side) / GROWTH).astype(int) for side in SIZE)
    columns = columns.clip(max=small.images.shape[2] - 1)

    def enlarge(values: np.ndarray) -> FrameArray:
        return FrameArray(
            (num_frames, *SIZE, *values.shape[3:]), values.dtype, lambda frame: values[frame][rows][:, columns]
        )

    larger = {name: enlarge(getattr(small, name)) for name in ("images", "depth", "point_conf", "person_masks")}
    intrinsics = small.intrinsics * np.array([GROWTH, GROWTH, 1], np.float32)[:, None]
    # The camera comes back every two seconds, so that all stays before it.
    steps = np.arange(num_frames)
    c2w = small.c2w.copy()
    c2w[:, 0, 3] = 0.5 * np.sin(2 * np.pi * steps / 60)
    transl = small.transl.copy()
    transl[..., 0] += c2w[:, 0, 3] - small.c2w[:, 0, 3]
    size = np.array(SIZE, np.int32)
    return replace(
        small, **larger, intrinsics=intrinsics, c2w=c2w, transl=transl, image_size=size, source_size=2 * size,
        timestamps_s=steps / 30.0,
    )  # fmt: skip


def jump(page: Any, step: int) -> float:
    """Seconds until a step is drawn."""
    begin = time.monotonic()
    page.evaluate(f"(() => {{ const p = window.__VISER4D__.controller.player; p.pause(); p.seek({step}); }})()")
    page.wait_for_function(f"window.__VISER4D__.debug.appliedStep === {step}", polling=10)
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return time.monotonic() - begin


def page_memory_mb() -> float:
    """Resident memory of the largest renderer of Chromium."""
    found = [0.0]
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if b"--type=renderer" in status.with_name("cmdline").read_bytes():
                words = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()
                found.append(int(words[1]) / 1024)
        except (OSError, StopIteration):
            continue
    return max(found)


def look(address: str, num_frames: int) -> None:
    """Open the page, jump, and print."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=OPTIONS)
        page = browser.new_context(viewport={"width": WINDOW[0], "height": WINDOW[1]}).new_page()
        page.set_default_timeout(240_000)
        begin = time.monotonic()
        page.goto(address + "?fixedDpr=1")
        page.wait_for_function("window.__VISER4D__ && window.__VISER4D__.debug.appliedStep >= 0", polling=10)
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        print(f"opening the page until the first frame: {time.monotonic() - begin:.2f} s", flush=True)
        cold = []
        for share in (0.9, 0.3, 0.6):
            cold.append(jump(page, int(share * num_frames)))
            page.wait_for_timeout(5000)  # its neighbours follow
        print(f"jumps to frames that are not loaded: {', '.join(f'{seconds:.2f}' for seconds in cold)} s", flush=True)
        near = int(0.6 * num_frames)
        warm = [jump(page, near + step) for step in np.random.default_rng(0).integers(-8, 8, 50).tolist()]
        print(f"50 jumps to frames that are loaded: median {np.median(warm):.2f}, worst {max(warm):.2f} s")
        print(f"memory: page {page_memory_mb():.0f} MB")
        browser.close()


def main() -> int:
    """Make, show, look."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, default=1000)
    num_frames = parser.parse_args().frames
    result, body = make_result(num_frames), load_body("free")
    begin = time.monotonic()
    record = build_record(result, body, title="measured", max_points=MAX_POINTS)
    read_s = time.monotonic() - begin
    begin = time.monotonic()
    with open_stage(record) as stage:
        LiveViewer(stage)
        points = sum(len(shot.points.xyz) for shot in record.shots)
        print(f"{num_frames} frames, {len(record.people)} people, {points} points, {os.cpu_count()} cores")
        print(f"reading: {read_s:.2f} s; until the server answers: {time.monotonic() - begin:.2f} s", flush=True)
        begin = time.monotonic()
        stage.wait()
        print(f"all frames are there after {time.monotonic() - begin:.1f} s more", flush=True)
        look(stage.address, num_frames)
        print(f"memory: server {peak_memory_mb():.0f} MB at most, the made result and this tool included")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
