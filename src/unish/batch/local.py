"""Worker processes on this machine: each loads its models once, and a new one takes the place of one that is killed."""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from unish.batch.tasks import Outcome, Task, do_task, fail

ATTEMPTS = 2
"""A task whose worker was killed is begun once more: its video may be the reason, or what else the machine did."""
_MEMORY_PER_WORKER = 3 * 2**30
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def choose_workers(num_tasks: int, device: str, workers: int | None, threads: int | None) -> tuple[int, int, list[str]]:
    """How many workers with how many threads each, and the GPUs that they share out among them.

    One worker for each GPU; without one, or with ``device`` cpu, one for each core that 3 GiB of memory are there for,
    since two processes of one thread do more than one process of two. Threads are what the cores allow.

    Args:
        workers, threads: what the user wants; ``None`` chooses.

    Returns:
        Workers, threads of each, names of GPUs (as ``CUDA_VISIBLE_DEVICES`` has them).
    """
    gpus = [] if device in ("cpu", "mps") else _visible_gpus()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers is None:
        fitting = max(1, _memory() // _MEMORY_PER_WORKER)
        workers = min(len(gpus) or (1 if device == "mps" else min(cores, fitting)), max(1, num_tasks))
    if threads is None:
        wanted = os.environ.get("OMP_NUM_THREADS", "")
        threads = int(wanted) if wanted.isdecimal() and int(wanted) else max(1, cores // workers)
    return workers, threads, gpus


def _visible_gpus() -> list[str]:
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    found = range(torch.cuda.device_count())
    return [str(index) for index in found] if named is None else [one.strip() for one in named.split(",")][: len(found)]


def _memory() -> int:
    """Bytes that the machine has; where it does not tell, as much as two workers need."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 2 * _MEMORY_PER_WORKER


def module_path() -> str:
    """``PYTHONPATH`` with which another process finds the modules that this one does."""
    return os.pathsep.join(place or str(Path.cwd()) for place in sys.path)


@dataclass
class LocalEngine:
    """Runs tasks in processes of this machine; see ``unish.batch.run.Engine``.

    Attributes:
        workers, threads: how many processes, and threads in each.
        gpus: names for ``CUDA_VISIBLE_DEVICES``, handed out in turn; none leaves the variable as it is.
        function: takes a task and gives its outcome; of a module, so that a process can import it.
    """

    workers: int = 1
    threads: int = 1
    gpus: Sequence[str] = ()
    function: str = f"{do_task.__module__}:{do_task.__name__}"
    _running: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    _ending: threading.Event = field(default_factory=threading.Event)

    def run(self, tasks: Sequence[Task]) -> Generator[Outcome]:
        """What became of each task, as it ends. Leaving the iteration early ends the workers at once."""
        waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
        told: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        for task in tasks:
            waiting.put(task)
        self._ending.clear()
        threads = [
            threading.Thread(target=self._tend, args=(number, waiting, told), daemon=True)
            for number in range(min(self.workers, len(tasks)))
        ]
        for thread in threads:
            thread.start()
        try:
            for _ in tasks:
                outcome = told.get()
                if isinstance(outcome, BaseException):
                    raise outcome
                yield outcome
        finally:
            self._ending.set()
            for process in list(self._running.values()):
                process.terminate()
            for thread in threads:
                thread.join()

    def _tend(
        self, number: int, waiting: queue.SimpleQueue[Task], told: queue.SimpleQueue[Outcome | BaseException]
    ) -> None:
        """Give one worker after the other its tasks."""
        try:
            while not self._ending.is_set():
                try:
                    task = waiting.get_nowait()
                except queue.Empty:
                    return
                told.put(self._try(number, task))
        except BaseException as error:
            told.put(error)
        finally:
            self._end(number)

    def _try(self, number: int, task: Task) -> Outcome:
        for attempt in range(1, ATTEMPTS + 1):
            process = self._running.get(number) or self._start(number)
            outcome = _ask(process, task)
            if outcome is not None:
                return replace(outcome, attempts=attempt)
            code = self._end(number)
            if self._ending.is_set():
                break
        return fail(task, f"its worker process ended {ATTEMPTS} times, {_describe_end(code)}", attempts=attempt)

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        variables = dict.fromkeys(_THREAD_VARIABLES, str(self.threads))
        variables["PYTHONPATH"] = module_path()
        if self.gpus:
            variables["CUDA_VISIBLE_DEVICES"] = self.gpus[number % len(self.gpus)]
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "unish.batch.worker", self.function],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | variables,
        )  # fmt: skip
        self._running[number] = process
        if self._ending.is_set():  # it was not there when the others were ended
            process.terminate()
        return process

    def _end(self, number: int) -> int:
        """Let the worker end if it is there; its exit code."""
        process = self._running.get(number)
        if process is None:
            return 0
        assert process.stdin is not None and process.stdout is not None
        with suppress(OSError):
            process.stdin.close()
        code = process.wait()
        process.stdout.close()
        del self._running[number]
        return code


def _ask(process: subprocess.Popen[bytes], task: Task) -> Outcome | None:
    """The worker's answer; ``None`` if it ended before it gave one."""
    assert process.stdin is not None and process.stdout is not None
    try:
        pickle.dump(task, process.stdin)
        process.stdin.flush()
        answer: Outcome = pickle.load(process.stdout)
    except (EOFError, OSError, pickle.UnpicklingError):
        return None
    return answer


def _describe_end(code: int) -> str:
    if code == -signal.SIGKILL:
        return "by SIGKILL, as when the memory is used up; use fewer workers, a smaller size, or fewer frames"
    if code < 0:
        return f"by {signal.Signals(-code).name}; run it alone with `unish reconstruct` and report what that says"
    return f"with exit code {code}; run it alone with `unish reconstruct` and report what that says"
