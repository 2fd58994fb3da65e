"""How many clip frames per second the renderer draws, and what planning a clip costs next to drawing it.

    python benchmarks/render_speed.py --quick                 # the crowded scene in one process and in two, few frames
    python benchmarks/render_speed.py --processes 2 --frames 48 --clips 100

The crowded scene is a hall with two people of at least 15,000 faces each and at least 50,000 triangles of furniture on
all sides, shadows on, one sample per pixel; colour, depth, normals and ids are read back. ``wall`` counts the time that
passes, ``cpu`` the processor time of the process with the threads of its OpenGL: on a machine that does other work too,
only the second tells what the code costs. A split waits for the drawing before it reads, which the frames per second do
not. Random clips are planned and drawn in turn, so that the ratio of the two holds on a busy machine; the first use of
every piece of furniture is included.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from typing import Any

import numpy as np
import torch

from unish.lab.evaluation.provenance import name_cpu
from unish.lab.synthetic import SynthConfig
from unish.lab.synthetic.clip import plan_clip, render_clip
from unish.lab.synthetic.furniture import THEMES, sample_piece
from unish.lab.synthetic.shapes import place
from unish.render import Scene, make_renderer
from unish.render.scene import SmoothNormals, join_meshes

MIN_SCENE_FACES = 50_000


@dataclass(frozen=True, kw_only=True)
class Crowded:
    """The scene of the benchmark and its frames.

    Attributes:
        scene: as the renderer takes it.
        people: (T, V, 3) vertices of all people.
        w2c: (T, 4, 4); intrinsics: (3, 3) for ``size``, (height, width).
    """

    scene: Scene
    people: np.ndarray
    w2c: np.ndarray
    intrinsics: np.ndarray
    size: tuple[int, int]


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(1)  # like the processes that write shards: tiny operations only lose by sharing cores
    print(f"{name_cpu()}, {os.cpu_count()} processors; {arguments.size}x{arguments.size}, {arguments.frames} frames")
    for count in sorted({1, arguments.processes}):
        rates = run_processes(count, arguments)
        print(f"\n{count} process(es): {sum(rate['wall'] for rate in rates):.1f} frames/s; " + describe(rates[0]))
        cpu = np.mean([rate["cpu"] for rate in rates])
        print(f"  {1 / cpu:.1f} frames per CPU second and process ({1e3 * cpu:.1f} ms a frame)")
    print("\nsplit of a frame of the crowded scene, ms (wall / cpu):")
    for name, (wall, cpu) in split_frame(arguments).items():
        print(f"  {name:10s} {1e3 * wall:6.1f} / {1e3 * cpu:6.1f}")
    print(f"\n{arguments.clips} random clips of {arguments.clip_frames} frames, sensor off, ms a clip (wall / cpu):")
    times = measure_clips(arguments)
    for name, (wall, cpu) in times.items():
        print(f"  {name:10s} {1e3 * wall:6.1f} / {1e3 * cpu:6.1f}")
    ratio = [plan / render for plan, render in zip(times["plan"], times["render"], strict=True)]
    print(f"  {'plan/render':10s} {ratio[0]:5.2f} / {ratio[1]:6.2f}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--frames", type=int, default=24, help="of the crowded clip")
    parser.add_argument("--repeats", type=int, default=4, help="times that the crowded clip is drawn")
    parser.add_argument("--size", type=int, default=224, help="side of the picture")
    parser.add_argument("--samples", type=int, default=1, help="above 1, colours are smoothed")
    parser.add_argument("--clips", type=int, default=100, help="random clips")
    parser.add_argument("--clip-frames", type=int, default=6)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one repeat of 12 frames, 6 clips")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.frames, arguments.repeats, arguments.clips = 12, 1, 6
    return arguments


def make_crowded(seed: int, num_frames: int, side: int) -> Crowded:
    """A planned hall with two people, filled with furniture up to the number of triangles."""
    config = SynthConfig(size=(side, side), num_frames=num_frames, place="hall", min_people=2, max_people=2)
    # Some plans find room for one person only.
    shootings = (plan_clip(np.random.default_rng([seed, index]), seed, config) for index in range(99))
    shooting = next(found for found in shootings if len(found.actors) == 2)
    stage, rng = shooting.stage, np.random.default_rng(seed)
    kept_free = np.concatenate([shooting.camera.c2stage[:, :3, 3], *[actor.joints[:, 0] for actor in shooting.actors]])
    meshes = [stage.shell, *[prop.mesh for prop in stage.props]]
    while sum(len(mesh.faces) for mesh in meshes) < MIN_SCENE_FACES:
        x, z = rng.uniform(stage.low[[0, 2]], stage.high[[0, 2]])
        if (np.hypot(kept_free[:, 0] - x, kept_free[:, 2] - z) > 0.9).all():
            thing = join_meshes(sample_piece(rng, shooting.bank, THEMES["kitchen"].walls))
            meshes.append(place(thing, (x, 0.0, z), rng.uniform(0, 2 * np.pi)))
    scene = Scene(
        shell=meshes[0],
        objects=join_meshes(meshes[1:]),
        people=join_meshes([actor.looks for actor in shooting.actors]),
        lighting=stage.lighting,
        textures=shooting.bank.layers,
    )
    return Crowded(
        scene=scene,
        people=np.concatenate([actor.surface for actor in shooting.actors], axis=1),
        w2c=np.linalg.inv(shooting.camera.c2stage),
        intrinsics=shooting.camera.intrinsics,
        size=(side, side),
    )


def run_processes(count: int, arguments: argparse.Namespace) -> list[dict[str, float]]:
    """Draw the crowded clip in ``count`` processes at the same time."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(count), context.Queue()
    workers = [context.Process(target=_work, args=(arguments, barrier, results)) for _ in range(count)]
    for worker in workers:
        worker.start()
    rates = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    return rates


