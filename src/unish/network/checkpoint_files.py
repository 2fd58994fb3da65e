"""The layout of weights on disk: ``config.json`` beside ``model.safetensors``, or beside shards and their index."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from unish.assets.hub_names import CONFIG, INDEX, WEIGHTS
from unish.errors import InputError
from unish.network.config import UniSHConfig


def list_weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a model folder, which need not exist: the shards of the index, or the one file.

    Raises:
        InputError: the index is broken.
    """
    index = folder / INDEX
    return tuple(folder / name for name in read_shard_names(index)) if index.is_file() else (folder / WEIGHTS,)


def read_shard_names(index: Path) -> list[str]:
    """File names that an index lists, sorted.

    Raises:
        InputError: not an index, or a name in it leads out of its folder.
    """
    try:
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        inside = all(Path(name).name == name for name in names)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        names, inside = [], False
    if not names or not inside:
        raise InputError(f"{index}: not a shard index; save or download the weights again")
    return names


def save_weights(
    config: UniSHConfig,
    state: Mapping[str, Tensor],
    folder: str | Path,
    *,
    dtype: torch.dtype | None,
    max_shard_size: str | int,
) -> None:
    """Write the configuration and the tensors into ``folder``; weights that are there already are replaced.

    Everything is written into a folder beside the final place and then moved, the configuration last. A cut leaves the
    old weights, the new ones, or a folder without a configuration, which cannot be mistaken for a model.

    Raises:
        InputError: the folder cannot be written.
    """
    import huggingface_hub  # a tenth of a second that a run need not wait

    folder = Path(folder)
    tensors = {name: _cast(tensor.detach().cpu(), dtype) for name, tensor in state.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as beside:
            huggingface_hub.save_torch_state_dict(tensors, beside, max_shard_size=max_shard_size)
            Path(beside, CONFIG).write_text(config.to_json())
            _replace_weights(folder, Path(beside))
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise InputError(f"{folder}: weights cannot be written there ({reason}); give another folder") from None


def _replace_weights(folder: Path, written: Path) -> None:
    for stale in [folder / CONFIG, folder / INDEX, *folder.glob("model*.safetensors")]:
        stale.unlink(missing_ok=True)
    for path in sorted(written.iterdir(), key=lambda path: path.name == CONFIG):
        path.replace(folder / path.name)


def _cast(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor
