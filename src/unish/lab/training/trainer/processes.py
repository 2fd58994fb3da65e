"""The processes of a run: this one alone, or those that torchrun started. Accelerate finds out which, and where."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

from unish.errors import InputError
from unish.lab.training.trainer.objective import ComputeLoss, Objective


class Processes:
    """What the processes of a run do together. With one process all of it is plain PyTorch.

    Attributes:
        rank, number: which process this is, and of how many.
        device: of this process.

    Raises:
        InputError: accelerate is not installed.
    """

    def __init__(self, *, device: str | torch.device) -> None:
        accelerator_class, ddp_options = _import_accelerate()
        on_cpu = device != "auto" and torch.device(device).type == "cpu"
        # A loss may leave out parts of the network in some steps, and not the same ones in every process.
        options = ddp_options(find_unused_parameters=True)
        self._accelerator = accelerator_class(cpu=on_cpu, kwargs_handlers=[options])
        self.rank: int = self._accelerator.process_index
        self.number: int = self._accelerator.num_processes
        chosen = self._accelerator.device if self.number > 1 or device == "auto" else device
        self.device = torch.device(chosen)

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def prepare(self, model: nn.Module, compute_loss: ComputeLoss, *, precision: str) -> nn.Module:
        """Model and loss, moved to the device, with gradients that are averaged over the processes."""
        model.to(self.device)
        objective = Objective(model, compute_loss, device=self.device, precision=precision)
        return objective if self.number == 1 else self._accelerator.prepare_model(objective)

    def hold_gradients(self, objective: nn.Module) -> AbstractContextManager[Any]:
        """Gradients made in this block stay in their process and are averaged with the next ones outside of it."""
        return nullcontext() if self.number == 1 else self._accelerator.no_sync(objective)

    def sum(self, *values: float) -> list[float]:
        """Sums over the processes."""
        if self.number == 1:
            return list(values)
        # MPS and some backends have no float64, and none of these numbers needs it.
        tensor = torch.tensor(values, dtype=torch.float64 if self.device.type == "cpu" else torch.float32)
        tensor = tensor.to(self.device)
        torch.distributed.all_reduce(tensor)
        return tensor.tolist()

    def mean_by_name(self, rows: list[dict[str, float]]) -> dict[str, float]:
        """Mean of every named value over the rows that have it, of all processes."""
        if self.number > 1:
            gathered: list[list[dict[str, float]]] = [[] for _ in range(self.number)]
            torch.distributed.all_gather_object(gathered, rows)
            rows = [row for part in gathered for row in part]
        names = dict.fromkeys(name for row in rows for name in row)
        columns = {name: [row[name] for row in rows if name in row] for name in names}
        return {name: sum(values) / len(values) for name, values in columns.items()}

    def wait(self) -> None:
        """Until all are here."""
        self._accelerator.wait_for_everyone()


def _import_accelerate() -> tuple[Any, Any]:
    try:
        from accelerate import Accelerator
        from accelerate.utils import DistributedDataParallelKwargs
    except ImportError:
        raise InputError("training needs accelerate; pip install 'unish[train]'") from None
    return Accelerator, DistributedDataParallelKwargs


def end_processes() -> None:
    """Close the connections to the other processes, if there are any."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def move_batch(batch: Any, device: torch.device) -> Any:
    """All tensors of a batch on the device: in dataclasses, dicts, lists and tuples; what else there is stays."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if is_dataclass(batch) and not isinstance(batch, type):
        parts = {field.name: getattr(batch, field.name) for field in fields(batch) if field.init}
        return replace(batch, **{name: move_batch(part, device) for name, part in parts.items()})
    if isinstance(batch, dict):
        return {name: move_batch(part, device) for name, part in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(move_batch(part, device) for part in batch))
    if isinstance(batch, (list, tuple)):
        return type(batch)(move_batch(part, device) for part in batch)
    return batch
