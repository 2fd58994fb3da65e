"""Progress bars with stage names."""

from __future__ import annotations

import sys

from tqdm import tqdm


class Bars:
    """One progress bar per stage, on a terminal only. Fits ``unish.structs.progress.Progress``."""

    def __init__(self, *, quiet: bool) -> None:
        self._shown = not quiet and sys.stderr.isatty()
        self._bar: tqdm | None = None
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if not self._shown:
            return
        if stage != self._stage or self._bar is None:
            self.close()
            self._stage = stage
            self._bar = tqdm(desc=f"{stage:16s}", total=total, file=sys.stderr, leave=True, dynamic_ncols=True)
        if total is not None and self._bar.total != total and not (done == total == 1):
            self._bar.total = total
        if self._bar.total is not None and done == total == 1:
            done = self._bar.total  # the end of a stage, announced as 1 of 1
        self._bar.update(max(0, done - self._bar.n))
        self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def make_progress(*, quiet: bool = False) -> Bars:
    """Progress on standard error: silent when that is not a terminal, or when ``quiet``."""
    return Bars(quiet=quiet)
