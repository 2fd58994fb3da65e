"""Tasks on a Ray cluster, or on this machine where none is named by ``RAY_ADDRESS``."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from unish.batch.local import ATTEMPTS, module_path
from unish.batch.tasks import Outcome, Task, do_task, fail
from unish.errors import InputError


@dataclass(frozen=True, kw_only=True)
class RayEngine:
    """Runs tasks as those of Ray; see ``unish.batch.run.Engine``. All machines see the same files under the same paths.

    Attributes:
        threads: of a task; Ray runs as many tasks on a machine as it has cores for.
        on_gpu: a task takes one GPU.
        at_once: at most so many tasks at once; ``None`` leaves it to Ray.
        function: takes a task and gives its outcome.
    """

    threads: int = 1
    on_gpu: bool = False
    at_once: int | None = None
    function: Callable[[Task], Outcome] = do_task

    def run(self, tasks: Sequence[Task]) -> Generator[Outcome]:
        """What became of each task, as it ends. Leaving the iteration early ends the workers at once.

        Raises:
            InputError: Ray is not installed, or its cluster cannot be reached.
        """
        ray = _import_ray()
        ours = not ray.is_initialized()
        if ours:
            _connect(ray, self.threads)
        # Processes of Ray stay for the next task of the same function, and so do their models. A task is begun anew
        # when its process or machine is lost, and not when the function raises.
        remote = ray.remote(
            num_cpus=self.threads, num_gpus=int(self.on_gpu), max_retries=ATTEMPTS - 1, retry_exceptions=False
        )(self.function)
        waiting, running = list(reversed(tasks)), dict[Any, Task]()
        try:
            while waiting or running:
                while waiting and (self.at_once is None or len(running) < self.at_once):
                    task = waiting.pop()
                    running[remote.remote(task)] = task
                ended, _ = ray.wait(list(running), num_returns=1)
                for reference in ended:
                    yield _outcome(ray, reference, running.pop(reference))
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
            if ours:
                ray.shutdown()


def _import_ray() -> Any:
    try:
        return import_module("ray")
    except ImportError:
        raise InputError("--engine ray needs Ray: pip install 'unish[cluster]'") from None


def _connect(ray: Any, threads: int) -> None:
    variables = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    local = not os.environ.get("RAY_ADDRESS")
    if local:
        variables["PYTHONPATH"] = module_path()
    try:
        ray.init(
            log_to_driver=False, logging_level="error", runtime_env={"env_vars": variables},
            **({"include_dashboard": False} if local else {}),
        )  # fmt: skip
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"the Ray cluster cannot be reached ({error}); check RAY_ADDRESS") from None


def _outcome(ray: Any, reference: Any, task: Task) -> Outcome:
    try:
        outcome: Outcome = ray.get(reference)
    except ray.exceptions.RayError as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else ""
        return fail(task, f"its worker on the cluster was lost {ATTEMPTS} times: {type(error).__name__} {first}")
    return outcome
