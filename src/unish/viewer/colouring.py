"""Colours of points: their picture's, or what they tell of depth, confidence or people."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray

from unish.render.colours import depth_colours, person_colour

MODES = ("picture", "depth", "confidence", "person")
_UNSURE_TO_SURE = np.array([(215, 48, 39), (253, 174, 97), (166, 217, 106), (26, 152, 80)], np.float64)
_SCENE_SHARE = 0.45
"""Brightness that is left of scene points where people are to stand out."""


def colour_points(
    mode: str,
    *,
    picture: UInt8[ndarray, "N 3"],
    distance: Float[ndarray, "N"],
    confidence: Float[ndarray, "N"],
    person: Int[ndarray, "N"],
    person_ids: Int[ndarray, "P"],
    depth_range: tuple[float, float],
) -> UInt8[ndarray, "N 3"]:
    """sRGB of points.

    Args:
        mode: one of ``MODES``. ``picture``: their own; ``depth``: warm is near; ``confidence``: red is unsure, green is
            sure; ``person``: people in the colours of their identities, the scene in dark grey.
        distance: metres from the camera.
        confidence: 0..1.
        person: index into ``person_ids``, −1 = scene.
        depth_range: near and far end of the colours, metres.
    """
    if mode == "depth":
        return depth_colours(distance, *depth_range)
    if mode == "confidence":
        place = np.clip(confidence, 0, 1) * (len(_UNSURE_TO_SURE) - 1)
        anchors = np.arange(len(_UNSURE_TO_SURE))
        channels = [np.interp(place, anchors, _UNSURE_TO_SURE[:, channel]) for channel in range(3)]
        return np.stack(channels, axis=-1).round().astype(np.uint8)
    if mode == "person":
        grey = (_SCENE_SHARE * picture.mean(axis=-1, keepdims=True)).repeat(3, axis=-1).astype(np.uint8)
        colours = np.array([person_colour(int(identity)) for identity in person_ids], np.uint8).reshape(-1, 3)
        return np.where((person >= 0)[:, None], np.concatenate([colours, np.zeros((1, 3), np.uint8)])[person], grey)
    return picture
