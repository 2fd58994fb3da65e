"""Many videos: a list of them, processes or a cluster that work on it, and a record of what became of each."""

from unish.batch.cluster import RayEngine
from unish.batch.local import LocalEngine, choose_workers
from unish.batch.manifest import Row, read_manifests
from unish.batch.run import Engine, Summary, choose_shard, run_batch
from unish.batch.tasks import Outcome, Task, do_task

__all__ = [
    "Engine",
    "LocalEngine",
    "Outcome",
    "RayEngine",
    "Row",
    "Summary",
    "Task",
    "choose_shard",
    "choose_workers",
    "do_task",
    "read_manifests",
    "run_batch",
]
