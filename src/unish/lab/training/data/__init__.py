"""From clips to training batches."""

from unish.lab.datasets.resize import resize_clip
from unish.lab.training.data.augment import degrade_images, filter_randomly, mirror_clip
from unish.lab.training.data.batches import SceneBatch, SceneBatches, SceneDataConfig, SceneShards
from unish.lab.training.data.workers import BatchWorkers, run_ahead

__all__ = [
    "BatchWorkers",
    "SceneBatch",
    "SceneBatches",
    "SceneDataConfig",
    "SceneShards",
    "degrade_images",
    "filter_randomly",
    "mirror_clip",
    "resize_clip",
    "run_ahead",
]
