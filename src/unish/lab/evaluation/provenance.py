"""Where numbers come from: the code, the commit and the machine."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from unish.version import __version__

PACKAGE = Path(__file__).parents[2]

_DECIDES_SCORES = (
    "body", "geometry", "lab/datasets", "lab/evaluation", "lab/synthetic", "network", "passes", "people",
    "pipeline.py", "reconstruction", "structs", "video",
)  # fmt: skip
_SHOWS_SCORES = (
    "lab/evaluation/columns.py", "lab/evaluation/published.json", "lab/evaluation/report", "lab/evaluation/tables.py",
    "lab/evaluation/variety",
)  # fmt: skip


def hash_code(parts: Sequence[str], *, without: Sequence[str] = (), suffixes: Sequence[str] | None = None) -> str:
    """Twelve digits that change with any file of these folders or files of the package.

    Args:
        without: folders or files inside ``parts`` that do not count.
        suffixes: of the files that count; all but ``.pyc`` when not given.
    """
    digest = hashlib.sha256()
    left_out = [PACKAGE / part for part in without]
    for part in parts:
        for path in sorted((PACKAGE / part).rglob("*")) if (PACKAGE / part).is_dir() else [PACKAGE / part]:
            counts = path.suffix != ".pyc" if suffixes is None else path.suffix in suffixes
            if path.is_file() and counts and not any(path.is_relative_to(other) for other in left_out):
                digest.update(path.relative_to(PACKAGE).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def name_versions() -> dict[str, str]:
    """Of the package and of what its numbers depend on. ``code`` is a hash of all that decides a score."""
    return {
        "unish": __version__,
        "code": hash_code(_DECIDES_SCORES, without=_SHOWS_SCORES, suffixes=(".py", ".json")),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def find_commit() -> str | None:
    """The git commit of the checkout that the package runs from, with ``+changes`` where files differ from it.

    ``None`` for an installed package, also when that lies inside the checkout of something else.
    """
    try:
        top, commit = _ask_git("rev-parse", "--show-toplevel", "HEAD").split("\n")
        if Path(top).resolve() / "src" / "unish" != PACKAGE.resolve():
            return None
        return commit + ("+changes" if _ask_git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def describe_machine(workers: int) -> dict[str, str | int]:
    """CPU, cores, threads of each process, GPU (where there is one) and the number of processes."""
    gpu = {"gpu": torch.cuda.get_device_name(0)} if torch.cuda.is_available() else {}
    return {
        "cpu": name_cpu(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads() if workers == 1 else 1,
        "workers": workers,
        "system": f"{platform.system()} {platform.machine()}",
        **gpu,
    }


def _ask_git(*arguments: str) -> str:
    asked = ["git", "-C", str(PACKAGE), *arguments]
    return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=20).stdout.strip()


def name_cpu() -> str:
    """As the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
