"""Training: data, losses, a resumable trainer, and named recipes."""

from __future__ import annotations

from pathlib import Path

from unish.errors import InputError


def run(recipe: str, *, out: Path, data: Path, resume: bool = False, minutes: float | None = None) -> None:
    """Run a named recipe into the folder ``out``.

    Args:
        data: folder of training data, or what the recipe takes in its place.
        minutes: wall-clock budget, summed over resumes; the learning-rate schedule then ends with it.

    Raises:
        InputError: no such recipe, no data, or ``out`` holds another run.
    """
    from unish.training.recipes import RECIPES

    if recipe not in RECIPES:
        raise InputError(f"no recipe is called {recipe!r}; there are: {', '.join(sorted(RECIPES))}")
    RECIPES[recipe](out, data=data, resume=resume, minutes=minutes)
