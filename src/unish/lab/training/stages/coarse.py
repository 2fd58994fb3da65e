"""Coarse localisation (stage 2 of UniSH): synthetic clips with exact bodies, the scene branch frozen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unish.body import Body
from unish.lab.training.losses.body import compare_bodies, picture_loss, scale_loss, translation_loss
from unish.lab.training.stages.localiser import Localiser, shift_into_cameras
from unish.lab.training.stages.people_cache import PeopleBatch


@dataclass(frozen=True, kw_only=True)
class CoarseWeights:
    """Factor of every term; 0 leaves it out. The first four judge the human branch and are skipped where it is frozen.

    Attributes:
        vertices, joints: metres, L1, around the pelvis.
        pose, shape: squared differences of rotation matrices and of shape numbers.
        picture: projected joints over the size of the person, through the cameras that the points imply.
        transl: place among the points, ‖s_opt·t − t∗‖².
        root: place in the recovered camera, in metres, with the predicted scale; not published.
        scale: |s − s_opt|.
        width: of the penalties of places, see ``translation_loss``; ``None`` for square metres as published.
    """

    vertices: float = 1.0
    joints: float = 1.0
    pose: float = 0.05
    shape: float = 0.01
    picture: float = 1.0
    transl: float = 1.0
    root: float = 0.0
    scale: float = 1.0
    width: float | None = None


def coarse_loss(
    model: Localiser, batch: PeopleBatch, body: Body, weights: CoarseWeights
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of all terms, and each of them for the log.

    Raises:
        ValueError: the batch has no truth.
    """
    truth = batch.truth
    if truth is None:
        raise ValueError("coarse localisation needs exact bodies; use a dataset that has them")
    valid = batch.humans.valid
    located = model(batch)
    in_cameras = shift_into_cameras(located, batch)
    ones = torch.ones_like(truth.scale)
    # A translation that is solved in metres has no unit of the scene to be brought from.
    transl, scale = (located.params.transl, ones) if model.is_metric else (located.units, truth.scale)
    terms = {
        "transl": translation_loss(transl, truth.params.transl, scale, valid, width=weights.width),
        "scale": scale_loss(located.metres_per_unit, truth.scale),
    }
    if weights.root:
        terms["root"] = translation_loss(in_cameras.transl, truth.params.transl, ones, valid, width=weights.width)
    if weights.picture:
        joints = body.joints(in_cameras)
        terms["picture"] = picture_loss(joints, batch.cameras, body.joints(truth.params), truth.intrinsics, valid)
    if model.trains_human:
        compared = compare_bodies(body, located.params, truth.params, valid)
        terms |= {"vertices": compared["vertices"], "joints": compared["joints"]}
        terms |= {"pose": compared["pose_matrix"], "shape": compared["shape"]}
    loss = sum(getattr(weights, name) * term for name, term in terms.items() if getattr(weights, name))
    return loss, {name: term.detach() for name, term in terms.items()}
