"""What follows from observations: settle, then judge what was settled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from unish.body import Body
from unish.passes.observations import Observations
from unish.passes.outputs import keep_dense
from unish.passes.settled import Settled, settle
from unish.people import describe_unread
from unish.reconstruction import (
    ShotConstraints,
    describe_fallbacks,
    describe_grounds,
    describe_people,
    describe_sizes,
    describe_statures,
    fill_gaps,
    judge,
    measure_quality,
    read_facts,
)
from unish.settings import Settings
from unish.structs import Reconstruction
from unish.structs.progress import StageClock


def conclude(
    seen: Observations,
    body: Body,
    settings: Settings,
    clock: StageClock,
    kept: Path,
    *,
    network: str,
    shape_space: str,
    constraints: Sequence[ShotConstraints] | None = None,
    like: Path | None = None,
) -> tuple[Reconstruction, dict[str, Any]]:
    """What follows from observations: the reconstruction, and what the report says of it.

    Args:
        kept: a folder for dense arrays that are too many for the memory.
        network, shape_space, constraints: see ``settle``.
        like: the npz of an older result of these observations, see ``Reconstruction.save``.

    Raises:
        InputError: what the settings say of sizes does not fit what was seen.
    """
    with clock.stage("reconstruct"):
        settled = settle(
            seen, network, shape_space, body, feet=settings.settle, seed=settings.seed,
            person_height=settings.person_height, known_distance=settings.known_distance, constraints=constraints,
        )  # fmt: skip
        found = keep_dense(settled.in_whole_frames(), kept, like=like)
    with clock.stage("measure"):
        measured, judged = _measure(settled, found, body)
    fallbacks = describe_fallbacks(settled.shots, settled.grounds, seen.tracks.person_ids.tolist())
    unread = describe_unread(seen.tracks, seen.landmarks)
    raised = [*seen.clip.warnings, *seen.tracks.warnings, *unread, *seen.notes, *settled.notes, *fallbacks, *judged]
    # Measured was what was seen alone.
    return fill_gaps(found, body, settings.fill_gaps), {**measured, "warnings": list(dict.fromkeys(raised))}


def _measure(settled: Settled, found: Reconstruction, body: Body) -> tuple[dict[str, Any], list[str]]:
    """``shots``, ``people`` and ``quality`` of the report, and the reasons of all verdicts.

    Args:
        found: what ``settled`` has found, its dense arrays computed.
    """
    inside = settled.inside_of(found)
    verdicts = judge(inside.at_dense_frames(), body, read_facts(settled.shots))
    people = describe_people(inside, settled.shots, body)
    grounds = describe_grounds(settled.shots, settled.grounds)
    betas = torch.from_numpy(inside.betas)
    sizes = describe_sizes(settled.shots, betas, body)
    statures = describe_statures(settled.shots, betas, body)
    measured = {
        "shots": [judged | ground | size for judged, ground, size in zip(verdicts.shots, grounds, sizes, strict=True)],
        "people": [
            person | stature | judged for person, stature, judged in zip(people, statures, verdicts.people, strict=True)
        ],
        "quality": measure_quality(inside.at_dense_frames(), settled.shots, body),
    }
    return measured, verdicts.warnings
