"""What Python programs call: one video, or many with models that are loaded once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unish.passes import Models
from unish.pipeline import run
from unish.settings import Settings
from unish.structs import Reconstruction
from unish.structs.progress import Progress


def reconstruct(path: str | Path, *, model: str = "small", **settings: Any) -> Reconstruction:
    """Video file or folder of images → metric scene, cameras and people.

    Keyword arguments are the fields of ``Settings``. For many videos, ``Reconstructor`` loads its models once.

    Raises:
        InputError: the input, a setting or the weights cannot give a result; the message says what to do.
    """
    return run(path, settings=Settings(model=model, **settings)).reconstruction


class Reconstructor:
    """``reconstruct`` for many videos, one after the other or from several threads: what it loads is loaded once.

    Args:
        model: see ``Settings``; loaded at once.
        device: see ``Settings``.
        body: see ``Settings``; loaded at once.
    """

    def __init__(self, model: str = "small", device: str = "auto", *, body: str = "free") -> None:
        self._defaults: dict[str, Any] = {"model": model, "device": device, "body": body}
        Settings(**self._defaults)  # says what is wrong with them
        self._models = Models()
        self._models.network(model, device)
        self._models.body(body)

    def run(self, path: str | Path, *, progress: Progress | None = None, **settings: Any) -> Reconstruction:
        """Keyword arguments are the fields of ``Settings``.

        Raises:
            InputError: see ``reconstruct``.
        """
        chosen = Settings(**(self._defaults | settings))
        return run(path, settings=chosen, models=self._models, progress=progress).reconstruction
