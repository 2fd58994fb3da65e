"""Where in the run a step is, and the learning rate there."""

from __future__ import annotations

import math

from unish.lab.training.trainer.config import FitConfig


def progress_of(step: int, seconds: float, config: FitConfig) -> float:
    """Fraction of the run that is over, by steps or by time, whichever is further."""
    by_time = 0.0 if config.minutes is None else seconds / (60.0 * config.minutes)
    return min(max(step / config.steps, by_time), 1.0)


def rate_fraction(progress: float, step: int, config: FitConfig) -> float:
    """Learning rate as a fraction of its peak: linear warm-up times a cosine."""
    warmup = min((step + 1) / max(config.warmup_steps, 1), 1.0)
    cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
    return warmup * (config.final_fraction + (1.0 - config.final_fraction) * cosine)


def is_over(step: int, seconds: float, config: FitConfig) -> bool:
    """All steps are made or all time is used."""
    return step >= config.steps or _is_used(config.minutes, seconds)


def pauses(seconds: float, config: FitConfig) -> bool:
    """Whether a call that has trained for so long leaves the rest to a later one."""
    return _is_used(config.piece_minutes, seconds)


def _is_used(minutes: float | None, seconds: float) -> bool:
    return minutes is not None and seconds >= 60.0 * minutes


def is_due(step: int, every: int, *, ends: bool) -> bool:
    """Whether what happens ``every`` so many steps (0 = never), and at the end of the run, happens after this one."""
    return every > 0 and (step % every == 0 or ends)


def remaining_seconds(step: int, seconds: float, config: FitConfig) -> float:
    """Time to the end of a run of which ``step`` steps took so many seconds."""
    by_steps = (config.steps - step) * seconds / max(step, 1)
    return by_steps if config.minutes is None else max(0.0, min(by_steps, 60.0 * config.minutes - seconds))
