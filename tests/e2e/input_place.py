"""Where the tests of inputs work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a test works: an empty folder, a good video, and weights of a network that is small and knows nothing."""

    folder: Path
    video: Path
    model: Path

    def options(self, **changes: str) -> list[str]:
        """Scene only, so that no model of the people stage is needed."""
        chosen = {"out": str(self.folder / "out"), "model": str(self.model), "people": "0", "max-frames": "3"} | changes
        return [f"--{name}={value}" for name, value in chosen.items()]

    def command(self, source: Path | None = None, **changes: str) -> list[str]:
        return ["reconstruct", str(source or self.video), *self.options(**changes)]
