"""What becomes of ``preview.mp4`` when a result is edited.

A film shows one result, and to draw it takes longer than the edit. So it is drawn when somebody asks for it, none stays
beside a result that it does not show, and that of the first run is kept with the observations until all edits are taken
back.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unish.io import WorkFolder, written_beside
from unish.passes.outputs import FILE, PREVIEW
from unish.passes.stored_observations import FOLDER as OBSERVATIONS
from unish.version import __version__

Edits = Sequence[dict[str, Any]]
"""As ``edits`` of report.json lists them."""


@dataclass(frozen=True, kw_only=True)
class Films:
    """The films of a result that gets other edits.

    Attributes:
        beside: beside the result; first: where that of the first run is kept. Either may be missing.
        shown: the edits that the result has had, so that the film beside it shows them.
        known: this version has made all of the run and the result: what the same edits give, it gives again.
    """

    beside: Path
    first: Path
    shown: Edits
    known: bool

    @classmethod
    def of(cls, out: Path, edits: Edits, version: str) -> Films:
        """Of the result in ``out``, which has these edits and which a run of this ``version`` has begun."""
        with np.load(out / FILE, allow_pickle=False) as file:
            known = version == str(file["version"]) == __version__
        return cls(beside=out / PREVIEW, first=out / OBSERVATIONS / PREVIEW, shown=edits, known=known)

    def find(self, wanted: Edits) -> Path | None:
        """A film that shows the result with the ``wanted`` edits."""
        candidates = {self.beside: wanted == self.shown, self.first: not wanted}
        return next((path for path, shows in candidates.items() if self.known and shows and path.is_file()), None)

    def put_beside(self, work: WorkFolder, film: Path | None, wanted: Edits, names: list[str]) -> list[str]:
        """Let the result in ``work`` have the ``film``, or none but what was drawn with it.

        Args:
            wanted: the edits that it has.
            names: of its files.

        Returns:
            ``names``, and that of the film.
        """
        if wanted and not self.shown and self.known and self.beside.is_file():
            with written_beside(self.first) as kept:
                shutil.copyfile(self.beside, kept)
        if PREVIEW in names:
            return names
        if film is None:
            (work.going / PREVIEW).touch()
            return names
        if film != self.beside:
            shutil.copyfile(film, work.making / PREVIEW)
        return [PREVIEW, *names]
