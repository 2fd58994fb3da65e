"""Progress bars with stage names."""

from __future__ import annotations

import sys

from tqdm import tqdm

_COUNTED = "{desc} {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt}  {elapsed}, {remaining} left"
_DONE = "{desc} {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt}  {elapsed}"
_UNCOUNTED = "{desc} {elapsed}"
"""Of a stage that does not say how many steps it has: how long it has been going on."""


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
            self._bar = tqdm(
                desc=f"{stage:16s}", total=total, file=sys.stderr, leave=True, dynamic_ncols=True, bar_format=_UNCOUNTED
            )
        bar = self._bar
        ended = done == total == 1  # the end of a stage, announced as 1 of 1
        if ended:
            done = bar.total or 1
        else:
            bar.total = total if total is not None else bar.total
        if bar.total is not None:
            bar.bar_format = _DONE if ended else _COUNTED
        bar.update(max(0, done - bar.n))
        bar.refresh()

    def say(self, sentence: str) -> None:
        """A line above the bar of the stage that goes on, such as that a file is fetched."""
        if self._shown:
            tqdm.write(sentence, file=sys.stderr)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def make_progress(*, quiet: bool = False) -> Bars:
    """Progress on standard error: silent when that is not a terminal, or when ``quiet``."""
    return Bars(quiet=quiet)
