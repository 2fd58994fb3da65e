"""Start a network from the weights of others: π³ for the scene branch, ViTPose or CameraHMR for the human backbone."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from unish.errors import InputError
from unish.network.adapters import VITPOSE_BACKBONE, name_to_pi3, name_to_vitpose
from unish.network.human.crop_branch import CropBranchConfig
from unish.network.release_scene import ReleaseSceneConfig
from unish.network.unish import UniSH
from unish.network.weights import check_fit, read_safetensors


@dataclass(frozen=True, kw_only=True)
class Initialisation:
    """What a foreign checkpoint gave to a network.

    Attributes:
        source: the file.
        loaded: tensors of the network (our names) that now have its numbers.
        kept: tensors of the network that stayed as they were.
        unused: tensors of the file (its own names) that have no place in the network.
    """

    source: Path
    loaded: tuple[str, ...]
    kept: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.source.name}: loaded {_count_parts(self.loaded)}; "
            f"stayed at their initialisation: {_count_parts(self.kept)}; not used: {_count_parts(self.unused)}"
        )


def initialise_scene(model: UniSH, path: str | Path) -> Initialisation:
    """Give the published scene branch the weights of π³ (Wang et al. 2025), all of them.

    Args:
        model: changed in place; its human branch and AlignNet stay as they are.
        path: ``.safetensors``, or a PyTorch checkpoint that holds nothing but tensors and plain values.

    Raises:
        InputError: the file is broken, or does not hold exactly the tensors of the scene branch; or the network has
            another scene branch.
    """
    if not isinstance(model.config.scene, ReleaseSceneConfig):
        raise InputError(f"{path}: the network {model.config.name!r} has no π³ scene branch; use the release preset")
    return _initialise(model, Path(path), name_to_pi3, foreign_prefix="")


def initialise_backbone(model: UniSH, path: str | Path) -> Initialisation:
    """Give the ViT-H of the crop branch the weights of ViTPose, HMR 2.0 or CameraHMR; their heads are not used.

    Args:
        model: changed in place; everything but ``human.backbone`` stays as it is.
        path: ``.safetensors``, or a PyTorch checkpoint that holds nothing but tensors and plain values.

    Raises:
        InputError: the file is broken, or the backbone in it is another one; or the network has another human branch.
    """
    if not isinstance(model.config.human, CropBranchConfig):
        raise InputError(f"{path}: the network {model.config.name!r} has no ViT backbone; use the release preset")
    return _initialise(model, Path(path), name_to_vitpose, foreign_prefix=VITPOSE_BACKBONE)


def _initialise(
    model: UniSH, path: Path, to_foreign: Callable[[str], str | None], *, foreign_prefix: str
) -> Initialisation:
    """Fill the tensors that have a foreign name; all of these, and no others with the prefix, must be in the file."""
    own = model.state_dict()
    foreign_names = {name: foreign for name in own if (foreign := to_foreign(name)) is not None}
    state = _read_checkpoint(path)
    found = {name: tensor for name, tensor in state.items() if name.startswith(foreign_prefix)}
    shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
    check_fit({foreign: own[name] for name, foreign in foreign_names.items()}, shapes, path)
    model.load_state_dict({name: found[foreign] for name, foreign in foreign_names.items()}, strict=False)
    return Initialisation(
        source=path,
        loaded=tuple(foreign_names),
        kept=tuple(name for name in own if name not in foreign_names),
        unused=tuple(name for name in state if name not in found),
    )


def _read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Tensors by name, out of ``state_dict`` or ``model`` where the file has such an entry."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a .safetensors file or a PyTorch checkpoint")
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    try:
        content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, OSError):
        raise InputError(
            f"{path}: cannot be read without running code from it, or is broken; save its tensors as .safetensors"
        ) from None
    for wrapper in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: holds no tensors by name; save a state dict as .safetensors")
    return {name: value for name, value in content.items() if isinstance(value, Tensor)}


def _count_parts(names: tuple[str, ...]) -> str:
    """``384 of scene.encoder, 2 of align.scale``: tensors per part, a part being two levels of names."""
    counts = Counter(".".join(name.split(".")[:2]) for name in names)
    return ", ".join(f"{count} of {part}" for part, count in counts.items()) or "nothing"
