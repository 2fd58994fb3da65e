"""A rendered room seen from eight places, with exact depth, poses and intrinsics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unish.errors import InputError
from unish.geometry.camera import unproject
from unish.geometry.rigid import transform_points
from unish.lab.datasets.sequences import read_image
from unish.lab.evaluation.benchmarks.views import TrueViews, ask_about_views, score_views
from unish.lab.evaluation.metrics import score_camera_path, score_point_maps
from unish.lab.evaluation.predictor import Predictor
from unish.lab.evaluation.results import Row, mean_of_rows
from unish.structs import Reconstruction
from unish.video.sources.folders import list_images

_TRUTH = "condition.npz"
MAX_POINTS = 20_000


@dataclass(frozen=True, kw_only=True)
class RoomBenchmark:
    """``rgb/N.png`` and ``condition.npz`` (``depths``, ``poses`` camera to world, ``intrinsics``) of π³'s examples.

    All views are reconstructed together. Depth, cameras and field of view are those of ``score_views``; the path of
    the camera is compared after a similarity (ATE) and as it is (size), and stands beside a camera that never moves;
    points after a similarity and ICP (``score_point_maps``). The room is synthetic, but not of our world. Five of its
    eight views share less than 7 % of their pixels with any other: no matching can place them.

    Attributes:
        give_camera: whether the method is told the true camera.
    """

    give_camera: bool = False
    needs: str = f"rgb/N.png and {_TRUTH}"

    def sequences(self, data: Path) -> list[str]:
        return ["room"] if (data / _TRUTH).is_file() and (data / "rgb").is_dir() else []

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        with np.load(data / _TRUTH, allow_pickle=False) as truth:
            depth = torch.from_numpy(truth["depths"]).double()
            c2w = torch.from_numpy(truth["poses"]).double()
            k = torch.from_numpy(truth["intrinsics"]).double()
        pictures = np.stack([read_image(path) for path in list_images(data / "rgb")])
        if len(pictures) != len(depth):
            raise InputError(f"{data}: {len(pictures)} pictures but {len(depth)} depth maps; copy the sample again")
        views = TrueViews(
            name=sequence,
            pictures=pictures,
            times_s=np.arange(len(pictures)) / 1.0,
            numbers=np.arange(len(pictures)),
            depth=depth,
            c2w=c2w,
            camera=(float(k[0, 0, 0]), float(k[0, 1, 1]), float(k[0, 0, 2]), float(k[0, 1, 2])),
        )
        found = ask_about_views(predictor, views, give_camera=self.give_camera)
        path = score_camera_path(torch.from_numpy(found.c2w).double(), c2w)
        static = score_camera_path(torch.eye(4).expand_as(c2w).double(), c2w)
        return {
            **score_views(found, views),
            "camera_ate_m": float(path.ate_m),
            "static_ate_m": float(static.ate_m),
            "world_size_ratio": float(path.world_size_ratio),
            **_score_points(found, depth, c2w, k),
        }

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """The one row."""
        return mean_of_rows(list(rows.values()))


def _score_points(
    found: Reconstruction, depth: Float[Tensor, "N H W"], c2w: Float[Tensor, "N 4 4"], k: Float[Tensor, "N 3 3"]
) -> Row:
    """Nothing for a method without depth."""
    if not (found.depth > 0).any():
        return {}
    true = transform_points(c2w, unproject(depth, k).flatten(1, 2)).reshape(*depth.shape, 3)
    cloud = score_point_maps(_resize_points(found, depth.shape), true, depth > 0, max_points=MAX_POINTS)
    return {
        "points_accuracy_m": cloud.accuracy_mean_m,
        "points_completeness_m": cloud.completeness_mean_m,
        "points_normal_consistency": cloud.normal_consistency_mean,
    }


def _resize_points(found: Reconstruction, shape: torch.Size) -> Float[Tensor, "N H W 3"]:
    """World points at the pixels of the truth, NaN where there is no depth."""
    points = np.where(found.depth[..., None] > 0, found.world_points(), np.nan)
    channels = torch.from_numpy(points).permute(0, 3, 1, 2)
    sized = torch.nn.functional.interpolate(channels, size=(shape[1], shape[2]), mode="nearest-exact")
    return sized.permute(0, 2, 3, 1).double()
