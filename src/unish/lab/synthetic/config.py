"""What a synthetic clip looks like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HELD_BACK_SEED = 20_260_101
"""Clips 0–19 of this seed are for evaluation only: no training shard may use it."""
SKY_DEPTH = 200.0
"""Depth in metres that truth gives the sky; every real surface in view is nearer."""


@dataclass(frozen=True, kw_only=True)
class SynthConfig:
    """Settings of synthetic clips. Everything else about a clip is drawn from (seed, index).

    Attributes:
        size: (height, width) in pixels.
        num_frames: frames per clip.
        fps: sampling rate; ``None`` draws one of 3 to 15 per clip, seldom 24, 30 or 60.
        place: ``room``, ``corridor``, ``hall``, ``open``, ``street``, ``courtyard`` or ``stairs``; ``None`` draws one.
        max_people: at most this many people (0–6 are drawn, two or fewer mostly).
        min_people: at least this many.
        lenses, heights: names of ``cameras.lenses.LENSES`` and ``cameras.subjects.HEIGHTS`` to draw from; ``None``
            for all. Mast, drone and selfie have heights of their own.
        fill: least and largest share of the picture's height that a filmed person is meant to take;
            ``None`` for the usual ones.
        clothes: people wear clothes, hair and shoes with a geometry of their own; off paints them on the bare body.
        sensor: exposure, noise and white balance of a real camera; off gives clean renders.
        normals: keep the surface normals as extra key ``normals``.
        body: body model to pose.
        textures: folder of images and Radiance panoramas (.hdr) to use beside the procedural textures.
        motion: folder or tar archive of captured motion (BVH, ASF/AMC, DeepMimic) for half of the people.
        samples: samples per pixel of the colours' edges (OpenGL only; on a CPU 1 takes half the time).
        renderer: ``egl``, ``plain``, or ``auto`` (egl where it works).
    """

    size: tuple[int, int] = (224, 160)
    num_frames: int = 24
    fps: float | None = 6.0
    place: str | None = None
    max_people: int = 6
    min_people: int = 0
    lenses: tuple[str, ...] | None = None
    heights: tuple[str, ...] | None = None
    fill: tuple[float, float] | None = None
    clothes: bool = True
    sensor: bool = True
    normals: bool = False
    body: str = "free"
    textures: str | None = None
    motion: str | None = None
    samples: int = 4
    renderer: Literal["auto", "egl", "plain"] = "auto"
