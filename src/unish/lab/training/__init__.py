"""Training: data, losses, a resumable trainer, and named recipes."""

from __future__ import annotations

from pathlib import Path

from unish.errors import InputError


def run(
    recipe: str,
    *,
    out: Path,
    data: Path,
    resume: bool = False,
    minutes: float | None = None,
    start: str | None = None,
) -> None:
    """Run a named recipe into the folder ``out``.

    Args:
        data: folder of training data, or what the recipe takes in its place.
        minutes: wall-clock budget, summed over resumes; the learning-rate schedule then ends with it.
        start: weights of the recipes that begin with a trained network; ``None`` for those of the package.

    Raises:
        InputError: no such recipe, no data, ``out`` holds another run, or the recipe begins with nothing.
    """
    from unish.lab.training.recipes import RECIPES, STARTED

    if recipe not in RECIPES:
        raise InputError(f"no recipe is called {recipe!r}; there are: {', '.join(sorted(RECIPES))}")
    if start is not None and recipe not in STARTED:
        raise InputError(f"{recipe} begins with untrained weights; only {', '.join(sorted(STARTED))} take a start")
    options = {} if start is None else {"start": start}
    RECIPES[recipe](out, data=data, resume=resume, minutes=minutes, **options)
