"""What a person's clothes look like: colours, and image features, by which somebody who comes back is recognised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor

from unish.people.masks import sample_mask
from unish.people.protocols import FeatureModel, Observation, Pose
from unish.people.regions import Region, cut_region

_SAMPLES = 48
_BINS = 12
_LUMA_RANGE = 0.0, 1.0
_CHROMA_RANGE = -0.25, 0.25
_LEFT_HIP, _RIGHT_HIP = 23, 24
_FEATURE_CROP, _FEATURE_MARGIN = 128, 1.1


def describe_appearance(
    picture: Float32[Tensor, "3 H W"], box_xyxy: Float[ndarray, "4"], pose: Pose | None
) -> Float[ndarray, "72"]:
    """Histograms of luma, blue and red chroma (ITU-R BT.601), above and below the hips; each part sums to 1/6.

    With a pose, the pixels of its mask count; without one, the middle of the box.
    """
    mask = None if pose is None else pose.read_mask()
    if pose is not None and mask is not None:
        colours = cut_region(picture, pose.region, _SAMPLES)
        step = mask.shape[0] / _SAMPLES
        index = ((np.arange(_SAMPLES) + 0.5) * step).astype(int)
        inside = mask[np.ix_(index, index)] > 200
        hips = pose.region.from_picture(pose.px[[_LEFT_HIP, _RIGHT_HIP], :2].mean(axis=0))
        middle = float(hips[1])
    else:
        x0, y0, x1, y1 = box_xyxy
        side = max(x1 - x0, y1 - y0, 1.0)
        colours = cut_region(picture, Region(x=(x0 + x1) / 2, y=(y0 + y1) / 2, side=side), _SAMPLES)
        offset = np.abs((np.arange(_SAMPLES) + 0.5) / _SAMPLES - 0.5) * side
        inside = (offset[:, None] < 0.4 * (y1 - y0)) & (offset[None] < 0.25 * (x1 - x0))
        middle = 0.5
    upper = ((np.arange(_SAMPLES) + 0.5) / _SAMPLES < middle)[:, None]
    return np.concatenate([_histograms(colours, inside & upper), _histograms(colours, inside & ~upper)]) / 6


def add_features(
    picture: Float32[Tensor, "3 H W"], people: Sequence[Observation], model: FeatureModel
) -> list[Observation]:
    """The people of a picture, each with what ``model`` says of the pixels of their mask, or of their box without one.

    Numbers are as precise as those that ``ObservationLog`` keeps.
    """
    if not people:
        return []
    crops, masks = [], []
    steps = (np.arange(_FEATURE_CROP) + 0.5) / _FEATURE_CROP
    grid = np.stack(np.meshgrid(steps, steps), axis=-1)
    for person in people:
        region = Region.around_box(person.box_xyxy, margin=_FEATURE_MARGIN)
        crops.append(cut_region(picture, region, _FEATURE_CROP))
        points = region.to_picture(grid)
        if person.pose is not None and person.pose.mask is not None:
            masks.append(sample_mask(person.pose, points))
        else:
            inside = (points >= person.box_xyxy[:2]) & (points <= person.box_xyxy[2:])
            masks.append(np.asarray(inside.all(axis=-1), np.float32))
    found = model(torch.stack(crops), torch.from_numpy(np.stack(masks))).numpy()
    return [
        replace(person, features=row.astype(np.float16).astype(np.float32))
        for person, row in zip(people, found, strict=True)
    ]


def appearance_similarity(
    first: Float[ndarray, "*#batch bins"], second: Float[ndarray, "*#batch bins"]
) -> Float[ndarray, "*#batch"]:
    """Bhattacharyya coefficient: 1 = same colours in the same shares."""
    return np.asarray(np.sqrt(first * second).sum(axis=-1))


def _histograms(colours: Float32[Tensor, "3 n n"], keep: ndarray) -> Float[ndarray, "36"]:
    """Three smoothed unit-sum histograms; flat when nothing is kept."""
    red, green, blue = colours.numpy()[:, keep]
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    parts = []
    for values, limits in (
        (luma, _LUMA_RANGE),
        (0.564 * (blue - luma), _CHROMA_RANGE),
        (0.713 * (red - luma), _CHROMA_RANGE),
    ):
        counts, _ = np.histogram(np.clip(values, *limits), bins=_BINS, range=limits)
        # Light changes as people move: let neighbouring bins share.
        counts = np.convolve(counts + 1e-3, [0.25, 0.5, 0.25], mode="same")
        parts.append(counts / counts.sum())
    return np.concatenate(parts)
