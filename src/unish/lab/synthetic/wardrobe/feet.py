"""Shoes: feet without toes, grown outwards, on a flat sole that is hardly below the bare one."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.lab.synthetic.textures import random_colour
from unish.lab.synthetic.wardrobe.anatomy import BOOT
from unish.lab.synthetic.wardrobe.garments import Figure
from unish.lab.synthetic.wardrobe.layers import Looks, Part, Solid
from unish.lab.synthetic.wardrobe.surfaces import trim

Rng = np.random.Generator
BELOW_SOLE = 0.0015
"""Metres from the bare sole down to that of a shoe."""


def sample_shoes(rng: Rng, figure: Figure) -> tuple[Solid, Float[ndarray, "V"]]:
    """A pair of shoes, and how deep the skin lies in them (negative, metres)."""
    anatomy = figure.anatomy
    feet, leg_length = anatomy.feet, anatomy.joints[1, 1] - anatomy.joints[7, 1]
    end = float(rng.choice([rng.uniform(0.93, 0.99), rng.uniform(BOOT, 0.9)], p=[0.75, 0.25]))
    depth = ((end - anatomy.leg) * leg_length).astype(np.float32)
    cut = trim(anatomy.instep, [depth[feet.index]])
    rest, base = figure.rest[feet.index], anatomy.stump(figure.betas)
    normals = feet.normals(base[..., None])[..., 0]
    # What smoothing took is given back smoothly: a shoe has no toes.
    lost = feet.smooth(np.clip(((rest - base) * normals).sum(1), 0, 0.02), 8)
    shaped = base + (lost + rng.uniform(0.004, 0.009))[..., None] * normals
    floor = rest[:, 1].min()
    low = ramp_down(rest[:, 1] - floor, 0.004, 0.03)
    flange = 0.006 * low[:, None] * normals * [1, 0, 1]
    shaped = shaped + flange
    sole = rest[:, 1] - floor < 0.016
    shaped[:, 1] = np.where(sole, floor - BELOW_SOLE, np.maximum(shaped[:, 1], floor - BELOW_SOLE))
    grown = cut.points @ shaped.astype(np.float32)
    upper = random_colour(rng, saturation=0.6, low=0.05)
    edge = np.full(3, rng.choice([0.9, 0.12, 0.4])) if rng.random() < 0.7 else random_colour(rng)
    height = (grown[:, 1] - floor)[:, None]
    colours = np.where(height < 0.022, edge, upper * (1 + rng.normal(0, 0.03, (len(grown), 1))))
    shoes = Solid(
        rest=grown,
        weights=cut.points @ anatomy.skin_weights[feet.index],
        faces=cut.faces,
        looks=Looks(colours=colours.astype(np.float32), uv=np.zeros((len(grown), 2)), part=Part.SHOES),
    )
    return shoes, depth


def ramp_down(values: ndarray, low: float | np.floating, high: float | np.floating) -> ndarray:
    """1 below ``low``, 0 above ``high``, linear between."""
    return np.clip((high - values) / (high - low), 0, 1)
