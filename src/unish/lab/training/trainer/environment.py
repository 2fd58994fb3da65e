"""On what a run was made: versions, machine, commit."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from datetime import UTC, datetime
from typing import Any

import torch

from unish.lab.evaluation.provenance import find_commit, name_cpu

_PACKAGES = ("unish", "torch", "numpy", "accelerate", "safetensors", "tensorboard")


def describe_environment(*, num_processes: int, device: str) -> dict[str, Any]:
    """Plain values for a JSON file. ``commit`` is there where the package runs from a checkout."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "commit": find_commit(),
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "system": platform.platform(),
        "processor": name_cpu(),
        "cores": os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "device": device,
        "processes": num_processes,
        "threads": torch.get_num_threads(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
