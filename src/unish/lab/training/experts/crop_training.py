"""Training of the crop expert: crops of people from clips with exact depth.

Legend: C crops of S×S pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from unish.errors import InputError
from unish.geometry.camera import pixel_grid
from unish.geometry.crop_box import CROP_MARGIN, CropBox
from unish.lab.datasets import ClipArrays, ClipSource
from unish.lab.training.data import degrade_images
from unish.lab.training.experts.crop import CropExpert, find_boxes
from unish.lab.training.losses.penalties import mean_where
from unish.lab.training.losses.points import posture_loss
from unish.lab.training.stages.domains import Domain, open_clips
from unish.lab.training.trainer import FitConfig, Validate, fit, load_run_weights
from unish.network import UniSH
from unish.network.crop_net import CropNet, CropNetConfig
from unish.network.small_scene import SmallScene

_NEEDED = ("images", "depth", "ids", "intrinsics")
_SAME_SURFACE = 0.04
"""Steps of relief larger than this share of the crop are another surface."""
_WHOLE = 0.9
_TRIES = 20
_MARGINS = (1.05, 1.5)
_DEGRADED = 0.5
_WRONG_MASKS = 0.5
"""Share of crops whose masks have the faults of a detector's."""
_OUTLINE_CELLS, _OUTLINE_BLUR, _OUTLINE_NOISE = 12, 9, 0.35
"""Cells along a side whose outline goes one way; width over which it goes, pixels; spread of how far."""
_NEVER_SEEN = 19
"""Clips whose number modulo 20 is this are for validation."""


@dataclass(frozen=True, kw_only=True)
class CropWeights:
    """Weights of ``crop_loss``."""

    relief: float
    normals: float


@dataclass(frozen=True, kw_only=True)
class CropExpertStage:
    """A row of the recipe.

    Attributes:
        net: sizes of the network.
        world, num_clips: what is rendered where no other data is given.
        crops_per_step: C.
        pretrained_encoder: take the frozen encoder from the weights that ship; tests do without.
    """

    name: str
    world: Domain
    num_clips: int
    losses: CropWeights
    fit: FitConfig
    net: CropNetConfig = field(default_factory=CropNetConfig)
    crops_per_step: int = 8
    pretrained_encoder: bool = True


@dataclass(frozen=True, kw_only=True)
class CropBatch:
    """C crops; ``relief`` is 0 where it is not ``known``, which only pixels of the person are."""

    images: Float[Tensor, "C 3 S S"]
    masks: Bool[Tensor, "C S S"]
    relief: Float[Tensor, "C S S"]
    known: Bool[Tensor, "C S S"]


