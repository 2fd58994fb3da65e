"""How a run goes: everything that ``fit`` can be told."""

from __future__ import annotations

from dataclasses import dataclass

from unish.errors import InputError

PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How long, how fast, on what, and what to do when something goes wrong.

    Attributes:
        steps: length of the run, and of the cosine schedule.
        minutes: optional wall-clock budget, summed over resumes. The schedule then follows whichever of steps and time
            is further advanced, so that the learning rate always ends at its floor.
        piece_minutes: this call ends after so many, with a checkpoint, and a later one goes on. The schedule does not
            know of it.
        learning_rate, final_fraction, warmup_steps: linear warm-up, then cosine to ``final_fraction`` of the peak.
        weight_decay: for matrices only; gains, biases and other vectors are not decayed.
        clip_norm: gradient norm ceiling.
        ema_decay: decay of the averaged weights; the average is what is validated and exported.
        precision: "float32", or "bfloat16" or "float16" (autocast; weights and optimiser stay as they are; the loss of
            float16 is scaled).
        micro_batches: batches of one step, over all processes; their gradients are averaged. A multiple of the number
            of processes, by default what the resumed run had, or one for each process. The run is the same on any
            number of processes that divides it.
        device: "cpu", "cuda", …, or "auto" for the best there is; by default where the model is. Under torchrun each
            process takes a GPU of its own.
        log_every, checkpoint_every, validate_every: in steps; 0 = never (the end is always a checkpoint).
        max_bad_steps: consecutive non-finite steps (each is skipped) after which the run stops.
        max_bad_share: of all batches read; when more than these, and ten or more, could not be made, the run stops.

    Raises:
        InputError: a value makes no sense.
    """

    steps: int
    minutes: float | None = None
    piece_minutes: float | None = None
    learning_rate: float = 3e-4
    final_fraction: float = 0.02
    warmup_steps: int = 200
    weight_decay: float = 0.02
    clip_norm: float = 1.0
    ema_decay: float = 0.998
    precision: str = "float32"
    micro_batches: int | None = None
    device: str | None = None
    log_every: int = 20
    checkpoint_every: int = 500
    validate_every: int = 0
    max_bad_steps: int = 20
    max_bad_share: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"steps={self.steps}; give 1 or more")
        if self.micro_batches is not None and self.micro_batches < 1:
            raise InputError(f"micro_batches={self.micro_batches}; give 1 or more")
        if self.precision not in PRECISIONS:
            raise InputError(f"precision={self.precision!r}; give one of {', '.join(PRECISIONS)}")
