"""Models of the Hugging Face library ``transformers`` (extra ``experts``), from the hub or a folder.

Only its model classes are used. Its image processors want torchvision, which does not come with this package.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from unish.assets.hub_names import CONFIG, HUB_NAME
from unish.errors import InputError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of RGB in [0, 1]: how most of these models were shown their pictures."""


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """Weights that were found, not read yet.

    Attributes:
        name: as the user gave them.
        folder: where ``config.json`` and the safetensors files lie.
        config: what ``config.json`` says.
    """

    name: str
    folder: Path
    config: dict[str, Any]

    @cached_property
    def fingerprint(self) -> str:
        """Name, sha256 of the configuration and all weights, and the version of the library that computes."""
        digest = hashlib.sha256()
        for path in (self.folder / CONFIG, *sorted(self.folder.glob("*.safetensors"))):
            with path.open("rb") as file:
                while block := file.read(1 << 22):
                    digest.update(block)
        return f"{self.name} sha256:{digest.hexdigest()} transformers {name_version('transformers')}"

    def load(self, class_name: str, device: str) -> Any:
        """The model, ready for inference.

        Args:
            class_name: of the model in ``transformers``.

        Raises:
            InputError: the library is missing, or the weights are not those of this class.
        """
        transformers = import_transformers(self.name)
        transformers.utils.logging.disable_progress_bar()
        transformers.utils.logging.set_verbosity_error()
        try:
            model, report = getattr(transformers, class_name).from_pretrained(
                self.folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
        except Exception as error:  # whatever a file that is not what it should be leads to
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"{self.name}: cannot be read as {class_name} ({reason}); fetch the weights again"
            ) from None
        if missing := sorted(report["missing_keys"]):
            raise InputError(f"{self.name}: {len(missing)} tensors of {class_name} are missing, the first {missing[0]}")
        return model.to(device).eval().requires_grad_(False)


def import_transformers(needed_for: str) -> Any:
    """The library.

    Raises:
        InputError: it is not installed; the message names the extra.
    """
    try:
        import transformers
    except ImportError:
        raise InputError(f"{needed_for}: needs transformers: pip install 'unish[experts]'") from None
    return transformers


def name_version(package: str) -> str:
    """The version of a package that may be there without being installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


def find_pretrained(weights: str, model_types: Collection[str]) -> Pretrained:
    """Where weights are; those on the hub are fetched.

    Args:
        weights: folder, or ``OWNER/NAME[@REVISION]``.
        model_types: which kinds of models will do, as ``config.json`` names them.

    Raises:
        InputError: the library is missing, there are no such weights, or they are of another kind.
    """
    import_transformers(weights)
    folder, on_hub = Path(weights), re.fullmatch(HUB_NAME, weights)
    if not folder.exists() and on_hub is not None:
        from unish.assets.hub import fetch_repository  # only here is the client of the hub needed

        folder = fetch_repository(on_hub[1], on_hub[2])
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        kind = config.get("model_type")
    except (OSError, ValueError, AttributeError):
        raise InputError(f"{weights}: no folder with a {CONFIG}, and no OWNER/NAME of the hub; give one") from None
    if kind not in model_types:
        raise InputError(f"{weights}: is a model of type {kind!r}; wanted is {' or '.join(sorted(model_types))}")
    if not any(folder.glob("*.safetensors")):
        raise InputError(f"{weights}: has no safetensors file; convert its weights, or give others")
    return Pretrained(name=weights, folder=folder, config=config)
