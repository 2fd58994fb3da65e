"""Work that follows a timeline: only the newest step matters, whatever comes in while the last is being drawn."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Follower:
    """Calls ``arrive(step, step_before)`` in a thread of its own, for the newest step that is wanted.

    Steps that are passed by while one is at work are left out: a slow window stays in time and skips frames.
    """

    def __init__(self, arrive: Callable[[int, int], None]) -> None:
        self.step = 0
        self._arrive = arrive
        self._wanted: int | None = None
        self._stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def go_to(self, step: int) -> None:
        with self._changed:
            self._wanted = step
            self._changed.notify()

    def again(self) -> None:
        """The same step once more, since what is shown of it has changed."""
        with self._changed:
            self._wanted = self.step if self._wanted is None else self._wanted
            self._changed.notify()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._wanted is not None)
                if self._stopped:
                    return
                assert self._wanted is not None
                before, self.step, self._wanted = self.step, self._wanted, None
            self._arrive(self.step, before)
