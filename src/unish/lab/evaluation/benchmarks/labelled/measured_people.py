"""People whose distance a depth camera measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unish.errors import InputError
from unish.geometry.camera import resize_intrinsics
from unish.geometry.rigid import invert_rigid, transform_points
from unish.geometry.surfaces import rasterize_depth
from unish.io.depth_maps import read_values
from unish.lab.datasets.sequences import read_image
from unish.lab.evaluation.benchmarks.pictures import clip_of_pictures
from unish.lab.evaluation.benchmarks.registration import Camera
from unish.lab.evaluation.predictor import Answer, Predictor, Request
from unish.lab.evaluation.results import Row, mean_of_rows

MIN_PIXELS = 50
"""A body on fewer measured pixels is on nobody who was measured."""


@dataclass(frozen=True, kw_only=True)
class MeasuredPeopleBenchmark:
    """``rgb/NAME.jpg`` and ``depth/NAME.png`` (millimetres, 0 = unknown), which is known on the people alone.

    Each picture is reconstructed alone. Where the surface of a body covers measured pixels, its depth ÷ the measured
    one is taken, the median over the pixels of a body, and its distance from 1 averaged over bodies.

    Attributes:
        num_people: who can be seen.
        camera: fx, fy, cx, cy of the pictures to be given, or ``None``.
    """

    num_people: int
    camera: Camera | None = None
    needs: str = "rgb/NAME.jpg with depth/NAME.png"

    def sequences(self, data: Path) -> list[str]:
        pictures = sorted((data / "rgb").glob("*.jpg"))
        return [path.stem for path in pictures if (data / "depth" / f"{path.stem}.png").is_file()]

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        picture = read_image(data / "rgb" / f"{sequence}.jpg")
        depth = torch.from_numpy(read_values(data / "depth" / f"{sequence}.png") / 1000)
        clip = clip_of_pictures(picture[None], times_s=np.zeros(1), numbers=np.zeros(1, np.int64), name=sequence)
        settings = {} if self.camera is None else {"intrinsics": self.camera}
        answer = predictor.predict(Request(name=sequence, source=clip, settings=settings))
        ratios = _measure_ratios(answer, depth)
        if not ratios:
            raise InputError("nobody was found where people were measured")
        return {
            "people_found_share": min(1.0, len(ratios) / self.num_people),
            "people_extra": max(0, answer.reconstruction.num_people - self.num_people),
            "distance_error_percent": float(100 * np.abs(np.array(ratios) - 1).mean()),
            "distance_bias_percent": float(100 * (np.median(ratios) - 1)),
        }

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Means over pictures."""
        return mean_of_rows(list(rows.values()))


def _measure_ratios(answer: Answer, depth: Float[Tensor, "H W"]) -> list[float]:
    """Of each person who covers measured pixels, the median of the body's depth ÷ the measured one."""
    found = answer.reconstruction
    size = (int(depth.shape[0]), int(depth.shape[1]))
    own = (int(found.image_size[0]), int(found.image_size[1]))
    k = resize_intrinsics(torch.from_numpy(found.intrinsics[0]).double(), own, size)
    w2c = invert_rigid(torch.from_numpy(found.c2w[0]).double())
    vertices = torch.from_numpy(found.vertices(answer.body)[:, 0]).double()
    ratios = []
    for person in np.flatnonzero(found.person_valid[:, 0]):
        surface = rasterize_depth(transform_points(w2c, vertices[person]), torch.from_numpy(found.faces), k, size)
        both = (surface > 0) & (depth > 0)
        if both.sum() >= MIN_PIXELS:
            ratios.append(float((surface[both] / depth[both]).median()))
    return ratios
