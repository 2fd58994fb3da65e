"""Second pass: one world out of what was observed. Works on small arrays; dense ones are read a frame at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unish.body import Body, load_body, match_shape
from unish.passes.network_pass import times_in_shot
from unish.passes.observations import Observations, ObservedShot
from unish.reconstruction import (
    Ground,
    MetricShot,
    Shot,
    ShotEvidence,
    assemble,
    compare_shot,
    estimate_ground,
    fill_between,
    measure_certainty,
    move_into_world,
    settle_on_feet,
    shrink_shapes,
    stitch_windows,
    touch_ground,
)
from unish.structs import FrameArray, Frames, Reconstruction, cut_frames
from unish.structs.reconstruction import DENSE
from unish.video import Placement, put_back


@dataclass(frozen=True, kw_only=True)
class Settled:
    """The world of every shot, in metres.

    Attributes:
        reconstruction: of the processed picture inside of bars; its dense arrays are computed when they are read.
        placement, images: where the picture lies in the whole frames, and these.
        notes: what had to be guessed, one sentence each.
    """

    reconstruction: Reconstruction
    shots: list[MetricShot]
    grounds: list[Ground]
    placement: Placement
    images: FrameArray
    notes: list[str]

    def in_whole_frames(self) -> Reconstruction:
        """The same in pixels of the whole frames, bars included."""
        return put_back(self.reconstruction, self.placement, self.images)

    def inside_of(self, found: Reconstruction) -> Reconstruction:
        """``reconstruction``, its dense arrays read from ``found``, which is in pixels of the whole frames."""
        if self.placement.size == self.placement.inner:
            return found
        dense: dict[str, Any] = {
            name: self._cut(getattr(found, name)) for name in DENSE if getattr(found, name) is not None
        }
        return replace(self.reconstruction, **dense)

    def _cut(self, whole: Frames) -> FrameArray:
        rows, columns = self.placement.region
        shape = (len(whole), *self.placement.inner, *whole.shape[3:])
        return FrameArray(shape, whole.dtype, lambda frame: whole[frame][rows, columns])


def settle(
    seen: Observations, network: str, shape_space: str, body: Body, *, feet: bool = True, seed: int = 0
) -> Settled:
    """See the module.

    Args:
        network: fingerprint of the weights.
        shape_space: whose shapes the network predicts.
        feet: bring scene, ground and people together where feet stand (``reconstruction.settling``).
        seed: of the search for the floor.
    """
    shots = [_stitch(seen, shot) for shot in seen.shots]
    starts = np.cumsum([0, *(len(shot.dense) for shot in seen.shots)]).tolist()
    evidence = [
        _evidence(seen, shot.frames, cut_frames(seen.masks, slice(start, start + len(shot.dense))))
        for start, shot in zip(starts[:-1], seen.shots, strict=True)
    ]
    betas, notes = average_betas(shots, shape_space, body)
    sigma = torch.cat([measure_certainty(*one, betas, body) for one in zip(shots, evidence, strict=True)], dim=1)
    betas = shrink_shapes(betas, sigma, seen.tracks.valid)
    compared = [compare_shot(*one, betas, body) for one in zip(shots, evidence, strict=True)]
    if feet:
        settled = settle_on_feet(compared, betas, body, seed=seed)
        metric, grounds, betas = settled.shots, settled.grounds, settled.betas
    else:
        metric = [move_into_world(one, body) for one in compared]
        grounds = [estimate_ground(shot, body, seed=seed) for shot in metric]
    contacts = [touch_ground(*one, body) for one in zip(metric, evidence, grounds, strict=True)]
    rows, columns = seen.placement.region
    shape = (len(seen.images), *seen.placement.inner, 3)
    pictures = FrameArray(shape, seen.images.dtype, lambda frame: seen.images[frame][rows, columns])
    record = assemble(
        seen.clip, pictures, seen.masks, seen.tracks, seen.landmarks, metric, grounds, betas, body, network, seen.sky,
        contacts,
    )  # fmt: skip
    return Settled(
        reconstruction=record,
        shots=metric,
        grounds=grounds,
        placement=seen.placement,
        images=seen.images,
        notes=notes,
    )


def _stitch(seen: Observations, shot: ObservedShot) -> Shot:
    valid = seen.tracks.valid[:, shot.frames]
    found = stitch_windows(shot.windows, valid[:, shot.dense], shot.camera, still=shot.still)
    if len(shot.dense) == valid.shape[1]:
        return found
    poses = shot.poses
    rotations, betas = (None, None) if poses is None else (poses.rotations, poses.betas)
    filled = fill_between(found, shot.dense, times_in_shot(seen.clip, shot.frames), rotations, betas)
    return replace(filled, seen=valid.sum(1))


def _evidence(seen: Observations, shot: slice, masks: FrameArray) -> ShotEvidence:
    return ShotEvidence(
        timestamps_s=times_in_shot(seen.clip, shot),
        valid=seen.tracks.valid[:, shot],
        masks=masks,
        landmarks_px=seen.landmarks.px[:, shot],
        boxes_xyxy=seen.tracks.boxes_xyxy[:, shot],
        box_only=seen.box_only[:, shot],
        landmarks_sigma_px=None if seen.landmarks.sigma_px is None else seen.landmarks.sigma_px[:, shot],
    )


def average_betas(shots: list[Shot], space: str, body: Body) -> tuple[Float[Tensor, "P 10"], list[str]]:
    """One shape per person over all shots, in the shape space of the body that is asked for, and what to say of it.

    Args:
        space: whose shapes the network predicts. Those of SMPL are those of any licensed file, but without one nobody
            can say what they mean.
    """
    known = [(shot.betas, shot.seen.float()) for shot in shots if shot.betas is not None]
    if not known:
        return torch.zeros(0, 10), []
    weights = torch.stack([seen for _, seen in known])
    betas = torch.stack([one for one, _ in known])
    mean = (betas * weights[..., None]).sum(0) / weights.sum(0).clamp_min(1.0)[:, None]
    if space == body.shape_space:
        return mean, []
    if space == "free":
        return match_shape(load_body("free"), mean, body), []
    note = (
        "these weights predict shapes of SMPL, which means nothing to the free body: everybody has its mean shape; "
        "give a licensed SMPL file with --body"
    )
    return torch.zeros_like(mean), [note]
