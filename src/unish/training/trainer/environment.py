"""On what a run was made: versions, machine, commit."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

_PACKAGES = ("unish", "torch", "numpy", "accelerate", "safetensors", "tensorboard")


def describe_environment(*, num_processes: int, device: str) -> dict[str, Any]:
    """Plain values for a JSON file. ``commit`` is there where this file is under version control."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "commit": find_commit(Path(__file__)),
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "system": platform.platform(),
        "processor": name_processor(),
        "cores": os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "device": device,
        "processes": num_processes,
        "threads": torch.get_num_threads(),
    }


def find_commit(path: Path) -> str | None:
    """Commit of the repository that tracks ``path``, with ``+`` when tracked files differ from it; ``None`` without."""
    if _ask_git(path, "ls-files", "--error-unmatch", path.name) is None:
        return None
    commit = _ask_git(path, "rev-parse", "HEAD")
    changed = _ask_git(path, "status", "--porcelain", "--untracked-files=no")
    return commit if commit is None or not changed else f"{commit}+"


def _ask_git(path: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(path.parent), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):  # no git, no repository, or a very slow disk
        return None
    return answer.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def name_processor() -> str:
    """As the system calls it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
