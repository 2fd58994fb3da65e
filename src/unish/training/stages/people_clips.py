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
from unish.datasets.source import ClipArrays
from unish.errors import InputError
from unish.geometry.camera import project, resize_intrinsics, unproject
from unish.geometry.rigid import invert_rigid
from unish.geometry.rotation import axis_angle_to_matrix
from unish.network import UniSH
from unish.network.outputs import SceneOutput
from unish.network.ruler_start import MIN_CONFIDENCE
from unish.network.small_scene import SmallScene
from unish.people.crops import cut_crops
from unish.structs import BodyParams, HumanInputs, Tracks
from unish.training.landmark_noise import LandmarkNoiseConfig
from unish.training.landmarks import observe_landmarks
from unish.training.losses.body import recover_cameras
from unish.training.losses.points import local_point_loss

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
        map_stride: points are kept at every such pixel.
        noise: errors of simulated landmarks.
        lift: ask the human branch, too; a stage that trains it asks it itself.
    """

    num_frames: int = 6
    max_stride: int = 1
    num_people: int = 2
    num_observations: int = 3
    map_stride: int = 2
    noise: LandmarkNoiseConfig = field(default_factory=LandmarkNoiseConfig)
    lift: bool = True


@torch.no_grad()
def describe_clip(
    arrays: ClipArrays, model: UniSH, body: Body, config: PeopleConfig, generator: Generator
) -> dict[str, Tensor]:
    """Everything that is cached of a clip, by name; truth (``true_…``) only where the clip has it.

    Args:
        arrays: of a ``ClipSource`` with people, from truth or from detectors.
        model: in evaluation mode; its scene and human branches are asked.
    """
    arrays = pick_people(arrays, config.num_people)
    images = torch.from_numpy(np.ascontiguousarray(arrays["images"])).permute(0, 3, 1, 2)[None].float() / 255
    images = images.to(model.device)
    # Nothing here reads the cameras' poses; the small branch solves them after all else.
    options = {"with_cameras": False} if isinstance(model.scene, SmallScene) else {}
    scene = model.scene(images, **options)
    size, stride = (int(images.shape[-2]), int(images.shape[-1])), config.map_stride
    cameras, shift = recover_cameras(scene.local_points, scene.point_conf_logits.sigmoid() > MIN_CONFIDENCE)
    maps = slice(stride // 2, None, stride)
    map_size = (len(range(size[0])[maps]), len(range(size[1])[maps]))
    described = {
        "hidden": scene.hidden[0].half(),
        "points": scene.local_points[0, :, maps, maps].half(),
        "conf_logits": scene.point_conf_logits[0, :, maps, maps].half(),
        "person_ids": torch.from_numpy(np.ascontiguousarray(arrays["ids"]))[:, maps, maps].to(torch.int8),
        "intrinsics": resize_intrinsics(scene.intrinsics[0], size, map_size),
        "cameras": resize_intrinsics(cameras[0], size, map_size),
        "shift": shift[0],
        "timestamps": torch.from_numpy(arrays["timestamps"]).double(),
    }
    truth = None
    if "betas" in arrays and "depth" in arrays:
        truth = _read_truth(arrays, body)
        described |= _describe_truth(truth, arrays, scene, size, map_size)
    observations = [
        _observe_and_lift(arrays, truth, scene, model, body, config, generator, map_size)
        for _ in range(1 if "landmarks_world" in arrays else config.num_observations)
    ]
    return described | {name: torch.stack([each[name] for each in observations]) for name in observations[0]}


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
    truth: _Truth, arrays: ClipArrays, scene: SceneOutput, size: tuple[int, int], map_size: tuple[int, int]
) -> dict[str, Tensor]:
    """Truth, and the scale that brings the predicted points onto the true ones (ROE)."""
    depth = torch.from_numpy(arrays["depth"])[None]
    defined = (depth > 0) & (depth < _FAR)
    *_, scale = local_point_loss(scene.local_points, unproject(depth, truth.intrinsics[None]), defined)
    return {
        "true_intrinsics": resize_intrinsics(truth.intrinsics, size, map_size),
        "true_betas": truth.params.betas[:, 0].contiguous(),
        "true_rotations": torch.cat([truth.params.global_orient[:, :, None], truth.params.body_pose], dim=2),
        "true_transl": truth.params.transl,
        "true_scale": scale[0],
    }


def _observe_and_lift(
    arrays: ClipArrays,
    truth: _Truth | None,
    scene: SceneOutput,
    model: UniSH,
    body: Body,
    config: PeopleConfig,
    generator: Generator,
    map_size: tuple[int, int],
) -> dict[str, Tensor]:
    """Landmarks in pixels of the maps, crops where the human branch reads them, and what it makes of either."""
    size = (int(arrays["images"].shape[1]), int(arrays["images"].shape[2]))
    timestamps = torch.from_numpy(arrays["timestamps"]).double()
    if "landmarks_world" in arrays:
        px, world = (torch.from_numpy(arrays[name]) for name in ("landmarks_px", "landmarks_world"))
        valid = torch.from_numpy(arrays["person_valid"]) & px.isfinite().all(-1).all(-1)
    elif truth is not None:
        px, world, valid = _simulate(arrays, truth, timestamps, body, size, config, generator)
    else:
        raise InputError("clips without landmarks need true bodies to simulate them; use a dataset that has either")
    px, world = (torch.where(valid[..., None, None], x, torch.nan) for x in (px, world))
    on_maps = px * px.new_tensor([map_size[1] / size[1], map_size[0] / size[0], 1.0])
    seen = {"valid": valid, "landmarks_px": on_maps, "landmarks_world": world}
    crops = _cut_crops(arrays, valid) if model.config.reads_crops else {}
    if config.lift:
        inputs = {"valid": valid, "landmarks_px": px, "landmarks_world": world, **crops}
        humans = HumanInputs(**{name: value[None].to(model.device) for name, value in inputs.items()})
        people = model.human(humans, timestamps[None].to(model.device), scene.intrinsics)
        seen |= {"rotations": people.rotations[0], "betas": people.betas[0], "token": people.token[0]}
    if crops:
        crops["bbox_info"] = crops["bbox_info"] * (map_size[1] / size[1])
    return seen | crops


def _cut_crops(arrays: ClipArrays, valid: Bool[Tensor, "P N"]) -> dict[str, Tensor]:
    """Crops around the masks, as the people stage cuts them."""
    masks = torch.from_numpy(arrays["ids"])
    boxes = torch.full((*valid.shape, 4), torch.nan)
    for person, frame in valid.nonzero().tolist():
        rows, columns = (masks[frame] == person).nonzero(as_tuple=True)
        if len(rows):
            low, high = torch.stack([columns.min(), rows.min()]), torch.stack([columns.max(), rows.max()]) + 1
            boxes[person, frame] = torch.cat([low, high]).float()
    tracks = Tracks(
        person_ids=torch.arange(len(valid)), valid=valid & boxes.isfinite().all(-1), boxes_xyxy=boxes,
        masks=masks.to(torch.int16),
    )  # fmt: skip
    crops = cut_crops(torch.from_numpy(np.ascontiguousarray(arrays["images"])), tracks)
    return {"patches": crops.patches, "bbox_info": crops.bbox_info}


def _simulate(
    arrays: ClipArrays,
    truth: _Truth,
    timestamps: Float[Tensor, "N"],
    body: Body,
    size: tuple[int, int],
    config: PeopleConfig,
    generator: Generator,
) -> tuple[Float[Tensor, "P N 33 3"], Float[Tensor, "P N 33 3"], Bool[Tensor, "P N"]]:
    """Landmarks as a landmark model would have found them: with its errors, unsure of what something hides."""
    people = len(truth.valid)
    cameras = truth.intrinsics.expand(people, -1, -1, -1)
    landmarks = body.landmarks(truth.params)
    bounds = torch.tensor([0.0, 0.0, size[1], size[0]]).expand(people, 4)
    observed = observe_landmarks(
        landmarks, cameras, bounds, body.standing_height(truth.params.betas[:, 0]),
        timestamps.expand(people, -1), config.noise, generator,
    )  # fmt: skip
    if "landmarks_px" in arrays:
        in_view = torch.from_numpy(arrays["landmarks_px"][..., 2]) > 0
    else:  # what hides them is not known
        pixels = project(landmarks, cameras)
        in_view = ((pixels >= 0) & (pixels < pixels.new_tensor([size[1], size[0]]))).all(-1)
    px = observed.px.clone()
    px[..., 2] *= torch.where(in_view, 1.0, _HIDDEN_VISIBILITY)
    found = (in_view.sum(-1) >= _MIN_VISIBLE) & (landmarks[..., 2].amin(-1) > _MIN_DEPTH)
    return px, observed.world, observed.valid & truth.valid & found
