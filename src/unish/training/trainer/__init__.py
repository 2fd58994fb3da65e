"""A resumable trainer: one model, one loss, one or many processes; what it trains comes from the recipe."""

from unish.training.trainer.checkpoint import load_run_weights, read_progress
from unish.training.trainer.config import FitConfig
from unish.training.trainer.loop import Validate, fit
from unish.training.trainer.objective import Batch, ComputeLoss
from unish.training.trainer.processes import end_processes, move_batch
from unish.training.trainer.reading import Batches
from unish.training.trainer.schedule import progress_of, rate_fraction
from unish.training.trainer.shards import join_checkpoint, split_checkpoint

__all__ = [
    "Batch",
    "Batches",
    "ComputeLoss",
    "FitConfig",
    "Validate",
    "end_processes",
    "fit",
    "join_checkpoint",
    "load_run_weights",
    "move_batch",
    "progress_of",
    "rate_fraction",
    "read_progress",
    "split_checkpoint",
]
