"""What distillation reads again and again, computed once: inputs of the dense head, its first answer, expert depth.

Truth is never read, whatever the source has.

Legend: N frames, H×W stored pixels, h×w the working size of the scene branch.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from unish.errors import InputError
from unish.geometry.camera import resize_intrinsics, unproject
from unish.io import written_beside
from unish.lab.datasets import ClipSource
from unish.lab.training.data import degrade_images
from unish.lab.training.experts.protocol import DepthExpert, ExpertView
from unish.lab.training.stages.people_cache import hash_weights
from unish.network.dense_layers import DenseMaps
from unish.network.small_scene import DenseInputs, SmallScene, depth_from_log, working_size
from unish.structs.progress import Progress

_NEEDED = ("images", "ids")
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class DistillBatch:
    """B clips of N frames at the working size.

    Attributes:
        inputs: what the dense head reads.
        frozen_points, frozen_logits: its answer before the stage.
        expert_depth: 0 where the expert does not know.
        person_mask: pixels that show people.
    """

    inputs: DenseInputs
    frozen_points: Float[Tensor, "B N h w 3"]
    frozen_logits: Float[Tensor, "B N h4 w4"]
    expert_depth: Float[Tensor, "B N h w"]
    person_mask: Bool[Tensor, "B N h w"]


@torch.no_grad()
def describe_clip(
    model: SmallScene, expert: DepthExpert, images: Float[Tensor, "N 3 H W"], ids: Int[Tensor, "N H W"], *, clip: int
) -> dict[str, Tensor]:
    """All that is kept of one clip, by name.

    Args:
        model: in evaluation mode; its intrinsics are what the expert is told.
        clip: its number, which the expert is told.
    """
    size = (int(images.shape[-2]), int(images.shape[-1]))
    working = working_size(*size, model.config.long_side)
    inputs = model.encode_clip(images[None], None, working)
    dense = model.predict_dense(inputs)
    camera = resize_intrinsics(inputs.intrinsics[0], working, size)
    depth = expert.estimate(ExpertView(images=images, person_ids=ids, intrinsics=camera, clip=clip))
    described = {
        "images": (inputs.images[0] * 255).round().byte(),
        "hidden": inputs.hidden[0].half(),
        "intrinsics": inputs.intrinsics[0],
        "log_focal": inputs.log_focal[0],
        "frozen_depth": depth_from_log(dense.log_depth),
        "frozen_logits": dense.conf_logits,
        "expert_depth": _pick_nearest(depth, working),
        "person_mask": _pick_nearest(ids, working) >= 0,
        **{f"features_{level}": feature.half() for level, feature in enumerate(inputs.features)},
    }
    if inputs.prior_log_depth is not None:
        described["photo"] = inputs.prior_log_depth
    return {name: value.cpu().contiguous() for name, value in described.items()}


def _pick_nearest(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Values of the pixels that hold the centres of the new ones: depth is never averaged over an edge."""
    rows, columns = (
        ((torch.arange(wanted) + 0.5) * (stored / wanted)).long()
        for stored, wanted in zip(maps.shape[-2:], size, strict=True)
    )
    return maps[..., rows[:, None], columns]


def cache_clips(
    source: ClipSource,
    folder: Path,
    model: SmallScene,
    expert: DepthExpert,
    *,
    num_clips: int,
    num_frames: int,
    degrade: bool = False,
    progress: Progress | None = None,
) -> None:
    """Describe the first clips of a source into ``clip-*.safetensors``; those that are there are kept.

    Args:
        degrade: worsen the pictures first, for network and expert alike.

    Raises:
        InputError: the source has no person masks, or the folder holds clips described by another network or expert.
    """
    notes = source.describe()
    if missing := [name for name in _NEEDED if name not in notes.arrays]:
        raise InputError(f"{notes.name} has no {', '.join(missing)}: it cannot refine the surface of people")
    model.eval()
    folder.mkdir(parents=True, exist_ok=True)
    settings = f"{hash_weights(model)} {expert.key} {num_frames} {degrade}"
    total = min(num_clips, len(source))
    for index in range(total):
        path = folder / f"clip-{index:06d}.safetensors"
        if path.exists():
            _check_notes(path, settings)
        else:
            rng = np.random.default_rng([_SEED, index])
            arrays = source.load(index, rng, num_frames=num_frames)
            pictures = degrade_images(arrays["images"], rng) if degrade else arrays["images"]
            images = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255
            described = describe_clip(model, expert, images, torch.from_numpy(arrays["ids"]).long(), clip=index)
            with written_beside(path) as beside:
                save_file(described, beside, metadata={"described_by": settings})
        if progress is not None:
            progress("clips", index + 1, total)


def _check_notes(path: Path, settings: str) -> None:
    try:
        with safe_open(path, framework="pt") as clip:
            held = (clip.metadata() or {}).get("described_by")
    except SafetensorError as error:
        raise InputError(f"{path}: broken ({error}); delete it") from None
    if held != settings:
        raise InputError(f"{path}: described by another network or expert; delete {path.parent}")


class DistillClips:
    """Clips that ``cache_clips`` described.

    Raises:
        InputError: none of them shows a person that the expert knows.
    """

    def __init__(self, folder: Path) -> None:
        self._sizes: dict[tuple[int, ...], list[dict[str, Tensor]]] = defaultdict(list)
        for path in sorted(folder.glob("clip-*.safetensors")):
            clip = load_file(path)
            if (clip["person_mask"] & (clip["expert_depth"] > 0)).any():
                self._sizes[tuple(clip["person_mask"].shape)].append(clip)
        if not self._sizes:
            raise InputError(f"{folder}: the expert knows nobody in these clips; give it clips with larger people")

    def sample(self, seed: int, step: int, num_clips: int) -> DistillBatch:
        """Batch ``step`` of the endless draw ``seed``: clips of one size."""
        rng = np.random.default_rng([seed, step])
        groups = list(self._sizes.values())
        counts = np.array([len(group) for group in groups])
        group = groups[rng.choice(len(groups), p=counts / counts.sum())]
        return collate_clips([group[i] for i in rng.integers(len(group), size=num_clips)])


def collate_clips(clips: list[dict[str, Tensor]]) -> DistillBatch:
    """Described clips of one size as a batch."""
    arrays = {name: torch.stack([clip[name] for clip in clips]) for name in clips[0]}
    levels = sum(name.startswith("features_") for name in arrays)
    return DistillBatch(
        inputs=DenseInputs(
            images=arrays["images"].float() / 255,
            hidden=arrays["hidden"].float(),
            features=[arrays[f"features_{level}"].float().flatten(0, 1) for level in range(levels)],
            prior_log_depth=arrays["photo"].flatten(0, 1) if "photo" in arrays else None,
            intrinsics=arrays["intrinsics"],
            log_focal=arrays["log_focal"],
        ),
        frozen_points=unproject(arrays["frozen_depth"], arrays["intrinsics"]),
        frozen_logits=arrays["frozen_logits"],
        expert_depth=arrays["expert_depth"],
        person_mask=arrays["person_mask"],
    )


def place_maps(dense: DenseMaps, inputs: DenseInputs) -> tuple[Float[Tensor, "B N h w 3"], Float[Tensor, "B N h4 w4"]]:
    """Points in the camera and confidence logits from what the dense head says about a batch."""
    shape = inputs.intrinsics.shape[:2]
    depth = depth_from_log(dense.log_depth).unflatten(0, shape)
    return unproject(depth, inputs.intrinsics), dense.conf_logits.unflatten(0, shape)
