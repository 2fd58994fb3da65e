"""One clip with people, as the frozen parts of the network see it, and where everybody truly is.

What coarse and fine need again and again does not change while they train: the tokens and points of the scene branch,
the landmarks, the human branch's answer. It is computed here once.

Legend: N frames, P people (the best seen ones), D simulated observations, H×W pixels, h×w the cached maps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from unish.body import Body, move_body
from unish.errors import InputError
from unish.geometry.camera import project, resize_intrinsics, unproject
from unish.geometry.rigid import invert_rigid
from unish.geometry.rotation import axis_angle_to_matrix
from unish.lab.datasets.source import ClipArrays
from unish.lab.training.landmark_noise import LandmarkNoiseConfig
from unish.lab.training.landmarks import observe_landmarks
from unish.lab.training.losses.body import recover_cameras
from unish.lab.training.losses.points import local_point_loss
from unish.network import UniSH
from unish.network.outputs import SceneOutput
from unish.people.crops import cut_crops
from unish.structs import CONFIDENT, BodyParams, HumanInputs

_FAR = 80.0
"""Metres: points beyond do not settle the scale."""
_MIN_VISIBLE = 6
"""Landmarks that must be in view for a landmark model to find a person at all."""
_MIN_DEPTH = 0.3
_HIDDEN_VISIBILITY = 0.3
"""Factor on the visibility that is told of a landmark behind something: landmark models notice mostly."""


@dataclass(frozen=True, kw_only=True)
class PeopleConfig:
    """What is kept of a clip.

    Attributes:
        num_frames, max_stride: frames of a clip, and how far apart at most.
        num_people: rows of the people axis; the people who are seen best.
        num_observations: how many times landmarks with new errors are simulated (detected ones are taken once).
        long_side: larger pictures are shrunk to it first. A network that looks at no more makes smooth borders of the
            pixels in between, and half of a small person may be border; ``None`` for pictures as they are.
        map_stride: points are kept at every such pixel.
        noise: errors of simulated landmarks.
        lift: ask the human branch, too; a stage that trains it asks it itself.
    """

    num_frames: int = 6
    max_stride: int = 1
    num_people: int = 2
    num_observations: int = 3
    long_side: int | None = None
    map_stride: int = 2
    noise: LandmarkNoiseConfig = field(default_factory=LandmarkNoiseConfig)
    lift: bool = True


@torch.no_grad()
def describe_clips(
    clips: list[ClipArrays],
    model: UniSH,
    body: Body,
    config: PeopleConfig,
    generators: list[Generator],
    *,
    know_camera: bool = False,
) -> dict[str, Tensor]:
    """Everything that is cached of B clips of one size, by name; truth (``true_…``) only where they have it.

    Args:
        clips: of a ``ClipSource`` with people, from truth or from detectors.
        model: in evaluation mode; its scene and human branches are asked.
        generators: of simulated landmarks, one for each clip.
        know_camera: tell the network the true intrinsics, as somebody with a calibrated camera would.
    """
    clips = [pick_people(arrays, config.num_people) for arrays in clips]
    images = torch.stack([torch.from_numpy(np.ascontiguousarray(arrays["images"])) for arrays in clips])
    images = images.to(model.device).permute(0, 1, 4, 2, 3).float() / 255
    known = torch.from_numpy(np.stack([arrays["intrinsics"] for arrays in clips])) if know_camera else None
    scene = model.scene(images, known)  # nothing here reads where the cameras are
    size, stride = (int(images.shape[-2]), int(images.shape[-1])), config.map_stride
    cameras, shift = recover_cameras(scene.local_points, scene.point_conf_logits.sigmoid() > CONFIDENT, known)
    maps = slice(stride // 2, None, stride)
    map_size = (len(range(size[0])[maps]), len(range(size[1])[maps]))
    described = {
        "hidden": scene.hidden.half(),
        "points": scene.local_points[:, :, maps, maps].half(),
        "conf_logits": scene.point_conf_logits[:, :, maps, maps].half(),
        "person_ids": torch.from_numpy(np.stack([arrays["ids"][:, maps, maps] for arrays in clips])).to(torch.int8),
        "intrinsics": resize_intrinsics(scene.intrinsics, size, map_size),
        "cameras": resize_intrinsics(cameras, size, map_size),
        "shift": shift,
        "timestamps": torch.from_numpy(np.stack([arrays["timestamps"] for arrays in clips])).double(),
    }
    truths: list[_Truth | None] = [None] * len(clips)
    if all("betas" in arrays and "depth" in arrays for arrays in clips):
        exact = [_read_truth(arrays, body) for arrays in clips]
        truths = [*exact]
        described |= _describe_truth(exact, clips, scene, size, map_size)
    seen = [
        _observe(arrays, truth, body, config, generator)
        for arrays, truth, generator in zip(clips, truths, generators, strict=True)
    ]
    observed = {name: torch.stack([each[name] for each in seen]) for name in seen[0]}
    if model.config.reads_crops:
        crops = [_cut_crops(arrays, each["valid"]) for arrays, each in zip(clips, seen, strict=True)]
        observed |= {name: torch.stack([each[name] for each in crops]) for name in crops[0]}
    if config.lift:
        observed |= _lift(observed, described["timestamps"], scene, model)
    to_maps = map_size[1] / size[1]
    observed["landmarks_px"] *= observed["landmarks_px"].new_tensor([to_maps, map_size[0] / size[0], 1.0])
    if "bbox_info" in observed:
        observed["bbox_info"] *= to_maps
    # The people of every observation stand in one row: D·P.
    return described | {name: value.unflatten(1, (-1, config.num_people)) for name, value in observed.items()}


def pick_people(arrays: ClipArrays, count: int) -> ClipArrays:
    """The ``count`` people who take most of the picture, padded with nobody; ids follow, others get ``count``."""
    seen = np.array([(arrays["ids"] == person).sum() for person in range(len(arrays["person_valid"]))])
    chosen = np.argsort(-seen, kind="stable")[:count]
    chosen = chosen[seen[chosen] > 0]
    picked = dict(arrays)
    for name in ("person_valid", "betas", "global_orient_aa", "body_pose_aa", "transl", "joints", "landmarks_px",
                 "landmarks_world", "landmark_score", "boxes_xyxy"):  # fmt: skip
        if name in arrays:
            values = np.zeros((count, *arrays[name].shape[1:]), arrays[name].dtype)
            values[: len(chosen)] = arrays[name][chosen]
            picked[name] = values
    row = np.full(max(len(seen), int(arrays["ids"].max()) + 1) + 1, count, np.int8)
    row[chosen] = np.arange(len(chosen))
    row[-1] = -1  # index −1: nobody
    picked["ids"] = row[arrays["ids"]]
    return picked


@dataclass(frozen=True, kw_only=True)
class _Truth:
    """Bodies in the camera (P, N), true intrinsics, and who is in the picture."""

    params: BodyParams
    intrinsics: Float[Tensor, "N 3 3"]
    valid: Bool[Tensor, "P N"]


def _read_truth(arrays: ClipArrays, body: Body) -> _Truth:
    people, frames = arrays["person_valid"].shape
    betas = torch.from_numpy(arrays["betas"])[:, None].expand(-1, frames, -1)
    world = BodyParams(
        betas=betas,
        global_orient=axis_angle_to_matrix(torch.from_numpy(arrays["global_orient_aa"])),
        body_pose=axis_angle_to_matrix(torch.from_numpy(arrays["body_pose_aa"]).reshape(people, frames, 23, 3)),
        transl=torch.from_numpy(arrays["transl"]),
    )
    w2c = invert_rigid(torch.from_numpy(arrays["c2w"])).expand(people, -1, -1, -1)
    return _Truth(
        params=move_body(world, w2c, body.rest_joints(betas)[..., 0, :]),
        intrinsics=torch.from_numpy(arrays["intrinsics"]),
        valid=torch.from_numpy(arrays["person_valid"]),
    )


def _describe_truth(
    truths: list[_Truth], clips: list[ClipArrays], scene: SceneOutput, size: tuple[int, int], map_size: tuple[int, int]
) -> dict[str, Tensor]:
    """Truth, and the scale that brings the predicted points onto the true ones (ROE)."""
    depth = torch.from_numpy(np.stack([arrays["depth"] for arrays in clips]))
    intrinsics = torch.stack([truth.intrinsics for truth in truths])
    points = unproject(depth, intrinsics).to(scene.local_points.device)
    defined = (points[..., 2] > 0) & (points[..., 2] < _FAR)
    *_, scale = local_point_loss(scene.local_points, points, defined)
    rotations = [torch.cat([t.params.global_orient[:, :, None], t.params.body_pose], dim=2) for t in truths]
    return {
        "true_intrinsics": resize_intrinsics(intrinsics, size, map_size),
        "true_betas": torch.stack([truth.params.betas[:, 0] for truth in truths]),
        "true_rotations": torch.stack(rotations),
        "true_transl": torch.stack([truth.params.transl for truth in truths]),
        "true_scale": scale,
    }


def _observe(
    arrays: ClipArrays, truth: _Truth | None, body: Body, config: PeopleConfig, generator: Generator
) -> dict[str, Tensor]:
    """Landmarks of a clip, pixels of its pictures: as detected, or simulated several times."""
    if "landmarks_world" in arrays:
        px, world = (torch.from_numpy(arrays[name]) for name in ("landmarks_px", "landmarks_world"))
        valid = torch.from_numpy(arrays["person_valid"]) & px.isfinite().all(-1).all(-1)
    elif truth is not None:
        px, world, valid = _simulate(arrays, truth, body, config.num_observations, config, generator)
    else:
        raise InputError("clips without landmarks need true bodies to simulate them; use a dataset that has either")
    px, world = (torch.where(valid[..., None, None], x, torch.nan) for x in (px, world))
    return {"valid": valid, "landmarks_px": px, "landmarks_world": world}


def _lift(
    observed: dict[str, Tensor], timestamps: Float[Tensor, "B N"], scene: SceneOutput, model: UniSH
) -> dict[str, Tensor]:
    """What the human branch makes of the observations."""
    humans = HumanInputs(**{name: value.to(model.device) for name, value in observed.items()})
    people = model.human(humans, timestamps.to(model.device), scene.intrinsics)
    return {"rotations": people.rotations, "betas": people.betas, "token": people.token}


def _cut_crops(arrays: ClipArrays, valid: Bool[Tensor, "P N"]) -> dict[str, Tensor]:
    """Crops around the masks, as the people stage cuts them."""
    masks = torch.from_numpy(arrays["ids"])
    boxes = torch.full((*valid.shape, 4), torch.nan)
    for person, frame in valid.nonzero().tolist():
        rows, columns = (masks[frame] == person).nonzero(as_tuple=True)
        if len(rows):
            low, high = torch.stack([columns.min(), rows.min()]), torch.stack([columns.max(), rows.max()]) + 1
            boxes[person, frame] = torch.cat([low, high]).float()
    images = torch.from_numpy(np.ascontiguousarray(arrays["images"]))
    crops = cut_crops(images, boxes, valid & boxes.isfinite().all(-1))
    return {"patches": crops.patches, "bbox_info": crops.bbox_info}


def _simulate(
    arrays: ClipArrays, truth: _Truth, body: Body, count: int, config: PeopleConfig, generator: Generator
) -> tuple[Float[Tensor, "DP N 33 3"], Float[Tensor, "DP N 33 3"], Bool[Tensor, "DP N"]]:
    """Landmarks as a landmark model would have found them: with its errors, unsure of what something hides."""
    people = len(truth.valid)
    height, width = arrays["images"].shape[1:3]
    cameras = truth.intrinsics.expand(people, -1, -1, -1)
    landmarks = body.landmarks(truth.params)
    if "landmarks_px" in arrays:
        in_view = torch.from_numpy(arrays["landmarks_px"][..., 2]) > 0
    else:  # what hides them is not known
        pixels = project(landmarks, cameras)
        in_view = ((pixels >= 0) & (pixels < pixels.new_tensor([width, height]))).all(-1)
    found = truth.valid & (in_view.sum(-1) >= _MIN_VISIBLE) & (landmarks[..., 2].amin(-1) > _MIN_DEPTH)
    observed = observe_landmarks(
        landmarks.repeat(count, 1, 1, 1),
        cameras.repeat(count, 1, 1, 1),
        torch.tensor([0.0, 0.0, width, height]).expand(count * people, 4),
        body.standing_height(truth.params.betas[:, 0]).repeat(count),
        torch.from_numpy(arrays["timestamps"]).double().expand(count * people, -1),
        config.noise,
        generator,
    )
    px = observed.px.clone()
    px[..., 2] *= torch.where(in_view, 1.0, _HIDDEN_VISIBILITY).repeat(count, 1, 1)
    return px, observed.world, observed.valid & found.repeat(count, 1)
