"""Finished results of a world of which everything is known, for edits to start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from oracle_world import CLIP_SIZE, NUM_FRAMES, SHOTS, SIZE, SOURCE_SIZE, OracleNetwork, World
from unish import into_folder
from unish.body import Body, resize_shape
from unish.io import write_json
from unish.network.config import tiny_config
from unish.passes import concluded
from unish.pipeline import Result, Settings
from unish.structs import BodyParams, Landmarks, Reconstruction
from unish.structs.reconstruction import PEOPLE_STORE

CONFIG = replace(tiny_config(), long_side=128, multiple=32)
FOCAL = 220.0
START_S = 7200.0
CUT = 4
"""Frame from which on the second person has another id, where one is cut in two."""

Settle = Callable[..., Result]


def camera() -> Tensor:
    return torch.tensor([[FOCAL, 0, CLIP_SIZE[1] / 2], [0, FOCAL, CLIP_SIZE[0] / 2], [0, 0, 1]]).expand(2, 3, 3)


def seconds(frame: int) -> float:
    """Of a frame, rounded as users give it."""
    return round(START_S + frame / 6, 3)


def write_little(
    record: Reconstruction,
    body: Body,
    report: dict[str, Any],
    folder: Path,
    *,
    keep: Callable[[], None] = lambda: None,
    **options: Any,
) -> list[str]:
    """In place of ``write_files``: what edits need of a result."""
    record.save(folder / "reconstruction.npz")
    keep()
    write_json(folder / "report.json", report)
    return []


def leave_out_quality(patched: pytest.MonkeyPatch) -> None:
    """The distances of bodies to points, which take longest of what a report says, and are asked for by nobody here."""
    patched.setattr(concluded, "measure_quality", lambda *args: {})


def observe(
    world: World, out: Path, network: OracleNetwork | None = None, *, all_files: bool = False, **settings: Any
) -> Result:
    """A finished result in ``out``; the network takes everybody for 8 % too large unless another one is given."""
    wrong = resize_shape(world.body, world.betas, torch.full((len(world.betas),), 0.08))
    given = (2 * FOCAL, 2 * FOCAL, float(CLIP_SIZE[1]), float(CLIP_SIZE[0]))
    people = (world.tracks, world.landmarks)
    with pytest.MonkeyPatch.context() as patched:
        if not all_files:
            leave_out_quality(patched)
            patched.setattr(into_folder, "write_files", write_little)
        return into_folder.reconstruct_into(
            world.clip,
            out,
            settings=Settings(window=5, overlap=2, intrinsics=given, **settings),
            people_finder=lambda clip, size: people,
            network=network or OracleNetwork(world=world, config=CONFIG, betas=wrong),
        )[0]


def cut_in_two(world: World) -> World:
    """The same, whose second person has got another id from frame ``CUT`` on."""
    rows, after = [0, 1, 1], torch.arange(NUM_FRAMES) >= CUT
    valid = world.tracks.valid[rows].clone()
    valid[1] &= ~after
    valid[2] &= after
    masks = world.tracks.masks.clone()
    masks[CUT:][masks[CUT:] == 1] = 2
    boxes = torch.where(valid[..., None], world.tracks.boxes_xyxy[rows], torch.nan)
    seen = valid[..., None, None]
    return replace(
        world,
        tracks=replace(world.tracks, person_ids=torch.tensor([4, 9, 12]), valid=valid, boxes_xyxy=boxes, masks=masks),
        landmarks=Landmarks(
            px=torch.where(seen, world.landmarks.px[rows], torch.nan),
            world=torch.where(seen, world.landmarks.world[rows], torch.nan),
            score=valid.float(),
        ),
        params=BodyParams(**{name: value[rows] for name, value in vars(world.params).items()}),
        betas=world.betas[rows],
    )


def scene_ratio(world: World, result: Result) -> list[float]:
    """Median of found over true depth of the scene in each shot."""
    sure = (world.conf_logits > 0).numpy() & (world.tracks.masks.numpy() < 0)
    ratio = result.reconstruction.depth / world.depth.numpy()
    return [float(np.median(ratio[shot][sure[shot]])) for shot in SHOTS]


def source_pixel(row: int, column: int) -> tuple[float, float]:
    """(x, y) of the source at the middle of a pixel of the processed frame."""
    return (column + 0.5) * SOURCE_SIZE[1] / SIZE[1], (row + 0.5) * SOURCE_SIZE[0] / SIZE[0]


def files(out: Path) -> dict[str, bytes]:
    """What the same edits give to the bit; report.json tells how long everything took."""
    paths = [path for path in (*out.iterdir(), *(out / PEOPLE_STORE).iterdir()) if path.is_file()]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths if path.name != "report.json"}
