"""Skirts, the lower halves of dresses and coats: rings of cloth that hang from the hips and bridge the legs."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.lab.synthetic.wardrobe.anatomy import Anatomy
from unish.lab.synthetic.wardrobe.layers import Drape, Looks

Rng = np.random.Generator
AROUND = 56


def ramp(values: ndarray, low: float | np.floating, high: float | np.floating) -> ndarray:
    """0 below ``low``, 1 above ``high``, smooth between."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def sample_drape(
    rng: Rng,
    anatomy: Anatomy,
    rest: Float[ndarray, "V 3"],
    joints: Float[ndarray, "24 3"],
    *,
    top: float,
    hem: float,
    flare: float,
    gap: float,
    opening: float,
    looks: tuple[ndarray, int, float],
) -> Drape:
    """A skirt from ``top`` to ``hem`` (in units of ``Anatomy.leg``).

    Args:
        rest: (V, 3), joints: (24, 3) of this person at rest.
        flare: metres that a row may be wider than the one above, per metre of fall.
        gap: metres between the cloth and the hips.
        opening: half the angle (radians) that stays open in front, 0 for a closed ring.
        looks: colour, texture layer and metres per tile.
    """
    hip, ankle = joints[1, 1], joints[7, 1]
    rows = int(np.clip((hem - top) * 16, 6, 18))
    levels = np.linspace(top, hem, rows)
    heights = hip - levels * (hip - ankle)
    closed = opening <= 0
    angle = np.linspace(np.pi / 2 + opening, 2.5 * np.pi - opening, AROUND, endpoint=not closed)
    outward = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    centre = 0.5 * (joints[1, [0, 2]] + joints[2, [0, 2]])
    skirted = (anatomy.arm < 0) & (anatomy.leg > -0.6) & (anatomy.leg < 0.95)
    flat, level = rest[skirted][:, [0, 2]] - centre, anatomy.leg[skirted]
    support = np.zeros((rows, AROUND))
    for row in range(rows):
        near = np.abs(level - levels[row]) < 0.045
        support[row] = (flat[near] @ outward.T).max(0, initial=0.05) + gap
        if row:
            fall = heights[row - 1] - heights[row]
            support[row] = np.maximum(support[row], support[row - 1] + flare * fall)
    down = (levels - top) / (hem - top)
    pleats = rng.uniform(0.003, 0.011 + 0.03 * flare) * down[:, None] * _pleat_waves(rng, angle)
    # The curve with this support function: h n + h' t.
    slope = np.gradient(support, angle, axis=1)
    flat_points = support[..., None] * outward + np.asarray(slope)[..., None] * np.stack(
        [-outward[:, 1], outward[:, 0]], axis=1
    )
    flat_points += pleats[..., None] * outward + centre
    points = np.stack([flat_points[..., 0], np.broadcast_to(heights[:, None], pleats.shape), flat_points[..., 1]], -1)
    colour, layer, tile = looks
    girth = np.linalg.norm(np.diff(points[rows // 2], axis=0), axis=1).mean()
    uv = np.stack([np.tile(np.arange(AROUND) * girth, rows), np.repeat(heights, AROUND)], axis=1) / tile
    shade = (1 + 0.08 * pleats / max(np.abs(pleats).max(), 1e-6)).reshape(-1, 1)
    return Drape(
        rest=points.astype(np.float32),
        weights=_leg_weights(anatomy, points, levels, joints).astype(np.float32),
        closed=closed,
        radii=(leg_radii(anatomy, rest, joints) + min(gap, 0.015) + 0.006).astype(np.float32),
        looks=Looks(colours=(colour * shade).astype(np.float32), uv=uv, layer=layer),
    )


def _pleat_waves(rng: Rng, angle: ndarray) -> ndarray:
    waves = [
        np.sin(rng.integers(low, high) * angle + rng.uniform(0, 6.3)) * share
        for low, high, share in ((5, 9, 0.6), (9, 15, 0.6), (15, 20, 0.4))
    ]
    return np.sum(waves, axis=0)


def _leg_weights(
    anatomy: Anatomy, points: Float[ndarray, "R S 3"], levels: ndarray, joints: Float[ndarray, "24 3"]
) -> Float[ndarray, "R S 24"]:
    """Belly above the hips, thighs below, shins partly below the knees; left and right blend across the middle."""
    left = ramp(points[..., 0], -1.1 * joints[1, 0], 1.1 * joints[1, 0])
    thigh = ramp(levels, -0.12, 0.42)[:, None]
    shin = 0.75 * ramp(levels, 0.45, 0.8)[:, None]
    weights = np.zeros((*points.shape[:2], 24))
    trunk = (anatomy.arm < 0) & (anatomy.leg < 0.2)
    for row, level in enumerate(levels):
        near = anatomy.skin_weights[trunk & (np.abs(anatomy.leg - max(min(level, 0.1), -0.5)) < 0.05)].mean(0)
        near[[1, 2]] = 0
        weights[row] = (1 - thigh[row]) * near / near.sum()
    for side, hip, knee in ((left, 1, 4), (1 - left, 2, 5)):
        weights[..., hip] += thigh * side * (1 - shin)
        weights[..., knee] += thigh * side * shin
    return weights


def leg_radii(anatomy: Anatomy, rest: Float[ndarray, "V 3"], joints: Float[ndarray, "24 3"]) -> Float[ndarray, "4"]:
    """Radii of a leg about its bones: thigh below the hip and above the knee, shin below the knee and at the ankle."""
    left = (rest[:, 0] > 0) & (anatomy.arm < 0)
    radii = []
    for top, bottom, low, high in ((1, 4, 0.15, 0.3), (1, 4, 0.35, 0.48), (4, 7, 0.55, 0.7), (4, 7, 0.85, 0.95)):
        band = left & (anatomy.leg > low) & (anatomy.leg < high)
        axis = (joints[bottom] - joints[top]) / np.linalg.norm(joints[bottom] - joints[top])
        away = rest[band] - joints[top]
        radii.append(np.quantile(np.linalg.norm(away - (away @ axis)[:, None] * axis, axis=1), 0.98))
    return np.array(radii)
