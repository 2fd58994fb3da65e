"""How sure the size of a result is: an interval for all lengths of a shot, and for everybody's stature, also in words.

Variances of logarithms add up: the focal length (depth is proportional to it), the people or other sources
that brought the metres, and the scene's depth against theirs. The constants are those of synthetic clips with still
cameras (docs/research/sizes.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unish.body import Body
from unish.reconstruction.anchor import choose_rulers
from unish.reconstruction.metric import NETWORK_SIGMA
from unish.reconstruction.shot import MetricShot
from unish.structs import FocalSource
from unish.structs.camera import INTERVAL_SIGMAS

SCENE_SIGMA = 0.2
"""1σ of the logarithm of the size of the scene where focal length and statures are right: what a network draws beside
people is not in one scale with them."""

ADULT_SIGMA, CHILD_SIGMA = 0.07, 0.12
"""1σ of the logarithm of a stature that is not given."""

CHILD_M = 1.5
"""Below this height people are taken for children, whose statures say less."""

KNOWN_STATURE_SIGMA = 0.003

FOCAL_WORDS: dict[FocalSource, str] = {
    "given": "given by the user",
    "metadata": "stated by the file",
    "solved": "solved from the turning camera",
    "guessed": "guessed from the pictures",
}


def measure_scale_interval(shot: MetricShot, betas: Float[Tensor, "P 10"], body: Body) -> tuple[float, float]:
    """Factors on all lengths of a shot between which the true size lies with 90 %; NaN where nothing tells the size."""
    if shot.scale.source == "none":
        return math.nan, math.nan
    if shot.scale.source == "people":
        rulers = choose_rulers(shot.valid, shot.distance_sigma, shot.known_height)
        measuring = rulers.any(1)
        source = float(_stature_sigmas(shot, betas, body)[measuring].square().reciprocal().sum().rsqrt())
        source = max(source, shot.scale.uncertainty)
    else:
        source = shot.scale.uncertainty if shot.scale.source == "distance" else NETWORK_SIGMA
    reach = INTERVAL_SIGMAS * math.hypot(shot.camera.focal_sigma, source, SCENE_SIGMA)
    return math.exp(-reach), math.exp(reach)


def describe_sizes(shots: Sequence[MetricShot], betas: Float[Tensor, "P 10"], body: Body) -> list[dict[str, Any]]:
    """What every shot of report.json says of how sure its field of view and its size are."""
    rows = []
    for shot in shots:
        interval = measure_scale_interval(shot, betas, body)
        rows.append(
            {
                "field_of_view_interval_deg": list(shot.camera.field_of_view_interval_deg),
                "scale_interval": list(interval),
                "size": f"{_say_size(*interval)}; the focal length is {FOCAL_WORDS[shot.camera.focal_source]}",
            }
        )
    return rows


def describe_statures(shots: Sequence[MetricShot], betas: Float[Tensor, "P 10"], body: Body) -> list[dict[str, Any]]:
    """What every person of report.json says of how sure their stature is."""
    if not len(betas):
        return []
    # Somebody is as sure as in the shot in which they are seen best.
    sigmas = torch.stack([_stature_sigmas(shot, betas, body) for shot in shots]).amin(0).tolist()
    known = shots[0].known_height
    rows = []
    for person, (height, sigma) in enumerate(zip(body.standing_height(betas).tolist(), sigmas, strict=True)):
        reach = INTERVAL_SIGMAS * sigma
        interval = [height * math.exp(-reach), height * math.exp(reach)]
        given = known is not None and bool(known[person])
        what = "given" if given else f"guessed: between {interval[0]:.2f} and {interval[1]:.2f} m"
        rows.append({"height_interval_m": interval, "size": f"{height:.2f} m, {what}"})
    return rows


def _stature_sigmas(shot: MetricShot, betas: Float[Tensor, "P 10"], body: Body) -> Float[Tensor, "P"]:
    """1σ of the logarithm of everybody's stature, from what is seen of them; inf where they are not in the shot."""
    seen = torch.where(shot.valid, shot.distance_sigma, torch.nan).nanmedian(dim=1).values
    spread = torch.where(body.standing_height(betas) < CHILD_M, CHILD_SIGMA, ADULT_SIGMA)
    sigma = torch.maximum(seen, spread)
    if shot.known_height is not None:
        sigma = torch.where(shot.known_height, KNOWN_STATURE_SIGMA, sigma)
    return torch.where(torch.isfinite(seen), sigma, torch.inf)


def _say_size(low: float, high: float) -> str:
    if not math.isfinite(low):
        return "the size is unknown: lengths are in a unit of their own"
    return f"all lengths may be {100 * (1 - low):.0f} % smaller to {100 * (high - 1):.0f} % larger"
