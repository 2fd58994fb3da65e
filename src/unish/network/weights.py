"""From a name or a path to the tensors of a network: where weights are, and reading them strictly."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from unish.assets.hub_names import CONFIG, HUB_NAME, PUBLISHED_FILE, PUBLISHED_REPOSITORY, WEIGHTS
from unish.errors import InputError
from unish.network.adapters import looks_published, name_from_published, name_to_published, to_published
from unish.network.checkpoint_files import list_weight_files
from unish.network.config import PRESETS, UniSHConfig
from unish.network.precision import WeightFormat, choose_formats
from unish.values import check_path

SHIPPED = Path(__file__).parent / "checkpoints"
"""Weights that come with the package, one folder per preset."""

_HOW_TO_GET_RELEASE = (
    f"the published weights do not come with this package; download {PUBLISHED_FILE} from the Hugging Face "
    f"repository {PUBLISHED_REPOSITORY} and give its path, or --model {PUBLISHED_REPOSITORY}"
)
_MOST_NAMES = 20  # in one message
_FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


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

    def load_into(self, model: nn.Module, device: str | torch.device, *, dtype: torch.dtype = torch.float32) -> None:
        """Give the model these tensors, in the formats that ``precision.choose_formats`` says.

        A model on the meta device takes tensors that have their format in the file as they lie there, mapped into
        memory; others are read and converted one by one. Any other model has the numbers copied into its own. Either
        way memory holds the weights once.

        Args:
            model: all of it on the meta device, or all of it with memory.
            device: where the tensors of a model on the meta device go; any other model stays where it is.
            dtype: in which the network computes.

        Raises:
            InputError: a file is broken, keys or shapes differ from the model's, or it cannot compute in this dtype.
        """
        formats = choose_formats(model, dtype)
        shapes: dict[str, tuple[int, ...]] = {}
        for path in self.files:
            shapes |= _read_shapes(path)
        expected: Mapping[str, Tensor] = model.state_dict()
        published = looks_published(shapes) and all(name_to_published(name) is not None for name in expected)
        check_fit(to_published(expected) if published else expected, shapes, self.files[0])

        translated = {name: name_from_published(name) if published else name for name in shapes}
        names = {name: ours for name, ours in translated.items() if ours is not None}
        by_stored_name = {name: formats[ours] for name, ours in names.items()}
        on_meta = all(parameter.is_meta for parameter in model.parameters())
        stored = (
            (names[name], tensor)
            for path in self.files
            for name, tensor in _read_tensors(path, device if on_meta else "cpu", by_stored_name)
        )
        if on_meta:
            model.load_state_dict(dict(stored), strict=True, assign=True)
        else:
            for name, tensor in stored:
                expected[name].copy_(tensor)


def find_weights(name_or_path: str | Path, revision: str | None = None) -> StoredWeights:
    """Where the weights of a name are; those on the hub are fetched.

    Args:
        name_or_path: ``small``; a folder with ``config.json`` and ``model.safetensors`` (or shards and their index), or
            with the published file alone; a ``.safetensors`` file (the published one, or one with its ``config.json``
            beside it); or ``OWNER/NAME``, or ``OWNER/NAME@REVISION``, on the Hugging Face hub. A name without ``/`` is
            never looked up online.
        revision: branch, tag or commit of the repository on the hub.

    Raises:
        InputError: there are none.
    """
    path = check_path("model", name_or_path)
    name = str(name_or_path)
    on_hub = re.fullmatch(HUB_NAME, name)
    if on_hub is not None and is_on_hub(name_or_path):
        if revision is not None and on_hub[2] is not None:
            raise InputError(f"model {name!r}: has a revision already; leave out {revision!r}")
        from unish.assets.hub import fetch_repository  # only here is the client of the hub needed

        path = fetch_repository(on_hub[1], revision or on_hub[2])
    elif revision is not None:
        raise InputError(f"model {name!r}: only OWNER/NAME of the hub has revisions; leave out {revision!r}")
    elif name in PRESETS and not path.exists():
        path = SHIPPED / name
        if not (path / CONFIG).is_file():
            reason = _HOW_TO_GET_RELEASE if name == "release" else "no weights come with this package"
            raise InputError(f"model {name!r}: {reason}")
    if path.is_dir():
        return _find_in_folder(path)
    if path.is_file():
        return _find_file(path)
    raise InputError(
        f"model {name!r}: no such file or folder; give small, a path, or OWNER/NAME of the Hugging Face hub"
    )


def is_on_hub(name_or_path: str | Path) -> bool:
    """Whether ``find_weights`` would take it for a name on the hub, and not for a file or a folder."""
    path = check_path("model", name_or_path)
    named = isinstance(name_or_path, str) and re.fullmatch(HUB_NAME, name_or_path) is not None
    return named and path.suffix != ".safetensors" and not path.exists()


def read_safetensors(path: Path, device: str | torch.device = "cpu") -> dict[str, Tensor]:
    """The tensors of a file, mapped into memory (on the CPU; copied to any other device).

    Raises:
        InputError: not a whole safetensors file.
    """
    try:
        return load_file(path, device=str(device))
    except (SafetensorError, OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def check_fit(expected: Mapping[str, Tensor], found: Mapping[str, tuple[int, ...]], where: Path) -> None:
    """Compare names and shapes: those of a network's tensors, and those in a file.

    Raises:
        InputError: naming what is missing, unexpected or of the wrong shape.
    """
    missing = sorted(expected.keys() - found.keys())
    extra = sorted(found.keys() - expected.keys())
    reshaped = [
        f"{name} {found[name]} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name] != tuple(tensor.shape)
    ]
    parts = [
        f"{len(names)} {kind} ({', '.join(names[:_MOST_NAMES])}{', …' if len(names) > _MOST_NAMES else ''})"
        for kind, names in (("missing", missing), ("unexpected", extra), ("of the wrong shape", reshaped))
        if names
    ]
    if parts:
        raise InputError(
            f"{where}: the weights do not fit the network: {'; '.join(parts)}; use weights made for this configuration"
        )


def _find_in_folder(folder: Path) -> StoredWeights:
    """Our layout; or, in a folder without a configuration, the published checkpoint."""
    lone = list(folder.glob("*.safetensors"))
    if not (folder / CONFIG).is_file() and len(lone) == 1:
        return _find_file(lone[0])
    files = list_weight_files(folder)
    for path in (folder / CONFIG, *files):
        if not path.is_file():
            raise InputError(f"{path}: missing; a model folder holds {CONFIG} and {WEIGHTS}")
    return StoredWeights(config=_read_config(folder / CONFIG), files=files)


def _find_file(path: Path) -> StoredWeights:
    if path.suffix not in (".safetensors", ".safetensor"):
        raise InputError(f"{path}: weights must be a .safetensors file or a folder that save_pretrained wrote")
    if looks_published(_read_shapes(path)):
        return StoredWeights(config=PRESETS["release"](), files=(path,))
    beside = path.with_name(CONFIG)
    if not beside.is_file():
        raise InputError(f"{path}: not the published weights, and no {CONFIG} beside it; keep the two files together")
    return StoredWeights(config=_read_config(beside), files=(path,))


def _read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes by name, from the head of a file alone."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _read_tensors(
    path: Path, device: str | torch.device, formats: Mapping[str, WeightFormat]
) -> Iterator[tuple[str, Tensor]]:
    """Those tensors of a file that have a format.

    They are mapped where they have it already, else read by themselves, so that no page stays mapped.
    """
    try:
        with (
            safe_open(path, framework="pt", device=str(device)) as mapped,
            safe_open(path, framework="pt", device=str(device), backend="pread") as read,
        ):
            for name in filter(formats.__contains__, mapped.keys()):
                kind = _FLOATS.get(mapped.get_slice(name).get_dtype())
                fits = kind is None or formats[name].holds(kind)
                yield name, mapped.get_tensor(name) if fits else formats[name].convert(read.get_tensor(name))
    except (SafetensorError, OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _read_config(path: Path) -> UniSHConfig:
    try:
        return UniSHConfig.from_json(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: unreadable ({error}); save or download the weights again") from None


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = str(error).splitlines()[0]
    return InputError(f"{path}: not a readable safetensors file ({reason}); download or save it again")