class CropBatches:
    """``CropBatches(source, …)(step)`` is batch ``step``; half of the crops are mirrored, half degraded, and half of
    the masks are wrong as those of detectors are.

    Raises:
        InputError: the source lacks depth, ids or intrinsics.
    """

    def __init__(
        self, source: ClipSource, size: int, num_crops: int, *, seed: int = 0, validates: bool = False
    ) -> None:
        notes = source.describe()
        if missing := [name for name in _NEEDED if name not in notes.arrays]:
            raise InputError(f"{notes.name} has no {', '.join(missing)}: it cannot train the crop expert")
        numbers = [i for i in range(len(source)) if (i % 20 == _NEVER_SEEN) == validates]
        self.source, self.size, self.num_crops, self.seed = source, size, num_crops, seed
        self.numbers, self.validates = np.array(numbers or [0]), validates

    def __call__(self, step: int) -> CropBatch:
        rng = np.random.default_rng([self.seed, step])
        crops = [self._sample(rng) for _ in range(self.num_crops)]
        return CropBatch(**{name: torch.stack([crop[name] for crop in crops]) for name in crops[0]})

    def _sample(self, rng: np.random.Generator) -> dict[str, Tensor]:
        for _ in range(_TRIES):
            arrays = self.source.load(int(rng.choice(self.numbers)), rng, num_frames=1)
            margin = CROP_MARGIN if self.validates else float(rng.uniform(*_MARGINS))
            boxes = list(find_boxes(torch.from_numpy(arrays["ids"]), margin=margin))
            if boxes:
                return self._cut(arrays, boxes[rng.integers(len(boxes))], rng)
        raise InputError(f"{self.source.describe().name}: {_TRIES} clips show nobody; the crop expert needs people")

    def _cut(self, arrays: ClipArrays, box: CropBox, rng: np.random.Generator) -> dict[str, Tensor]:
        relief, known = true_relief(arrays, box, self.size)
        mask = torch.from_numpy(arrays["ids"][0] == box.person).float()
        image = torch.from_numpy(arrays["images"][0]).permute(2, 0, 1).float()
        crop = box.cut(torch.cat([image, mask[None]]), self.size)
        picture = crop[:3].permute(1, 2, 0).round().byte().numpy()
        if not self.validates and rng.random() < _DEGRADED:
            picture = degrade_images(picture[None], rng)[0]
        found = {
            "images": torch.from_numpy(picture).permute(2, 0, 1).float() / 255,
            "masks": self._outline(crop[3], rng),
            "relief": relief,
            "known": known,
        }
        mirrored = not self.validates and rng.random() < 0.5
        return {name: value.flip(-1) for name, value in found.items()} if mirrored else found

    def _outline(self, mask: Float[Tensor, "S S"], rng: np.random.Generator) -> Bool[Tensor, "S S"]:
        """Masks of detectors cut into people here and take in some of the wall there."""
        if self.validates or rng.random() >= _WRONG_MASKS:
            return mask > 0.5
        cells = torch.from_numpy(rng.normal(0, _OUTLINE_NOISE, (1, 1, _OUTLINE_CELLS, _OUTLINE_CELLS))).float()
        noise = functional.interpolate(cells, mask.shape, mode="bicubic")
        soft = functional.avg_pool2d(mask[None, None], _OUTLINE_BLUR, stride=1, padding=_OUTLINE_BLUR // 2)
        return (soft + noise)[0, 0] > 0.5


def true_relief(
    arrays: ClipArrays, box: CropBox, size: int
) -> tuple[Float[Tensor, "size size"], Bool[Tensor, "size size"]]:
    """Relief of a person as the expert should see it, median 0, and where it is known."""
    depth, ids = (torch.from_numpy(arrays[name][0]) for name in ("depth", "ids"))
    camera = torch.from_numpy(arrays["intrinsics"][0])
    height, width = depth.shape
    seen = (ids == box.person) & (depth > 0)
    along = depth * box.along_middle(camera, (height, width))
    relief = torch.where(seen, along, 1.0).log() / box.log_unit(camera)
    # Averaged over the pixels that are seen, as the picture is: the nearest pixel would turn slopes into stairs.
    shares = box.cut(torch.stack([relief * seen, seen.float()]), size)
    known = shares[1] > _WHOLE
    mean = shares[0] / shares[1].clamp_min(_WHOLE)
    return torch.where(known, mean - mean[known].median() if known.any() else mean, 0.0), known


def crop_loss(model: nn.Module, batch: CropBatch, weights: CropWeights) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean error of the relief after the best offset of each crop, and mean angle between normals (radians).

    Normals are those of a parallel projection: right where a person is narrow for its distance, as a person mostly is.
    """
    predicted = model(batch.images, batch.masks)
    error = predicted - batch.relief
    offset = torch.where(batch.known, error, torch.nan).flatten(1).nanmedian(dim=1).values.nan_to_num(0.0)
    relief = mean_where((error - offset.detach()[:, None, None]).abs(), batch.known)
    found, wanted = (_flat_points(x) for x in (predicted, batch.relief))
    normals = posture_loss(found[:, None], wanted[:, None], batch.known[:, None], relative_step=_SAME_SURFACE)
    terms = {"relief": relief.detach(), "normals": normals.detach()}
    return weights.relief * relief + weights.normals * normals, terms


def _flat_points(relief: Float[Tensor, "C S S"]) -> Float[Tensor, "C S S 3"]:
    """Points in sides of the crop, one side in front of the eye, under parallel projection."""
    size = relief.shape[-1]
    place = (pixel_grid(size, size, like=relief) / size).expand(*relief.shape, 2)
    return torch.cat([place, 1 + relief[..., None]], dim=-1)


def train_crop_expert(
    stage: CropExpertStage,
    run_dir: Path,
    *,
    data: Path,
    resume: bool = False,
    minutes: float | None = None,
    validate: Validate | None = None,
) -> CropNet:
    """The network of the expert, trained.

    Args:
        data: depth and people by a name that ``open_source`` knows, or a folder to render the stage's world into.
    """
    source, _ = open_clips(stage.world, stage.num_clips, data)
    torch.manual_seed(stage.fit.seed)
    model = make_crop_net(stage)
    held_back = CropBatches(source, stage.net.size, stage.crops_per_step, seed=1, validates=True)

    def compute_loss(_: nn.Module, batch: CropBatch) -> tuple[Tensor, dict[str, Tensor]]:
        return crop_loss(model, batch, stage.losses)

    def score(_: nn.Module) -> dict[str, float]:
        rows = [crop_loss(model, held_back(i), stage.losses)[1] for i in range(4)]
        return {name: float(torch.stack([row[name] for row in rows]).mean()) for name in rows[0]}

    fit(
        model,
        compute_loss,
        CropBatches(source, stage.net.size, stage.crops_per_step),
        config=replace(stage.fit, minutes=minutes),
        run_dir=run_dir,
        resume=resume,
        validate=validate or score,
    )
    return model


def make_crop_net(stage: CropExpertStage) -> CropNet:
    """Untrained but for the encoder."""
    model = CropNet(stage.net)
    if stage.pretrained_encoder:
        shipped = UniSH.from_pretrained("small").scene
        assert isinstance(shipped, SmallScene)
        model.encoder.load_state_dict(shipped.encoder.state_dict())
    return model


def load_crop_expert(stage: CropExpertStage, run_dir: Path) -> CropExpert:
    """The expert of a run.

    Raises:
        InputError: there is no such run.
    """
    model = CropNet(stage.net)
    model.load_state_dict(load_run_weights(run_dir))
    return CropExpert(model)
