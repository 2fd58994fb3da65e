"""A small resumable trainer: one process, one model, one loss; what it trains comes from the recipe.

A run is a folder: ``checkpoint.pt`` (everything needed to go on), ``metrics.jsonl`` (one line per logged step),
``config.json``. Step i depends on the weights, on batch i and on the seed alone, so a run that was killed and resumed
ends with the weights of one that was not (unless a wall-clock budget steers the schedule).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from unish.errors import InputError

Batch = Any
ComputeLoss = Callable[[nn.Module, Batch], tuple[Tensor, dict[str, Tensor]]]
"""(model, batch) → (scalar loss, detached scalars to log)."""
Batches = Callable[[int], Batch]
"""Step → batch. Batch i depends on i alone; that is what makes a resumed run equal to an uninterrupted one.

It is called from a thread of its own, one batch ahead of the training: no use of PyTorch's global random numbers.
"""
Validate = Callable[[nn.Module], dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How long and how fast.

    Attributes:
        steps: length of the run, and of the cosine schedule.
        minutes: optional wall-clock budget, summed over resumes. The schedule then follows whichever of steps and time
            is further advanced, so that the learning rate always ends at its floor.
        learning_rate, final_fraction, warmup_steps: linear warm-up, then cosine to ``final_fraction`` of the peak.
        weight_decay: for matrices only; gains, biases and other vectors are not decayed.
        clip_norm: gradient norm ceiling.
        ema_decay: decay of the averaged weights; the average is what is validated and exported.
        precision: "float32" or "bfloat16" (autocast; weights and optimiser stay in float32).
        log_every, checkpoint_every, validate_every: in steps; 0 = never.
        max_bad_steps: consecutive non-finite steps (each is skipped) after which the run stops.
    """

    steps: int
    minutes: float | None = None
    learning_rate: float = 3e-4
    final_fraction: float = 0.02
    warmup_steps: int = 200
    weight_decay: float = 0.02
    clip_norm: float = 1.0
    ema_decay: float = 0.998
    precision: str = "float32"
    log_every: int = 20
    checkpoint_every: int = 500
    validate_every: int = 0
    max_bad_steps: int = 20
    seed: int = 0


def fit(
    model: nn.Module,
    compute_loss: ComputeLoss,
    batches: Batches,
    *,
    config: FitConfig,
    run_dir: Path,
    resume: bool = False,
    validate: Validate | None = None,
    progress: bool = True,
) -> nn.Module:
    """Train ``model`` in place and leave the averaged (EMA) weights in it.

    Only parameters with ``requires_grad`` are trained, averaged and clipped; the rest stays as it came.

    Raises:
        InputError: the folder holds a run and ``resume`` is false, or there is nothing to resume.
        FloatingPointError: too many non-finite steps in a row.
    """
    state = _start(model, config, run_dir, resume=resume)
    bar = tqdm(total=config.steps, initial=state.step, disable=None if progress else True, desc=run_dir.name)
    bad_steps = 0
    clock = time.monotonic()
    with closing(_read_ahead(batches, state.step, config.steps)) as stream:
        while state.step < config.steps and not _is_out_of_time(state.seconds, config):
            batch = next(stream)
            torch.manual_seed(config.seed * 1_000_003 + state.step)
            metrics = _train_step(model, compute_loss, batch, state, config)
            bad_steps = 0 if metrics["finite"] else bad_steps + 1
            if bad_steps > config.max_bad_steps:
                raise FloatingPointError(f"{bad_steps} steps in a row had a non-finite loss or gradient; see {run_dir}")
            state.step += 1
            now = time.monotonic()
            state.seconds, clock = state.seconds + now - clock, now
            bar.update()
            if _is_due(state.step, config.log_every, config.steps):
                _log(run_dir, {"step": state.step, "seconds": round(state.seconds, 1), **metrics})
                bar.set_postfix(loss=f"{metrics['loss']:.4f}")
            if validate is not None and _is_due(state.step, config.validate_every, config.steps):
                _log(run_dir, {"step": state.step, "validation": _validate(model, state, validate)})
            if _is_due(state.step, config.checkpoint_every, config.steps):
                _save_checkpoint(run_dir, model, state)
    bar.close()
    _save_checkpoint(run_dir, model, state)
    model.load_state_dict(state.average, strict=False)
    return model


@dataclass
class _State:
    """What changes from step to step, besides the weights."""

    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor]
    step: int = 0
    seconds: float = 0.0


