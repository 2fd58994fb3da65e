"""Weights on disk: ``config.json`` beside ``model.safetensors``, where to find them, and strict reading."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
import torch
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from unish.errors import InputError
from unish.network.adapters import UNUSED_COPIES, looks_published, name_from_published
from unish.network.config import PRESETS, UniSHConfig

SHIPPED = Path(__file__).parent / "checkpoints"
"""Weights that come with the package, one folder per preset."""

_CONFIG, _WEIGHTS, _INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
_HOW_TO_GET_RELEASE = (
    "the published weights do not come with this package; download unish_release.safetensors from the Hugging Face "
    "repository Murphyyyy/UniSH and give its path, or --model Murphyyyy/UniSH"
)


@dataclass(frozen=True, kw_only=True)
class StoredWeights:
    """Weights that were found, not read yet.

    Attributes:
        config: of the network that they belong to.
        files: one safetensors file, or several shards.
    """

    config: UniSHConfig
    files: tuple[Path, ...]

    def fingerprint(self) -> str:
        """Name and sha256 of the files, to write beside results."""
        digest = hashlib.sha256()
        for path in self.files:
            with path.open("rb") as file:
                while block := file.read(1 << 22):
                    digest.update(block)
        return f"{self.config.name} sha256:{digest.hexdigest()}"

    def load_into(self, model: nn.Module, device: str | torch.device) -> None:
        """Give the model these tensors as float32, without a second copy of the model's own.

        Raises:
            InputError: a file is broken, or keys or shapes differ from the model's.
        """
        state: dict[str, Tensor] = {}
        for path in self.files:
            state |= _read_file(path, device)
        where = str(self.files[0])
        if looks_published(state):
            state = _from_published(state, where)
        _check_fit(model.state_dict(), state, where)
        state = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
        model.load_state_dict(state, strict=True, assign=True)


def find_weights(name_or_path: str | Path) -> StoredWeights:
    """Where the weights of a name are.

    Args:
        name_or_path: ``small``; a folder with ``config.json`` and ``model.safetensors``; a ``.safetensors`` file (the
            published one, or one with its ``config.json`` beside it); or ``OWNER/NAME`` on the Hugging Face hub. A name
            without ``/`` is never looked up online.

    Raises:
        InputError: there are none.
    """
    path = Path(name_or_path)
    name = str(name_or_path)
    if name in PRESETS and not path.exists():
        shipped = SHIPPED / name
        if (shipped / _CONFIG).is_file():
            return _find_in_folder(shipped)
        reason = _HOW_TO_GET_RELEASE if name == "release" else "no weights come with this package"
        raise InputError(f"model {name!r}: {reason}")
    if path.is_dir():
        return _find_in_folder(path)
    if path.is_file():
        return _find_file(path)
    if isinstance(name_or_path, str) and re.fullmatch(r"[\w.-]+/[\w.-]+", name) and path.suffix != ".safetensors":
        return _find_on_hub(name)
    raise InputError(
        f"model {name!r}: no such file or folder; give small, a path, or OWNER/NAME of the Hugging Face hub"
    )


def save_weights(
    config: UniSHConfig, state: Mapping[str, Tensor], folder: str | Path, *, dtype: torch.dtype | None, shard_size: str
) -> None:
    """Write ``config.json`` and ``model.safetensors`` (shards and an index above ``shard_size``) into ``folder``.

    Everything is written into a folder beside and then moved, so a cut leaves no half-written weights.
    """
    folder = Path(folder)
    beside = folder / ".saving"
    beside.mkdir(parents=True, exist_ok=True)
    tensors = {name: _cast(tensor.detach().cpu(), dtype) for name, tensor in state.items()}
    huggingface_hub.save_torch_state_dict(tensors, beside, max_shard_size=shard_size)
    (beside / _CONFIG).write_text(config.to_json())
    for stale in [*folder.glob("model*.safetensors"), folder / _INDEX]:
        stale.unlink(missing_ok=True)
    for written in beside.iterdir():
        written.replace(folder / written.name)
    beside.rmdir()


def _cast(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor


def _find_in_folder(folder: Path) -> StoredWeights:
    if (folder / _INDEX).is_file():
        try:
            shards = sorted(set(json.loads((folder / _INDEX).read_text())["weight_map"].values()))
        except (ValueError, KeyError, AttributeError):
            raise InputError(f"{folder / _INDEX}: not a shard index; save or download the weights again") from None
        files = tuple(folder / shard for shard in shards)
    else:
        files = (folder / _WEIGHTS,)
    for path in (folder / _CONFIG, *files):
        if not path.is_file():
            raise InputError(f"{path}: missing; a model folder holds {_CONFIG} and {_WEIGHTS}")
    return StoredWeights(config=_read_config(folder / _CONFIG), files=files)


def _find_file(path: Path) -> StoredWeights:
    if path.suffix not in (".safetensors", ".safetensor"):
        raise InputError(f"{path}: weights must be a .safetensors file or a folder that save_pretrained wrote")
    beside = path.with_name(_CONFIG)
    if beside.is_file():
        return StoredWeights(config=_read_config(beside), files=(path,))
    return StoredWeights(config=PRESETS["release"](), files=(path,))


def _find_on_hub(repository: str) -> StoredWeights:
    """Our layout, or a repository whose only safetensors file is the published checkpoint."""
    try:
        names = huggingface_hub.list_repo_files(repository)
        wanted = [name for name in names if re.fullmatch(r"config\.json|model.*\.safetensors(\.index\.json)?", name)]
        if _CONFIG in wanted:
            paths = [Path(huggingface_hub.hf_hub_download(repository, name)) for name in wanted]
            return _find_in_folder(paths[0].parent)
        foreign = [name for name in names if name.endswith(".safetensors")]
        if len(foreign) != 1:
            raise InputError(f"model {repository!r}: the repository holds neither {_CONFIG} nor one .safetensors file")
        return _find_file(Path(huggingface_hub.hf_hub_download(repository, foreign[0])))
    except RepositoryNotFoundError:
        raise InputError(f"model {repository!r}: no such repository on the Hugging Face hub; check the name") from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"model {repository!r}: could not be fetched ({reason}); check the network or give a path"
        ) from None


def _read_config(path: Path) -> UniSHConfig:
    try:
        return UniSHConfig.from_json(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: unreadable ({error}); save or download the weights again") from None


def _read_file(path: Path, device: str | torch.device) -> dict[str, Tensor]:
    try:
        return load_file(path, device=str(device))
    except (SafetensorError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not a readable safetensors file ({reason}); download or save it again") from None


def _from_published(state: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Our names for the published ones; the unused copies must be there and are dropped."""
    translated, unknown = {}, []
    for published, tensor in state.items():
        name = name_from_published(published)
        if name is not None:
            translated[name] = tensor
        elif published not in UNUSED_COPIES:
            unknown.append(published)
    missing = [name for name in UNUSED_COPIES if name not in state]
    if unknown or missing:
        raise InputError(_describe_mismatch(where, missing, unknown, []))
    return translated


def _check_fit(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], where: str) -> None:
    missing = sorted(expected.keys() - found.keys())
    extra = sorted(found.keys() - expected.keys())
    reshaped = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    if missing or extra or reshaped:
        raise InputError(_describe_mismatch(where, missing, extra, reshaped))


def _describe_mismatch(where: str, missing: list[str], extra: list[str], reshaped: list[str]) -> str:
    parts = [
        f"{len(names)} {kind} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
        for kind, names in (("missing", missing), ("unexpected", extra), ("of the wrong shape", reshaped))
        if names
    ]
    return (
        f"{where}: the weights do not fit the network: {'; '.join(parts)}; use weights and config of the same version"
    )
