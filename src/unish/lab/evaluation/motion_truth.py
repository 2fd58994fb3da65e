"""How people of a result move beside the truth: what touches, what slides, floats and sinks, jumps and accelerations.

Everything is measured in the result's own world, against its own floor, at moments that the truth names.

Legend: T shared frames, C = 4 heels and toes (``contacts.REGIONS``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray

from unish.body import Body
from unish.lab.evaluation.compared_people import match_boxes
from unish.lab.evaluation.compared_views import SharedFrames, share_frames
from unish.lab.evaluation.metrics import root_path, root_trajectory_error, world_joint_error
from unish.reconstruction.contacts import REGIONS
from unish.structs import Reconstruction

RESTS_M = 0.01
"""What truly touches in two frames and moves less in between has not been lifted from one to the other."""

TOUCHES = 0.5
"""Probability from which on a result says that a heel or toe touches."""

AIRBORNE_M = 0.03
"""Whoever is truly higher with all of the body than this is in the air."""

SUNK_CM = 3.0


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Heels and toes that a result rates: touching in both, in the result alone, in the truth alone."""

    hits: int = 0
    false: int = 0
    missed: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(hits=self.hits + other.hits, false=self.false + other.false, missed=self.missed + other.missed)

    @property
    def f1(self) -> float:
        """NaN where nothing touches in either."""
        both = 2 * self.hits + self.false + self.missed
        return 2 * self.hits / both if both else float("nan")


@dataclass(frozen=True, kw_only=True)
class MotionScores:
    """One matched person. Lists hold one number for each moment that tells.

    Attributes:
        contacts: heels and toes that are seen, by ``TOUCHES``.
        feet: the same of feet, each by its heel or its toe: whichever is on the ground is hard to see.
        slide_cm_s: speed of the lowest vertex of a heel or toe that truly rests from one frame to the next.
        gap_cm: height over the found floor of the lowest heel or toe that truly touches; below 0 sinks in.
        sunk: of each frame, whether some vertex is more than ``SUNK_CM`` under the found floor.
        apex_cm: of each true jump, height of the lowest vertex over the found floor in its highest frame, less the true
            one.
        acceleration_ratio: mean length of the second differences of the pelvis over the true one.
        w_mpjpe_mm, rte_percent: ``metrics.world_joint_error`` (mean over frames) and ``metrics.root_trajectory_error``.
        distance_log: |log| of the found over the true distance from the camera, median over frames.
    """

    contacts: Counts
    feet: Counts
    slide_cm_s: list[float]
    gap_cm: list[float]
    sunk: list[bool]
    apex_cm: list[float]
    acceleration_ratio: float
    w_mpjpe_mm: float
    rte_percent: float
    distance_log: float


@dataclass(frozen=True, kw_only=True)
class _Body:
    """One side's body of a person in the shared frames, world, metres; ``height`` is over its side's floor."""

    joints: Float[ndarray, "T 24 3"]
    vertices: Float[ndarray, "T V 3"]
    height: Float[ndarray, "T V"]


def score_motion(prediction: Reconstruction, truth: Reconstruction, body: Body) -> list[MotionScores]:
    """Everybody whom both know (``compared_people.match_boxes``); the truth is that of a synthetic clip.

    Raises:
        InputError: the two have fewer than two frames in common.
    """
    shared = share_frames(prediction, truth)
    posed = prediction.vertices(body), truth.vertices(body)
    return [
        _score_person(prediction, truth, (ours, theirs), posed, shared, body)
        for ours, theirs in match_boxes(prediction, truth, shared.ours, shared.theirs)
    ]


def measure_world_size(prediction: Reconstruction, truth: Reconstruction) -> float:
    """Median log ratio of the scene's depth to the true one, over the pixels that show no person."""
    shared = share_frames(prediction, truth)
    ours, theirs = shared.predicted.depth, shared.true.depth
    sky = torch.from_numpy(truth.extra["truth_sky"][shared.theirs])
    told = (ours > 0) & (theirs > 0) & (shared.people < 0) & ~sky
    return float((ours[told] / theirs[told]).log().median())


def _score_person(
    prediction: Reconstruction,
    truth: Reconstruction,
    who: tuple[int, int],
    posed: tuple[Float[ndarray, "P T V 3"], Float[ndarray, "P T V 3"]],
    shared: SharedFrames,
    body: Body,
) -> MotionScores:
    ours, theirs = shared.ours, shared.theirs
    found, true = (
        _Body(
            joints=record.joints[person, frames].astype(np.float64),
            vertices=vertices[person, frames],
            height=np.einsum("tvc,tc->tv", vertices[person, frames], view.floor[:, :3].numpy())
            + view.floor[:, 3:].numpy(),
        )
        for record, person, vertices, frames, view in (
            (prediction, who[0], posed[0], ours, shared.predicted),
            (truth, who[1], posed[1], theirs, shared.true),
        )
    )
    valid = prediction.person_valid[who[0], ours] & truth.person_valid[who[1], theirs]
    names = truth.extra["truth_contact_names"].tolist()
    touching = truth.extra["truth_contacts"][who[1]][theirs][:, [names.index(name) for name in REGIONS]]
    touching = touching & valid[:, None]
    regions = [body.contact_vertices[name].numpy() for name in REGIONS]
    joints, true_joints, known = torch.from_numpy(found.joints), torch.from_numpy(true.joints), torch.from_numpy(valid)
    away, true_away = (
        np.linalg.norm(side.joints[:, 0] - view.c2w[:, :3, 3].numpy(), axis=1)
        for side, view in ((found, shared.predicted), (true, shared.true))
    )
    says, rated = _rate_contacts(prediction, who[0], ours, valid)
    return MotionScores(
        contacts=_count(says, touching, rated),
        feet=_count(_join_feet(says), _join_feet(touching), _join_feet(rated)),
        slide_cm_s=_measure_slide(found, true, touching, regions, shared.fps),
        gap_cm=_measure_gap(found, touching, regions),
        sunk=(100 * found.height[valid].min(1) < -SUNK_CM).tolist(),
        apex_cm=[
            100 * float(found.height[frame].min() - true.height[frame].min()) for frame in _find_apexes(true, valid)
        ],
        acceleration_ratio=_acceleration(found, valid) / _acceleration(true, valid),
        w_mpjpe_mm=float(world_joint_error(joints, true_joints, first_frames=2, valid=known).nanmean()),
        rte_percent=float(root_trajectory_error(root_path(joints), root_path(true_joints), valid=known)),
        distance_log=float(np.median(np.abs(np.log(away / true_away))[valid])) if valid.any() else float("nan"),
    )


def _rate_contacts(
    prediction: Reconstruction, person: int, frames: ndarray, valid: Bool[ndarray, "T"]
) -> tuple[Bool[ndarray, "T 4"], Bool[ndarray, "T 4"]]:
    """Which heels and toes touch by the result, and which of them were seen."""
    if prediction.contact_prob is None:
        nothing = np.zeros((len(frames), len(REGIONS)), bool)
        return nothing, nothing
    said = prediction.contact_prob[person, frames].astype(np.float64)
    return said > TOUCHES, np.isfinite(said) & valid[:, None]


def _count(says: Bool[ndarray, "T C"], touching: Bool[ndarray, "T C"], rated: Bool[ndarray, "T C"]) -> Counts:
    return Counts(
        hits=int((says & touching & rated).sum()),
        false=int((says & ~touching & rated).sum()),
        missed=int((~says & touching & rated).sum()),
    )


def _join_feet(heels_and_toes: Bool[ndarray, "T 4"]) -> Bool[ndarray, "T 2"]:
    """Left and right foot, by their heel or toes."""
    return heels_and_toes[:, 0::2] | heels_and_toes[:, 1::2]


def _measure_slide(
    found: _Body, true: _Body, touching: Bool[ndarray, "T 4"], regions: list[ndarray], fps: float
) -> list[float]:
    slides: list[float] = []
    for column, region in enumerate(regions):
        both = np.flatnonzero(touching[1:, column] & touching[:-1, column])
        lowest = region[true.height[both][:, region].argmin(1)]
        moved, truly = (
            np.linalg.norm(side.vertices[both + 1, lowest] - side.vertices[both, lowest], axis=-1)
            for side in (found, true)
        )
        slides += (100 * fps * moved[truly < RESTS_M]).tolist()
    return slides


def _measure_gap(found: _Body, touching: Bool[ndarray, "T 4"], regions: list[ndarray]) -> list[float]:
    lowest = np.stack([found.height[:, region].min(1) for region in regions], axis=1)
    gaps = np.where(touching, lowest, np.inf).min(1)
    return (100 * gaps[touching.any(1)]).tolist()


def _find_apexes(true: _Body, valid: Bool[ndarray, "T"]) -> Iterator[int]:
    """The highest frame of every stretch in which the whole person is in the air."""
    low = true.height.min(1)
    edges = np.flatnonzero(np.diff(np.pad((low > AIRBORNE_M) & valid, 1).astype(int)))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        yield int(start + low[start:stop].argmax())


def _acceleration(side: _Body, valid: Bool[ndarray, "T"]) -> float:
    """Mean length of the second differences of the pelvis; NaN where nobody is valid in three frames on end."""
    counted = valid[2:] & valid[1:-1] & valid[:-2]
    change = np.linalg.norm(np.diff(side.joints[:, 0], n=2, axis=0), axis=1)[counted]
    return float(change.mean()) if len(change) else float("nan")