def _read_ahead(batches: Batches, first: int, last: int) -> Generator[Batch, None, None]:
    """Batches ``first`` … ``last`` − 1; while one is trained on, the next is made."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches") as reader:
        ahead = reader.submit(batches, first)
        for step in range(first, last):
            batch = ahead.result()
            if step + 1 < last:
                ahead = reader.submit(batches, step + 1)
            yield batch


def load_run_weights(run_dir: Path, *, averaged: bool = True) -> dict[str, Tensor]:
    """Weights of a run, finished or not: all of the model, with the averaged values where there are any."""
    path = run_dir / "checkpoint.pt"
    if not path.is_file():
        raise InputError(f"{run_dir} holds no checkpoint.pt: give the folder of a training run")
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    return {**checkpoint["model"], **(checkpoint["average"] if averaged else {})}


def _start(model: nn.Module, config: FitConfig, run_dir: Path, *, resume: bool) -> _State:
    path = run_dir / "checkpoint.pt"
    if path.exists() and not resume:
        raise InputError(f"{run_dir} already holds a run: resume it or choose another folder")
    run_dir.mkdir(parents=True, exist_ok=True)
    _write_atomically(run_dir / "config.json", json.dumps(asdict(config), indent=2).encode())
    state = _State(optimizer=_make_optimizer(model, config), average=_copy_trained(model))
    if resume and path.exists():
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(checkpoint["model"])
        state.optimizer.load_state_dict(checkpoint["optimizer"])
        for name, value in checkpoint["average"].items():
            state.average[name].copy_(value)
        state.step, state.seconds = checkpoint["step"], checkpoint["seconds"]
    return state


def _make_optimizer(model: nn.Module, config: FitConfig) -> torch.optim.Optimizer:
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=config.learning_rate, betas=(0.9, 0.98))


def _train_step(
    model: nn.Module, compute_loss: ComputeLoss, batch: Batch, state: _State, config: FitConfig
) -> dict[str, float]:
    """One update. A non-finite loss or gradient leaves weights, optimiser and average untouched."""
    model.train()
    rate = config.learning_rate * schedule(progress_of(state.step, state.seconds, config), state.step, config)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.zero_grad(set_to_none=True)
    device = next(model.parameters()).device.type
    with torch.autocast(device, dtype=torch.bfloat16, enabled=config.precision == "bfloat16"):
        loss, scalars = compute_loss(model, batch)
    loss.backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    norm = nn.utils.clip_grad_norm_(trained, config.clip_norm)
    finite = bool(torch.isfinite(norm) & torch.isfinite(loss))
    if finite:
        state.optimizer.step()
        _update_average(model, state, config)
    values = {name: round(float(value), 6) for name, value in scalars.items()}
    return {"loss": float(loss.detach()), "gradient_norm": float(norm), "rate": rate, "finite": finite, **values}


def progress_of(step: int, seconds: float, config: FitConfig) -> float:
    """Fraction of the run that is over, by steps or by time, whichever is further."""
    by_time = 0.0 if config.minutes is None else seconds / (60.0 * config.minutes)
    return min(max(step / config.steps, by_time), 1.0)


def schedule(progress: float, step: int, config: FitConfig) -> float:
    """Learning rate as a fraction of its peak: linear warm-up times a cosine."""
    warmup = min((step + 1) / max(config.warmup_steps, 1), 1.0)
    cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
    return warmup * (config.final_fraction + (1.0 - config.final_fraction) * cosine)


@torch.no_grad()
def _update_average(model: nn.Module, state: _State, config: FitConfig) -> None:
    # A young average follows quickly (1+t)/(10+t), or the random start would stay in it for long.
    decay = min(config.ema_decay, (1 + state.step) / (10 + state.step))
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            state.average[name].lerp_(parameter, 1.0 - decay)


def _validate(model: nn.Module, state: _State, validate: Validate) -> dict[str, float]:
    """Score the averaged weights, then put the raw ones back."""
    raw = _copy_trained(model)
    model.load_state_dict(state.average, strict=False)
    model.eval()
    with torch.no_grad():
        scores = validate(model)
    model.load_state_dict(raw, strict=False)
    return {name: round(float(value), 5) for name, value in scores.items()}


def _copy_trained(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def _is_due(step: int, every: int, last: int) -> bool:
    return every > 0 and (step % every == 0 or step == last)


def _is_out_of_time(seconds: float, config: FitConfig) -> bool:
    return config.minutes is not None and seconds >= 60.0 * config.minutes


def _log(run_dir: Path, record: dict[str, Any]) -> None:
    with (run_dir / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")


def _save_checkpoint(run_dir: Path, model: nn.Module, state: _State) -> None:
    record = {
        "model": model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "average": state.average,
        "step": state.step,
        "seconds": state.seconds,
    }
    partial = run_dir / "checkpoint.pt.partial"
    torch.save(record, partial)
    partial.replace(run_dir / "checkpoint.pt")


def _write_atomically(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)
