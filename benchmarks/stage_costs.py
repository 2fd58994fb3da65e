"""What a network spends, stage by stage: seconds, floating-point operations, memory; and what the machine could do."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

Call = Callable[[], object]
Clock = Callable[[], float]

STAGES = {
    "release": {
        "encoder": ("scene.encoder",),
        "decoder": ("scene.decoder",),
        "branch decoders": ("scene.point_decoder", "scene.conf_decoder", "scene.camera_decoder"),
        "heads": ("scene.point_head", "scene.conf_head", "scene.camera_head"),
        "ViT-H": ("human.backbone",),
        "human head": ("human.head",),
        "AlignNet": ("align",),
    },
    "small": {
        "encoder": ("scene.encoder",),
        "decoder": ("scene.decoder",),
        "dense head": ("scene.dense_head",),
        "human branch": ("human",),
        "AlignNet": ("align",),
    },
}
"""Modules of each stage; what lies between them is the rest."""

TRUNKS = ("encoder", "decoder", "ViT-H")

MM_SHAPES = ((435, 1024, 4096), (435, 4096, 1024), (576, 1280, 5120), (1024, 1024, 1024), (2048, 2048, 2048))
"""(rows, inner, columns): linear layers of the trunks on three small frames, and two square products."""


def measure_mm_rate(dtype: torch.dtype, device: str, clock: Clock, *, repeats: int = 4) -> float:
    """The best rate of ``torch.mm`` over a few shapes, operations per second."""
    best = 0.0
    for rows, inner, columns in MM_SHAPES:
        left, right = torch.randn(rows, inner), torch.randn(inner, columns)
        left, right = (x.to(device, dtype) for x in (left, right))
        for _ in range(repeats):
            seconds = _time(lambda left=left, right=right: torch.mm(left, right), clock)  # type: ignore[misc]
            best = max(best, 2 * rows * inner * columns / seconds)
    return best


def time_stages(model: nn.Module, preset: str, call: Call, clock: Clock) -> dict[str, float]:
    """Seconds of every stage in one call, of the ``rest`` between them, and in ``total``."""
    seconds = dict.fromkeys(STAGES[preset], 0.0)
    started: dict[str, float] = {}

    def start(stage: str) -> Callable[..., None]:
        return lambda *_: started.__setitem__(stage, clock())

    def stop(stage: str) -> Callable[..., None]:
        return lambda *_: seconds.__setitem__(stage, seconds[stage] + clock() - started[stage])

    hooks = []
    for stage, names in STAGES[preset].items():
        for part in map(model.get_submodule, names):
            hooks += [part.register_forward_pre_hook(start(stage)), part.register_forward_hook(stop(stage))]
    try:
        total = _time(call, clock)
    finally:
        for hook in hooks:
            hook.remove()
    return seconds | {"rest": total - sum(seconds.values()), "total": total}


def count_flops(model: nn.Module, preset: str, call: Call) -> dict[str, int]:
    """Floating-point operations of the matrix products, convolutions and attentions in one call, as they ran."""
    with FlopCounterMode(display=False, custom_mapping=_missing_formulas()) as counter:
        call()
    per_module = {name: sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    root, total = type(model).__name__, per_module["Global"]
    flops = {
        stage: sum(per_module.get(f"{root}.{name}", 0) for name in names) for stage, names in STAGES[preset].items()
    }
    return flops | {"rest": total - sum(flops.values()), "total": total}


def _missing_formulas() -> dict[Any, Any]:
    """Operations that PyTorch runs on a CPU and does not count by itself; arguments are shapes."""

    def count_attention(query: Sequence[int], key: Sequence[int], *_: Any, **__: Any) -> int:
        return 4 * math.prod(query) * key[-2]

    def count_linear(x: Sequence[int], weight: Sequence[int], *_: Any, **__: Any) -> int:
        return 2 * math.prod(x) * weight[0]

    return {
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: count_attention,
        torch.ops.aten.mkldnn_linear: count_linear,
    }


@contextmanager
def watch_memory(device: str) -> Iterator[dict[str, float]]:
    """Peaks in GB while the context is open, known when it closes.

    ``resident``: anonymous memory and the pages of files that were used. ``anonymous``: without the files. ``device``:
    what PyTorch allocated on a GPU. Only Linux tells the first two.
    """
    peaks: dict[str, float] = {}
    status = Path("/proc/self/status")
    done = threading.Event()

    def sample() -> None:
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        for name, key in (("resident", "VmRSS"), ("anonymous", "RssAnon")):
            peaks[name] = max(peaks.get(name, 0.0), int(fields[key].split()[0]) * 1024 / 1e9)

    def watch() -> None:
        while not done.wait(0.02):
            sample()

    watcher = threading.Thread(target=watch, daemon=True)
    if status.exists():
        watcher.start()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    try:
        yield peaks
    finally:
        done.set()
        if status.exists():
            watcher.join()
            sample()
        if device == "cuda":
            peaks["device"] = torch.cuda.max_memory_allocated() / 1e9


def measure_global_block(
    block: nn.Module, tokens_per_frame: int, num_frames: Sequence[int], clock: Clock
) -> dict[str, list[float]]:
    """Tokens, best seconds and operations of one block that attends across all frames, for several numbers of them."""
    parameter = next(block.parameters())
    law: dict[str, list[float]] = {"tokens": [], "seconds": [], "flops": []}
    for frames in num_frames:
        tokens = frames * tokens_per_frame
        x = torch.randn(1, tokens, block.norm1.normalized_shape[0], device=parameter.device, dtype=parameter.dtype)
        with FlopCounterMode(display=False, custom_mapping=_missing_formulas()) as counter:
            block(x)
        law["tokens"].append(tokens)
        law["seconds"].append(min(_time(lambda x=x: block(x), clock) for _ in range(2)))  # type: ignore[misc]
        law["flops"].append(counter.get_total_flops())
    return law


def fit_cost_law(tokens: Sequence[int], costs: Sequence[float]) -> tuple[float, float]:
    """(linear, quadratic) coefficients of cost = linear · T + quadratic · T², by relative least squares."""
    t, cost = np.asarray(tokens, dtype=float), np.asarray(costs, dtype=float)
    design = np.stack([t, t**2], axis=1) / cost[:, None]
    linear, quadratic = np.linalg.lstsq(design, np.ones_like(cost), rcond=None)[0]
    return float(linear), float(quadratic)


def make_clock(kind: str, device: str) -> Clock:
    """Seconds that pass (``wall``), or that the processor works for this process (``cpu``).

    With one thread, the second does not count the time that other programs take on a machine that is not idle.
    """
    if kind == "cpu":
        return time.process_time
    if device == "cpu":
        return time.perf_counter

    def read_after_device() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return read_after_device


def _time(call: Call, clock: Clock) -> float:
    start = clock()
    call()
    return clock() - start
