"""The trainer: a killed and resumed run ends like one that was not; bad steps do no harm; the budget is kept."""

import json
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn

from unish.errors import InputError
from unish.lab.training.trainer import FitConfig, fit, load_run_weights, rate_fraction
from unish.lab.training.trainer.reading import BatchShare, read_ahead

CONFIG = FitConfig(steps=12, warmup_steps=3, learning_rate=0.01, log_every=1, checkpoint_every=4)


class Killed(Exception):
    pass


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.Dropout(0.2), nn.Linear(8, 1))


def make_batch(step: int) -> torch.Tensor:
    return torch.randn(16, 3, generator=torch.Generator().manual_seed(step))


def compute_loss(model: nn.Module, batch: torch.Tensor):
    loss = (model(batch)[:, 0] - batch.sum(-1)).square().mean()
    return loss, {"squared": loss.detach()}


def run(
    folder: Path, *, config: FitConfig = CONFIG, batches=make_batch, resume: bool = False
) -> dict[str, torch.Tensor]:
    model = make_model()
    fit(model, compute_loss, batches, config=config, run_dir=folder, resume=resume, progress=False)
    return model.state_dict()


@pytest.mark.parametrize("killed_at", [4, 6, 11])
def test_resumed_equals_uninterrupted(tmp_path: Path, killed_at: int) -> None:
    def break_off(step: int) -> torch.Tensor:
        if step == killed_at:
            raise Killed
        return make_batch(step)

    expected = run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "parts", batches=break_off)
    found = run(tmp_path / "parts", resume=True)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0)


def test_the_next_batch_is_made_meanwhile_and_every_batch_once(tmp_path: Path) -> None:
    made: list[int] = []
    second_is_made = threading.Event()

    def batches(step: int) -> torch.Tensor:
        made.append(step)
        if step == 1:
            second_is_made.set()
        return make_batch(step)

    def wait_for_the_second(model: nn.Module, batch: torch.Tensor):
        assert second_is_made.wait(timeout=240), "the second batch waits for the first step to end"
        return compute_loss(model, batch)

    fit(make_model(), wait_for_the_second, batches, config=CONFIG, run_dir=tmp_path / "run", progress=False)
    assert made == list(range(CONFIG.steps))


def test_loss_goes_down_and_is_logged(tmp_path: Path) -> None:
    run(tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert len(lines) == CONFIG.steps
    assert {"step", "loss", "gradient_norm", "rate", "squared"} <= lines[0].keys()
    assert lines[-1]["loss"] < lines[0]["loss"]


def test_the_average_is_what_is_left_in_the_model(tmp_path: Path) -> None:
    weights = run(tmp_path / "run")
    stored = load_run_weights(tmp_path / "run")
    raw = load_run_weights(tmp_path / "run", averaged=False)
    torch.testing.assert_close(stored["0.weight"], weights["0.weight"])
    assert not torch.allclose(raw["0.weight"], stored["0.weight"])


def test_frozen_parameters_stay(tmp_path: Path) -> None:
    model = make_model()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    fit(model, compute_loss, make_batch, config=CONFIG, run_dir=tmp_path / "run", progress=False)
    torch.testing.assert_close(model[0].weight, before, rtol=0, atol=0)


def test_bad_batches_are_skipped_then_fatal(tmp_path: Path) -> None:
    def one_bad(step: int) -> torch.Tensor:
        return make_batch(step) * (math.nan if step == 5 else 1.0)

    assert all(value.isfinite().all() for value in run(tmp_path / "one", batches=one_bad).values())
    with pytest.raises(FloatingPointError, match="in a row"):
        run(
            tmp_path / "all",
            config=FitConfig(steps=50, max_bad_steps=3),
            batches=lambda step: make_batch(step) * math.nan,
        )


def test_existing_run_is_not_overwritten(tmp_path: Path) -> None:
    run(tmp_path / "run")
    with pytest.raises(InputError, match="already holds a run"):
        run(tmp_path / "run")


def test_weights_of_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"checkpoint\.pt"):
        load_run_weights(tmp_path)


def test_time_budget_ends_the_run_and_the_schedule(tmp_path: Path) -> None:
    config = FitConfig(steps=10**9, minutes=0.5 / 60, warmup_steps=1, log_every=1, checkpoint_every=0)
    run(tmp_path / "run", config=config)
    last = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])
    assert last["seconds"] < 20
    assert last["rate"] < 0.2 * config.learning_rate


def test_schedule_warms_up_and_ends_at_its_floor() -> None:
    config = FitConfig(steps=100, warmup_steps=10, final_fraction=0.1)
    assert rate_fraction(0.0, 0, config) == pytest.approx(0.1)
    assert rate_fraction(0.5, 50, config) == pytest.approx(0.55)
    assert rate_fraction(1.0, 100, config) == pytest.approx(0.1)


def test_batches_are_made_by_half_of_the_threads() -> None:
    """And who comes after has all of them again."""
    before = torch.get_num_threads()
    try:
        for threads, expected in ((1, 1), (2, 1), (5, 2)):
            torch.set_num_threads(threads)
            share = BatchShare(per_step=1, rank=0, num_ranks=1)
            read = list(read_ahead(lambda _: torch.get_num_threads(), share, first=0, last=2))
            assert [readings[0].batch for readings in read] == [expected] * 2
            with ThreadPoolExecutor(1) as later:
                assert later.submit(torch.get_num_threads).result() == torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
