"""One clip from two numbers: draw a place, a cast and a camera, render, and write down the exact truth."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.errors import InputError
from unish.lab.synthetic.cameras import CameraPath, sample_camera_path
from unish.lab.synthetic.cameras.lenses import LENSES
from unish.lab.synthetic.cameras.subjects import HEIGHTS
from unish.lab.synthetic.config import SynthConfig
from unish.lab.synthetic.grounds import make_ground
from unish.lab.synthetic.people import Actor, cast_people
from unish.lab.synthetic.rooms import make_room
from unish.lab.synthetic.sensor import record_images
from unish.lab.synthetic.stage import Prop, Stage
from unish.lab.synthetic.textures import TextureBank, make_texture_bank
from unish.lab.synthetic.truth import write_truth
from unish.render import Frame, Renderer, Scene, make_renderer
from unish.render.scene import SmoothNormals, join_meshes
from unish.structs import Reconstruction
from unish.structs.progress import Progress
from unish.version import __version__

PLACES = {"room": 0.44, "corridor": 0.06, "hall": 0.11, "open": 0.13, "street": 0.13, "courtyard": 0.08, "stairs": 0.05}
NUM_PEOPLE = (0.22, 0.36, 0.25, 0.09, 0.04, 0.025, 0.015)
FPS_CHOICES = {3.0: 0.18, 6.0: 0.34, 10.0: 0.1, 12.0: 0.14, 15.0: 0.14, 24.0: 0.03, 30.0: 0.05, 60.0: 0.02}


@dataclass(frozen=True, kw_only=True)
class Shooting:
    """Everything that a clip is rendered from, in stage axes (y up)."""

    stage: Stage
    actors: list[Actor]
    camera: CameraPath
    timestamps_s: Float[ndarray, "T"]
    bank: TextureBank


def make_clip(seed: int, index: int, config: SynthConfig | None = None) -> Reconstruction:
    """Clip ``index`` of ``seed``: the same arrays every time, whatever else was made before.

    Truth in the format of a reconstruction (world = camera of the first frame, metres); ``person_valid`` says that some
    pixel of the person is visible. ``extra`` holds the full truth, see ``write_truth``.

    Raises:
        InputError: sizes or counts that make no clip, or the renderer asked for is missing.
    """
    config = config or SynthConfig()
    _check(config)
    shooting = plan_clip(np.random.default_rng([seed, index]), seed, config)
    frames = render_clip(shooting, get_renderer(config.renderer, config.samples), config.size)
    images = np.stack([frame.colour for frame in frames])
    if config.sensor:
        images = record_images(
            np.random.default_rng([seed, index, 1]),
            frames,
            np.stack([actor.joints for actor in shooting.actors])
            if shooting.actors
            else np.zeros((0, len(frames), 24, 3)),
            shooting.camera.c2stage,
            shooting.camera.intrinsics,
            shooting.timestamps_s,
            outdoors=shooting.stage.outdoors,
        )
    return write_truth(
        frames,
        images,
        shooting.actors,
        c2stage=shooting.camera.c2stage,
        intrinsics=shooting.camera.intrinsics,
        timestamps_s=shooting.timestamps_s,
        body_name=config.body,
        labels={"place": shooting.stage.kind, "camera": shooting.camera.kind},
        normals=config.normals,
        version=__version__,
    )


def plan_clip(rng: np.random.Generator, seed: int, config: SynthConfig) -> Shooting:
    """Draw people first, then a place around them, then a camera; what stands in the camera's way is taken out."""
    bank = make_texture_bank(seed, config.textures)
    fps = config.fps or float(rng.choice(list(FPS_CHOICES), p=list(FPS_CHOICES.values())))
    timestamps = np.arange(config.num_frames) / fps
    kind = config.place or str(rng.choice(list(PLACES), p=list(PLACES.values())))
    count = int(np.clip(rng.choice(len(NUM_PEOPLE), p=NUM_PEOPLE), config.min_people, config.max_people))
    spread = {"room": 0.7, "corridor": 0.6}.get(kind, 1.5)
    actors = cast_people(
        rng, bank, config.body, count, timestamps, spread, clothes=config.clothes, motion_files=config.motion
    )
    used = np.concatenate([actor.joints[..., [0, 2]].reshape(-1, 2) for actor in actors] or [np.zeros((0, 2))])
    # Joints of neighbouring frames nearly coincide: one per 10 cm cell is enough to keep the floor free.
    used = np.unique(np.round(used, 1), axis=0)
    seats = [actor.seat for actor in actors if actor.seat is not None]
    build = make_room if kind in ("room", "corridor", "hall") else make_ground
    stage = build(rng, bank, kind, used, seats)
    joints = np.stack([actor.joints for actor in actors]) if actors else np.zeros((0, len(timestamps), 24, 3))
    camera = sample_camera_path(rng, stage, joints, timestamps, config)
    stage = _make_way(rng, stage, camera.c2stage[:, :3, 3], joints[:, :, 0], seats)
    return Shooting(stage=stage, actors=actors, camera=camera, timestamps_s=timestamps, bank=bank)


