"""What the process has used of the machine, on every system."""

from __future__ import annotations

import ctypes
import importlib
import math
import sys
from typing import Any

_BYTES_PER_UNIT = {"darwin": 1}
"""Of ``ru_maxrss``: getrusage(2) counts kilobytes on Linux and the BSDs, bytes on macOS."""


class _MemoryCounters(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS of the Windows API."""

    _fields_ = (
        ("cb", ctypes.c_uint32),
        ("PageFaultCount", ctypes.c_uint32),
        ("PeakWorkingSetSize", ctypes.c_size_t),
        ("WorkingSetSize", ctypes.c_size_t),
        ("QuotaPeakPagedPoolUsage", ctypes.c_size_t),
        ("QuotaPagedPoolUsage", ctypes.c_size_t),
        ("QuotaPeakNonPagedPoolUsage", ctypes.c_size_t),
        ("QuotaNonPagedPoolUsage", ctypes.c_size_t),
        ("PagefileUsage", ctypes.c_size_t),
        ("PeakPagefileUsage", ctypes.c_size_t),
    )


def peak_memory_mb() -> float:
    """Most memory (MiB) that the process has held at once, rounded to 0.1; NaN where the system does not tell."""
    try:
        peak = _peak_bytes_of_windows() if sys.platform == "win32" else _peak_bytes_of_unix()
    except (ImportError, AttributeError, OSError, ValueError):
        return math.nan
    return round(peak / 2**20, 1)


def _peak_bytes_of_unix() -> int:
    resource: Any = importlib.import_module("resource")  # Windows has none
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * _BYTES_PER_UNIT.get(sys.platform, 1024)


def _peak_bytes_of_windows() -> int:
    libraries: Any = getattr(ctypes, "windll")  # noqa: B009  # type checkers on other systems do not know it
    counters = _MemoryCounters(cb=ctypes.sizeof(_MemoryCounters))
    process = libraries.kernel32.GetCurrentProcess
    process.restype = ctypes.c_void_p  # the default, a 32-bit integer, would cut the handle
    ask = libraries.kernel32.K32GetProcessMemoryInfo
    ask.argtypes = (ctypes.c_void_p, ctypes.POINTER(_MemoryCounters), ctypes.c_uint32)
    if not ask(process(), ctypes.byref(counters), counters.cb):
        raise OSError("the system does not tell how much memory the process has used")
    return int(counters.PeakWorkingSetSize)


def release_memory() -> None:
    """Give back what the allocator holds and nobody uses, where it can be told to (glibc).

    Maps of many sizes come and go with every window of a video; what lies between them would stay with the process.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
