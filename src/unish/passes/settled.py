"""Second pass: one world out of what was observed. Works on small arrays; dense ones are read a frame at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from unish.body import Body, load_body, match_shape, resize_to_height
from unish.passes.known_sizes import apply_distances, list_heights
from unish.passes.network_pass import times_in_shot
from unish.passes.observations import Observations, ObservedShot
from unish.reconstruction import (
    Ground,
    HeightMap,
    MetricShot,
    SettledShots,
    Shot,
    ShotConstraints,
    ShotEvidence,
    apply_floor,
    assemble,
    close_loop,
    compare_shot,
    fill_between,
    find_ground,
    make_person_points,
    measure_certainty,
    measure_scale_interval,
    move_into_world,
    resize_to_cameras,
    settle_motion,
    settle_on_feet,
    shrink_shapes,
    stitch_windows,
    survey_terrain,
    touch_ground,
)
from unish.reconstruction.checks.views import likeness
from unish.reconstruction.unusual import LIKENESS
from unish.settings import Span
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
    seen: Observations,
    network: str,
    shape_space: str,
    body: Body,
    *,
    feet: bool = True,
    seed: int = 0,
    person_height: Mapping[int, float] | None = None,
    known_distance: Sequence[Span] | None = None,
    constraints: Sequence[ShotConstraints] | None = None,
) -> Settled:
    """See the module.

    Args:
        network: fingerprint of the weights.
        shape_space: whose shapes the network predicts.
        feet: bring scene, ground and people together where feet stand (``reconstruction.settling``).
        seed: of the search for the floor.
        person_height, known_distance: see ``Settings``.
        constraints: what a user says of each shot, if anything.

    Raises:
        InputError: a height of nobody, or a distance that cannot be measured.
    """
    heights = list_heights(seen, person_height)
    rows, columns = seen.placement.region
    shape = (len(seen.images), *seen.placement.inner, 3)
    pictures = FrameArray(shape, seen.images.dtype, lambda frame: seen.images[frame][rows, columns])
    never_moves = _find_motionless(seen, pictures)
    known = constraints or [ShotConstraints()] * len(seen.shots)
    shots = [_stitch(seen, shot) for shot in seen.shots]
    shots = [close_loop(shot) if own.closed else shot for shot, own in zip(shots, known, strict=True)]
    evidence = _gather_evidence(seen, heights, never_moves, known)
    betas, notes = average_betas(shots, shape_space, body)
    sigma = torch.cat([measure_certainty(*one, betas, body) for one in zip(shots, evidence, strict=True)], dim=1)
    betas = resize_to_height(body, shrink_shapes(betas, sigma, seen.tracks.valid), heights)
    compared = [compare_shot(*one, betas, body) for one in zip(shots, evidence, strict=True)]
    compared, betas = resize_to_cameras(compared, betas, body)
    if feet:
        settled = settle_on_feet(compared, betas, body, seed=seed)
    else:
        metric = [move_into_world(one, body) for one in compared]
        grounds = [find_ground(*one, body, seed=seed) for one in zip(metric, evidence, strict=True)]
        settled = SettledShots(shots=metric, grounds=grounds, betas=betas)
    if known_distance:
        settled, said = apply_distances(settled, seen, known_distance, body)
        notes += said
    metric, betas = settled.shots, settled.betas
    grounds = [apply_floor(*one) for one in zip(metric, settled.grounds, known, strict=True)]
    starts = np.cumsum([0, *(len(shot.dense) for shot in seen.shots)]).tolist()
    stood = [
        _stand(shot, one, ground, body, _cut(seen.sky, start, len(shot.dense)), feet=feet)
        for start, shot, one, ground in zip(starts[:-1], metric, evidence, grounds, strict=True)
    ]
    metric, grounds = [one.shot for one in stood], [one.ground for one in stood]
    record = assemble(
        seen.clip, pictures, seen.masks, seen.tracks, seen.landmarks, metric, grounds, betas, body, network, seen.sky,
        [one.contact for one in stood], [measure_scale_interval(shot, betas, body) for shot in metric],
        [one.heights for one in stood],
    )  # fmt: skip
    if seen.relief is not None:
        record = replace(record, person_points=make_person_points(record, seen.relief, body))
    return Settled(
        reconstruction=record,
        shots=metric,
        grounds=grounds,
        placement=seen.placement,
        images=seen.images,
        notes=notes,
    )


@dataclass(frozen=True, kw_only=True)
class _Stood:
    """A shot whose people stand on what is under them, what they touch, and the local height of the ground."""

    shot: MetricShot
    ground: Ground
    contact: Float[Tensor, "P T 4"]
    heights: HeightMap | None


def _stand(
    shot: MetricShot, evidence: ShotEvidence, ground: Ground, body: Body, sky: FrameArray | None, *, feet: bool
) -> _Stood:
    """Supports of the feet, contacts, and motion that keeps to both; without ``feet`` contacts of the floor alone."""
    terrain = survey_terrain(shot, evidence, ground, body, sky)
    support = terrain.support if feet else None
    contact = touch_ground(shot, evidence, ground, body, support)
    if feet:
        shot = settle_motion(shot, evidence, ground, contact, body, support)
        contact = touch_ground(shot, evidence, ground, body, support)
        ground = replace(ground, levels=tuple(terrain.levels.tolist()))
    return _Stood(shot=shot, ground=ground, contact=contact, heights=terrain.map)


def _cut(frames: FrameArray | None, start: int, count: int) -> FrameArray | None:
    return None if frames is None else cut_frames(frames, slice(start, start + count))


def _stitch(seen: Observations, shot: ObservedShot) -> Shot:
    valid = seen.tracks.valid[:, shot.frames]
    known = None if seen.cameras is None else seen.cameras.from_first(shot.frames)
    # Cameras that are to be refined stay as they are where no window of the shot shows any parallax.
    given = None if known is None or _is_refined(seen, shot) else known[shot.dense]
    still = shot.still and seen.cameras is None
    found = stitch_windows(shot.windows, valid[:, shot.dense], shot.camera, still=still, given=given, loops=shot.loops)
    found = replace(found, cameras_in_metres=seen.cameras is not None and seen.cameras.in_metres)
    if len(shot.dense) == valid.shape[1]:
        return found
    poses = shot.poses
    rotations, betas = (None, None) if poses is None else (poses.rotations, poses.betas)
    filled = fill_between(found, shot.dense, times_in_shot(seen.clip, shot.frames), rotations, betas, shot.between)
    return replace(filled, seen=valid.sum(1), c2w=filled.c2w if given is None or known is None else known)


def _is_refined(seen: Observations, shot: ObservedShot) -> bool:
    assert seen.cameras is not None
    return seen.cameras.refine and any(window.in_given_unit for window in shot.windows)


def _gather_evidence(
    seen: Observations,
    heights: Float[Tensor, "P"],
    never_moves: Bool[Tensor, "P"],
    known: Sequence[ShotConstraints],
) -> list[ShotEvidence]:
    """Of each shot."""
    starts = np.cumsum([0, *(len(shot.dense) for shot in seen.shots)]).tolist()
    sigma_px, found = seen.landmarks.sigma_px, list[ShotEvidence]()
    for start, shot, own in zip(starts[:-1], seen.shots, known, strict=True):
        frames = shot.frames
        evidence = ShotEvidence(
            timestamps_s=times_in_shot(seen.clip, frames),
            valid=seen.tracks.valid[:, frames],
            masks=cut_frames(seen.masks, slice(start, start + len(shot.dense))),
            landmarks_px=seen.landmarks.px[:, frames],
            boxes_xyxy=seen.tracks.boxes_xyxy[:, frames],
            box_only=seen.box_only[:, frames],
            known_height=torch.isfinite(heights) if torch.isfinite(heights).any() else None,
            never_moves=never_moves,
            landmarks_sigma_px=None if sigma_px is None else sigma_px[:, frames],
            given_contacts=own.contacts,
            floor_given=own.gives_floor,
        )
        found.append(evidence)
    return found


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """``Sightings`` in the frames with depth."""

    images: FrameArray
    person_masks: FrameArray
    person_valid: Bool[ndarray, "P D"]
    boxes_xyxy: Float[ndarray, "P D 4"]
    landmarks_px: Float[ndarray, "P D 33 3"]


def _find_motionless(seen: Observations, pictures: FrameArray) -> Bool[Tensor, "P"]:
    """Who is found again as exactly as a flat picture is: no ruler, though it may be a person who stands very still.

    One picture again and again says nothing of anybody.
    """
    if all(np.array_equal(pictures[0], pictures[frame]) for frame in (len(pictures) // 2, len(pictures) - 1)):
        return torch.zeros(seen.tracks.num_people, dtype=torch.bool)
    dense = torch.cat([shot.frames.start + shot.dense for shot in seen.shots])
    found = _Seen(
        images=pictures,
        person_masks=FrameArray.like(seen.masks, lambda frame: seen.masks[frame].numpy(), dtype=np.dtype(np.int16)),
        person_valid=seen.tracks.valid[:, dense].numpy(),
        boxes_xyxy=seen.tracks.boxes_xyxy[:, dense].numpy(),
        landmarks_px=seen.landmarks.px[:, dense].numpy(),
    )
    return torch.tensor(
        [likeness(found, person) > LIKENESS for person in range(seen.tracks.num_people)], dtype=torch.bool
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
