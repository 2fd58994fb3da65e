"""Heights and distances that the user knows: checked against what was found, and brought into the world."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from unish.body import Body, resize_shape
from unish.errors import InputError
from unish.passes.observations import Observations
from unish.reconstruction import Ground, MetricShot, SettledShots, measure_span, resize_world, spread_factors
from unish.settings import Span

MAX_WAIT_S = 1.0
"""A frame that is this long before or after the moment of a known distance shows something else."""

DISAGREE = 1.1
"""Known distances of one world whose factors differ by more than this are worth a word."""


def list_heights(seen: Observations, given: Mapping[int, float] | None) -> Float[Tensor, "P"]:
    """Metres for each person of the result, NaN where none is given.

    Raises:
        InputError: nobody has one of the ids.
    """
    ids = seen.tracks.person_ids.tolist()
    unknown = [person_id for person_id in given or () if person_id not in ids]
    if unknown:
        there = f"the people are {', '.join(map(str, ids))}" if ids else "nobody was found"
        raise InputError(f"nobody has the id {unknown[0]}: {there}; change --person-height")
    return torch.tensor([(given or {}).get(person_id, torch.nan) for person_id in ids])


def apply_distances(
    settled: SettledShots, seen: Observations, spans: Sequence[Span], body: Body
) -> tuple[SettledShots, list[str]]:
    """The shots in which a distance is known, and those that share people with them, resized to it; what to say of it.

    Raises:
        InputError: a distance lies outside of the video or the picture, or where no depth is known.
    """
    told: list[list[float]] = [[] for _ in settled.shots]
    for span in spans:
        number, factor = _compare_span(span, settled.shots, seen)
        told[number].append(factor)
    factors = spread_factors(told, torch.stack([shot.valid.any(1) for shot in settled.shots]))
    notes = [
        f"known distances ask for sizes that differ by a factor of {max(ours) / min(ours):.2f}: their mean is taken"
        for ours in told
        if ours and max(ours) > DISAGREE * min(ours)
    ]
    shots, grounds, betas = list[MetricShot](), list[Ground](), settled.betas
    log_factor = torch.zeros(len(betas))
    for shot, ground, told_factor in zip(settled.shots, settled.grounds, factors, strict=True):
        if told_factor is not None:
            log_factor[shot.valid.any(1)] = math.log(told_factor)
            shot, ground = resize_world(shot, ground, told_factor, body)
        shots.append(shot)
        grounds.append(ground)
    return replace(settled, shots=shots, grounds=grounds, betas=resize_shape(body, betas, log_factor)), notes


def _compare_span(span: Span, shots: Sequence[MetricShot], seen: Observations) -> tuple[int, float]:
    """Number of the shot, and the factor on its lengths that makes the distance right."""
    x1, y1, x2, y2, time_s, metres = span
    name = f"known distance from ({x1:g}, {y1:g}) to ({x2:g}, {y2:g})"
    number, row, found_s = find_frame(time_s, seen, range(len(shots)), f"known distance at {time_s:g} s")
    pixels = to_processed(torch.tensor([[x1, y1], [x2, y2]]), seen, name)
    distance = measure_span(shots[number], row, pixels)
    if distance is None:
        raise InputError(
            f"{name}: no depth is known at one of them at {found_s:.2f} s; give points on something that is near and "
            "clearly seen"
        )
    return number, metres / distance


def find_frame(time_s: float, seen: Observations, shots: Sequence[int], name: str) -> tuple[int, int, float]:
    """Number of the shot, place among its frames with depth, and time of the one that is nearest to a time.

    Args:
        shots: numbers of those that are looked at.
        name: of what is looked for, for the message.

    Raises:
        InputError: there is no frame within ``MAX_WAIT_S``.
    """
    times = {number: seen.clip.timestamps_s[seen.shots[number].frames][seen.shots[number].dense] for number in shots}
    gaps = {number: float((one - time_s).abs().min()) for number, one in times.items()}
    number = min(gaps, key=gaps.__getitem__)
    row = int((times[number] - time_s).abs().argmin())
    found_s = float(times[number][row])
    if abs(found_s - time_s) > MAX_WAIT_S:
        where = "video" if len(shots) == len(seen.shots) else "shot"
        raise InputError(f"{name}: the nearest frame with depth is at {found_s:.2f} s; give a time within the {where}")
    return number, row, found_s


def to_processed(pixels: Float[Tensor, "K 2"], seen: Observations, name: str) -> Float[Tensor, "K 2"]:
    """(x, y) in pixels of the whole source → of the processed picture inside of bars.

    Args:
        name: of what lies there, for the message.

    Raises:
        InputError: one of them is outside.
    """
    rows, columns = seen.clip.source_size
    top, left, bottom, right = seen.clip.source_area or (0.0, 0.0, float(rows), float(columns))
    height, width = seen.placement.inner
    scale = torch.tensor([width / (right - left), height / (bottom - top)])
    found = (pixels - torch.tensor([left, top])) * scale
    if not ((found >= 0) & (found < torch.tensor([width, height]))).all():
        raise InputError(
            f"{name}: not within the picture of {columns}×{rows} pixels (or within its bars); give pixels of the source"
        )
    return found
