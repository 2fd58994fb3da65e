"""A resumable trainer: one model, one loss, one or many processes; what it trains comes from the recipe."""

from unish.lab.training.trainer.checkpoint import load_run_weights, read_progress
from unish.lab.training.trainer.config import FitConfig
from unish.lab.training.trainer.loop import Validate, fit
from unish.lab.training.trainer.objective import Batch, ComputeLoss
from unish.lab.training.trainer.processes import end_processes, move_batch
from unish.lab.training.trainer.reading import Batches
from unish.lab.training.trainer.schedule import progress_of, rate_fraction

__all__ = [
    "Batch",
    "Batches",
    "ComputeLoss",
    "FitConfig",
    "Validate",
    "end_processes",
    "fit",
    "load_run_weights",
    "move_batch",
    "progress_of",
    "rate_fraction",
    "read_progress",
]
