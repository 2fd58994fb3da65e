"""ViTPose (Xu et al. 2022) through ``transformers``: the 17 key points of COCO of people whose place is known."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional

from unish.assets.pretrained import IMAGENET_MEAN, IMAGENET_STD, find_pretrained
from unish.errors import InputError
from unish.people.movenet import MIRRORED_POINTS, NUM_POINTS
from unish.people.regions import Region

_SIZE = (256, 192)  # of what the network sees, height and width
_COCO = 0  # which expert of the networks that were trained on several data sets (ViTPose++)
_PEOPLE_AT_ONCE = 8
_BLUR_SIGMA, _BLUR_RADIUS = 0.8, 5
_LEAST_HEAT, _MOST_HEAT = 1e-3, 50.0


class VitPosePoints:
    """``KeypointModel``.

    The network sees rectangles that are higher than wide: as wide as the region, so that nothing of it is cut off.

    Args:
        weights: folder, or ``OWNER/NAME`` of the hub, in the format of ``transformers``, for the 17 points of COCO.
        device: where the network runs.

    Raises:
        InputError: ``transformers`` is missing, there are no such weights, or they know other points.
    """

    def __init__(self, weights: str, device: str) -> None:
        self._device = device
        self._stored = find_pretrained(weights, ("vitpose",))
        count = len(self._stored.config.get("id2label") or {})
        if count != NUM_POINTS:
            raise InputError(f"{weights}: knows {count} key points; give a model of COCO's {NUM_POINTS}")

    @property
    def fingerprint(self) -> str:
        """Of weights and library."""
        return self._stored.fingerprint

    @cached_property
    def _model(self) -> Any:
        return self._stored.load("VitPoseForPoseEstimation", self._device)

    @torch.inference_mode()
    def read_points(self, picture: Float32[Tensor, "3 H W"], regions: Sequence[Region]) -> Float32[ndarray, "B 17 4"]:
        """See ``KeypointModel``."""
        if not regions:
            return np.zeros((0, NUM_POINTS, 4), np.float32)
        mean, std = (picture.new_tensor(value)[:, None, None] for value in (IMAGENET_MEAN, IMAGENET_STD))
        crops = (torch.stack([cut_crop(picture, region) for region in regions]) - mean) / std
        maps = [self._read(chunk.to(self._device)) for chunk in crops.split(_PEOPLE_AT_ONCE)]
        points = decode(torch.cat(maps).float().cpu().numpy())
        px = np.stack([crop_to_picture(region, one[:, :2]) for region, one in zip(regions, points, strict=True)])
        return np.concatenate([px, points[..., 2:]], axis=-1).astype(np.float32)

    def _read(self, crops: Float[Tensor, "B 3 256 192"]) -> Float[Tensor, "B 17 64 48"]:
        several = self._model.config.backbone_config.num_experts > 1
        which = {"dataset_index": torch.full((len(crops),), _COCO, device=crops.device)} if several else {}
        heatmaps: Tensor = self._model(pixel_values=crops, **which).heatmaps
        return heatmaps


def crop_to_picture(region: Region, points: Float[ndarray, "*batch 2"]) -> Float[ndarray, "*batch 2"]:
    """x, y in [0, 1]² of the rectangle around a region, to pixels of the picture."""
    stretched = (points - 0.5) * np.array([1.0, _SIZE[0] / _SIZE[1]]) + 0.5
    return region.to_picture(stretched)


def cut_crop(picture: Float32[Tensor, "3 H W"], region: Region) -> Float32[Tensor, "3 256 192"]:
    """The rectangle around a region, bilinearly; black outside of the picture, which ViTPose knows from its training.

    The centres of the outermost pixels lie on the border of the rectangle, as in unbiased data processing (Huang et
    al., "The Devil is in the Details", 2020), with which the published models were trained.
    """
    rows, columns = (np.linspace(0, 1, count) for count in _SIZE)
    spots = np.stack(np.broadcast_arrays(columns[None], rows[:, None]), axis=-1)
    places = torch.from_numpy(crop_to_picture(region, spots)).to(picture.dtype)
    scale = picture.new_tensor([picture.shape[-1], picture.shape[-2]])
    return functional.grid_sample(
        picture[None], (2 * places / scale - 1)[None], mode="bilinear", padding_mode="zeros", align_corners=False
    )[0]


def decode(heatmaps: Float32[ndarray, "B 17 h w"]) -> Float[ndarray, "B 17 4"]:
    """x, y in [0, 1] of the crop, score (greatest heat) of each key point, and the heat of the other side's there.

    Where the heat is greatest, and one Newton step from there on the logarithm of the blurred heat (DARK: Zhang et al.,
    "Distribution-Aware Coordinate Representation for Human Pose Estimation", 2020, equation 7), as
    ``VitPoseImageProcessor.post_process_pose_estimation`` does it.
    """
    height, width = heatmaps.shape[-2:]
    flat = heatmaps.reshape(*heatmaps.shape[:2], -1)
    best = flat.argmax(-1)
    row, column = np.divmod(best, width)
    scores = [np.take_along_axis(heat, best[..., None], -1) for heat in (flat, flat[:, list(MIRRORED_POINTS)])]
    blurred = gaussian_filter(heatmaps, (0, 0, _BLUR_SIGMA, _BLUR_SIGMA), radius=(0, 0, _BLUR_RADIUS, _BLUR_RADIUS))
    heat = np.pad(np.log(blurred.clip(_LEAST_HEAT, _MOST_HEAT)), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    heat = heat.astype(np.float64)
    person, point = np.ogrid[: heatmaps.shape[0], : heatmaps.shape[1]]

    def at(down: int, right: int) -> Float[ndarray, "B 17"]:
        return heat[person, point, row + 1 + down, column + 1 + right]

    slope = np.stack([at(0, 1) - at(0, -1), at(1, 0) - at(-1, 0)], axis=-1) / 2
    across, down = at(0, 1) - 2 * at(0, 0) + at(0, -1), at(1, 0) - 2 * at(0, 0) + at(-1, 0)
    mixed = (at(1, 1) - at(0, 1) - at(1, 0) + 2 * at(0, 0) - at(0, -1) - at(-1, 0) + at(-1, -1)) / 2
    curvature = np.stack([np.stack([across, mixed], -1), np.stack([mixed, down], -1)], -2)
    curvature = curvature + np.finfo(np.float32).eps * np.eye(2)
    step = np.linalg.solve(curvature, slope[..., None])[..., 0]
    # A heat without a top has no such step, and there is nothing to refine.
    step = np.where(np.isfinite(step) & (np.abs(step) <= 1).all(-1, keepdims=True), step, 0.0)
    cells = np.stack([column, row], axis=-1) - step
    return np.concatenate([cells / np.array([width - 1, height - 1]), *scores], axis=-1)