def render_clip(shooting: Shooting, renderer: Renderer, size: tuple[int, int]) -> list[Frame]:
    """Every frame of the clip."""
    stage, actors = shooting.stage, shooting.actors
    people = join_meshes([actor.looks for actor in actors])
    objects = join_meshes([prop.mesh for prop in stage.props])
    renderer.load(
        Scene(shell=stage.shell, objects=objects, people=people, lighting=stage.lighting, textures=shooting.bank.layers)
    )
    smooth = SmoothNormals(people.faces, len(people.vertices))
    frames = []
    for number, c2stage in enumerate(shooting.camera.c2stage):
        vertices = np.concatenate([np.zeros((0, 3), np.float32), *[actor.surface[number] for actor in actors]])
        w2c = np.linalg.inv(c2stage)
        frames.append(renderer.render(vertices, smooth(vertices), w2c, shooting.camera.intrinsics, size))
    return frames


def write_clips(
    out: str | Path,
    *,
    num_clips: int,
    seed: int = 0,
    config: SynthConfig | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write ``clip-000000.npz`` … under ``out``; those that are already there are kept, a cut leaves no half file.

    Raises:
        InputError: the folder cannot be written, or ``make_clip`` refuses the config.
    """
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be made ({error.strerror}); choose another folder") from None
    paths = [out / f"clip-{index:06d}.npz" for index in range(num_clips)]
    for index, path in enumerate(paths):
        if progress is not None:
            progress("render", index, num_clips)
        if not path.exists():
            make_clip(seed, index, config).save(path)
    if progress is not None:
        progress("render", num_clips, num_clips)
    return paths


def get_renderer(kind: str, samples: int) -> Renderer:
    """One renderer per kind and process: contexts and textures are dear. A forked process makes its own."""
    return _renderer_of_process(kind, samples, os.getpid())


@lru_cache(maxsize=4)
def _renderer_of_process(kind: str, samples: int, process: int) -> Renderer:
    return make_renderer(kind, samples=samples)  # type: ignore[arg-type]


def _make_way(
    rng: np.random.Generator,
    stage: Stage,
    positions: Float[ndarray, "T 3"],
    pelvises: Float[ndarray, "P T 3"],
    seats: list[Prop],
) -> Stage:
    """Take out what the camera would pass through, and mostly what hides a person in the middle of the clip."""
    kept = [prop for prop in stage.props if (prop.distance(positions) > 0.12).all()]
    if len(pelvises) and rng.random() < 0.75:
        middle = len(positions) // 2
        kept = [
            prop
            for prop in kept
            if any(prop is seat for seat in seats)
            or not any(
                prop.blocks(positions[middle], pelvis[middle] + [0, lift, 0])
                for pelvis in pelvises
                for lift in (0.0, 0.4)
            )
        ]
    return replace(stage, props=tuple(kept))


def _check(config: SynthConfig) -> None:
    height, width = config.size
    if min(height, width) < 16 or config.num_frames < 1:
        raise InputError(f"no clip of {width}x{height} pixels and {config.num_frames} frames; use at least 16x16 and 1")
    if config.place is not None and config.place not in PLACES:
        raise InputError(f"no place is called {config.place!r}; there are: {', '.join(PLACES)}")
    if not 0 <= config.min_people <= config.max_people <= 6:
        raise InputError(f"{config.min_people} to {config.max_people} people asked for; use 0 <= min <= max <= 6")
    for names, known in ((config.lenses, LENSES), (config.heights, HEIGHTS)):
        if names is not None and (not names or set(names) - known.keys()):
            raise InputError(f"no camera with {names!r}; choose from {', '.join(known)}")
    if config.fill is not None and not 0 < config.fill[0] <= config.fill[1]:
        raise InputError(f"people cannot fill {config.fill} of the picture; give two rising shares above 0")
    if config.fps is not None and not 0 < config.fps <= 240:
        raise InputError(f"a frame rate of {config.fps} was asked for; use 0 < fps <= 240")