def _work(arguments: argparse.Namespace, barrier: Barrier, results: Any) -> None:
    crowded = make_crowded(arguments.seed, arguments.frames, arguments.size)
    renderer = make_renderer("egl", samples=arguments.samples)
    renderer.load(crowded.scene)
    draw_clip(renderer, crowded)
    barrier.wait()
    wall, cpu = measure(lambda: [draw_clip(renderer, crowded) for _ in range(arguments.repeats)])
    drawn = len(crowded.w2c) * arguments.repeats
    scene = crowded.scene
    results.put({
        "wall": drawn / wall, "cpu": cpu / drawn, "people": len(scene.people.faces),
        "triangles": len(scene.shell.faces) + len(scene.objects.faces),
    })  # fmt: skip


def draw_clip(renderer: Any, crowded: Crowded) -> None:
    """Load the scene and draw every frame of the clip, as for training."""
    renderer.load(crowded.scene)
    smooth = SmoothNormals(crowded.scene.people.faces, crowded.people.shape[1])
    for vertices, w2c in zip(crowded.people, crowded.w2c, strict=True):
        renderer.render(vertices, smooth(vertices), w2c, crowded.intrinsics, crowded.size)


def describe(rate: dict[str, float]) -> str:
    return f"{rate['triangles']} triangles of scene, {rate['people']} of people"


def measure(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds that passed, and seconds of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def split_frame(arguments: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Mean seconds (wall, cpu) of the steps of a frame; loading is shared out over the frames of the clip."""
    crowded = make_crowded(arguments.seed, arguments.frames, arguments.size)
    renderer: Any = make_renderer("egl", samples=arguments.samples)
    draw_clip(renderer, crowded)
    smooth = SmoothNormals(crowded.scene.people.faces, crowded.people.shape[1])
    times: dict[str, list[tuple[float, float]]] = {
        "load": [measure(lambda: (renderer.load(crowded.scene), renderer.finish()))]
    }
    for vertices, w2c in zip(crowded.people, crowded.w2c, strict=True):
        normals = smooth(vertices)
        steps: dict[str, Callable[[], object]] = {
            "normals": lambda vertices=vertices: smooth(vertices),  # type: ignore[misc]
            "render": lambda vertices=vertices, normals=normals, w2c=w2c: (  # type: ignore[misc]
                renderer.submit(vertices, normals, w2c, crowded.intrinsics, crowded.size),
                renderer.finish(),
            ),
            "read back": renderer.read,
        }
        for name, step in steps.items():
            times.setdefault(name, []).append(measure(step))
    sums = {name: np.sum(pairs, axis=0) / len(crowded.w2c) for name, pairs in times.items()}
    return {name: (float(wall), float(cpu)) for name, (wall, cpu) in sums.items()}


def measure_clips(arguments: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Mean seconds (wall, cpu) of planning and of drawing random clips."""
    config = SynthConfig(size=(arguments.size, arguments.size), num_frames=arguments.clip_frames, sensor=False)
    renderer = make_renderer("egl", samples=arguments.samples)
    plan: Callable[[int], Any] = lambda index: plan_clip(  # noqa: E731
        np.random.default_rng([arguments.seed, index]), arguments.seed, config
    )
    render_clip(plan(arguments.clips), renderer, config.size)  # textures and body, once per process
    times: dict[str, list[tuple[float, float]]] = {"plan": [], "render": []}
    for index in range(arguments.clips):
        found: list[Any] = []
        times["plan"].append(measure(lambda index=index, found=found: found.append(plan(index))))  # type: ignore[misc]
        times["render"].append(measure(lambda found=found: render_clip(found[0], renderer, config.size)))  # type: ignore[misc]
    return {name: tuple(np.mean(pairs, axis=0)) for name, pairs in times.items()}  # type: ignore[misc]


if __name__ == "__main__":
    main()
