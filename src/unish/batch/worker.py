"""The process of a worker: tasks come on standard input, what became of them goes to standard output.

``python -m unish.batch.worker MODULE:FUNCTION``, which is started by ``unish.batch.local``. Each message is a pickle.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from importlib import import_module


def main(function: str) -> None:
    """Work until the other end is closed."""
    # Ctrl-C goes to all processes of a terminal; when to end is decided by the one that hands out the tasks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what is printed does not get between the answers
        module, _, name = function.partition(":")
        work = getattr(import_module(module), name)
        while True:
            try:
                task = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            pickle.dump(work(task), answers)
            answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
