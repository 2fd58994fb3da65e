"""What can go wrong in a run of days: damaged checkpoints, a full disk, bad data, a half-written log, no accelerate."""

import json
import math
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_training_trainer import CONFIG, compute_loss, make_batch, make_model, run
from torch import nn

from unish.errors import DegradedResultWarning, InputError
from unish.lab.training.trainer import FitConfig, fit


def read_lines(run_dir: Path) -> list[dict]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_truncated_checkpoint_falls_back_to_the_one_before(tmp_path: Path) -> None:
    whole = run(tmp_path / "run")
    with pytest.raises(KeyError):
        run(tmp_path / "short", config=replace(CONFIG, checkpoint_every=5), batches=break_off(11))
    cut_in_half(tmp_path / "short/checkpoint.pt")
    with pytest.warns(
        DegradedResultWarning, match=r"checkpoint\.pt cannot be read.*going on from checkpoint\.previous"
    ):
        resumed = run(tmp_path / "short", config=replace(CONFIG, checkpoint_every=5), resume=True)
    for name, value in whole.items():
        assert torch.equal(resumed[name], value)
    for name in ("checkpoint.pt", "checkpoint.previous.pt"):
        cut_in_half(tmp_path / "short" / name)
    with pytest.raises(InputError, match="delete the folder"):
        run(tmp_path / "short", resume=True)


def break_off(number: int) -> Callable[[int], torch.Tensor]:
    def batches(step: int) -> torch.Tensor:
        if step == number:
            raise KeyError
        return make_batch(step)

    return batches


@contextmanager
def limit_files(size: int) -> Iterator[None]:
    """As on a full disk: no file can grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_keeps_the_last_good_checkpoint_and_the_run_goes_on(tmp_path: Path) -> None:
    folder, expected = tmp_path / "run", run(tmp_path / "whole")
    limit = 4096

    def fill_up_and_make_room(model: nn.Module, batch: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        if torch.equal(batch, make_batch(5)):
            entered.__enter__()
        if torch.equal(batch, make_batch(9)):
            assert torch.load(folder / "checkpoint.pt")["counters"]["step"] == 4
            assert not list(folder.glob("*.partial"))
            entered.__exit__(None, None, None)
        return compute_loss(model, batch)

    entered = limit_files(limit)
    config = replace(CONFIG, log_every=0)
    model = make_model()
    with pytest.warns(DegradedResultWarning, match="no checkpoint could be written"):
        fit(model, fill_up_and_make_room, make_batch, config=config, run_dir=folder, progress=False)
    assert [line["step"] for line in read_lines(folder) if "warning" in line] == [8]
    assert torch.load(folder / "checkpoint.pt")["counters"]["step"] == 12
    for name, value in model.state_dict().items():
        assert torch.equal(value, expected[name])


def test_a_disk_that_stays_full_is_one_clear_error(tmp_path: Path) -> None:
    with (
        limit_files(4096),
        pytest.warns(DegradedResultWarning, match="too large|large"),
        pytest.raises(InputError, match=r"step 12.*make room and resume"),
    ):
        run(tmp_path / "run", config=replace(CONFIG, log_every=0))


def test_a_log_that_cannot_be_written_does_not_end_the_run(tmp_path: Path) -> None:
    def spoil(model: nn.Module, batch: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        if torch.equal(batch, make_batch(5)):
            (tmp_path / "metrics.jsonl").unlink()
            (tmp_path / "metrics.jsonl").mkdir()
        return compute_loss(model, batch)

    with pytest.warns(DegradedResultWarning, match="log cannot be written") as told:
        fit(make_model(), spoil, make_batch, config=CONFIG, run_dir=tmp_path, progress=False)
    assert len(told) == 1
    assert torch.load(tmp_path / "checkpoint.pt")["counters"]["step"] == 12


def test_bad_batches_are_left_out_counted_and_named(tmp_path: Path) -> None:
    def two_bad(step: int) -> torch.Tensor:
        if step in (3, 7):
            raise InputError(f"clip-{step}.mp4 is damaged")
        return make_batch(step)

    with pytest.warns(DegradedResultWarning, match=r"batch 3 is left out: clip-3\.mp4"):
        run(tmp_path / "run", batches=two_bad, config=replace(CONFIG, max_bad_share=0.5))
    lines = read_lines(tmp_path / "run")
    assert [line["warning"] for line in lines if "warning" in line][1] == "batch 7 is left out: clip-7.mp4 is damaged"
    last = [line for line in lines if "loss" in line][-1]
    assert last["bad_batches"] == 2 and last["skipped"] == 2


def test_a_bad_batch_among_others_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    """Accumulation takes the mean over those that there are."""

    def bad_every_second(number: int) -> torch.Tensor:
        if number % 2:
            raise InputError("damaged")
        return make_batch(number // 2)

    plain = nn.Sequential(nn.Linear(3, 1))
    accumulated = nn.Sequential(nn.Linear(3, 1))
    accumulated.load_state_dict(plain.state_dict())
    config = replace(CONFIG, steps=3, max_bad_share=1.0)
    fit(plain, compute_loss, make_batch, config=config, run_dir=tmp_path / "plain", progress=False)
    with pytest.warns(DegradedResultWarning):
        fit(
            accumulated, compute_loss, bad_every_second, config=replace(config, micro_batches=2),
            run_dir=tmp_path / "accumulated", progress=False,
        )  # fmt: skip
    assert torch.equal(plain[0].weight, accumulated[0].weight)


@pytest.mark.parametrize("steps", [4, 40])
def test_too_many_bad_batches_end_the_run(tmp_path: Path, steps: int) -> None:
    def all_bad(step: int) -> torch.Tensor:
        raise InputError("no such file")

    with pytest.warns(DegradedResultWarning), pytest.raises(InputError, match=r"(4 of 4|10 of 10).*no such file"):
        run(tmp_path / "run", batches=all_bad, config=replace(CONFIG, steps=steps))


def test_a_skipped_step_is_counted_and_its_numbers_are_valid_json(tmp_path: Path) -> None:
    run(tmp_path / "run", batches=lambda step: make_batch(step) * (math.nan if step == 5 else 1.0))
    line = next(line for line in read_lines(tmp_path / "run") if line["step"] == 6 and "loss" in line)
    assert line["loss"] is None and line["finite"] is False and line["skipped"] == 1
    assert any("step 6" in line.get("warning", "") for line in read_lines(tmp_path / "run"))


def test_accumulated_gradients_are_those_of_one_large_batch(tmp_path: Path) -> None:
    def quarter(number: int) -> torch.Tensor:
        return make_batch(number // 4)[number % 4 * 4 :][:4].double()

    models = [nn.Sequential(nn.Linear(3, 1)).double() for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    one = lambda number: make_batch(number).double()  # noqa: E731
    for model, batches, count, name in ((models[0], one, 1, "one"), (models[1], quarter, 4, "four")):
        config = replace(CONFIG, micro_batches=count)
        fit(model, compute_loss, batches, config=config, run_dir=tmp_path / name, progress=False)
    torch.testing.assert_close(models[0][0].weight, models[1][0].weight, rtol=1e-9, atol=0)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_low_precision_trains_and_resumes_to_the_same_bits(tmp_path: Path, precision: str) -> None:
    config = replace(CONFIG, precision=precision)
    seen: list[torch.dtype] = []

    def watch(model: nn.Module, batch: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        seen.append(model[0](batch).dtype)
        return compute_loss(model, batch)

    whole = make_model()
    fit(whole, watch, make_batch, config=config, run_dir=tmp_path / "whole", progress=False)
    assert set(seen) == {getattr(torch, precision)}
    assert whole[0].weight.dtype == torch.float32
    with pytest.raises(KeyError):
        run(tmp_path / "parts", config=config, batches=break_off(7))
    found = run(tmp_path / "parts", config=config, resume=True)
    assert all(torch.equal(found[name], value) for name, value in whole.state_dict().items())


def test_the_folder_tells_what_was_run_where_and_shows_pictures(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    config = replace(CONFIG, validate_every=6)
    fit(
        make_model(), compute_loss, make_batch, config=config, run_dir=tmp_path, progress=False,
        validate=lambda model: {"error": 0.25, "depth": picture},
    )  # fmt: skip
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "previews/depth-0000006.png")), picture)
    assert (tmp_path / "previews/depth-0000012.png").exists()
    assert [line["validation"] for line in read_lines(tmp_path) if "validation" in line] == [{"error": 0.25}] * 2
    (start,) = json.loads((tmp_path / "environment.json").read_text())
    assert start["packages"]["torch"] == torch.__version__ and start["device"] == "cpu" and start["cores"] >= 1
    assert json.loads((tmp_path / "config.json").read_text())["validate_every"] == 6
    line = next(line for line in read_lines(tmp_path) if "loss" in line)
    assert {"data_s", "forward_s", "backward_s", "optimizer_s", "making_s", "eta_s"} <= line.keys()


def test_curves_go_to_tensorboard_where_it_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run(tmp_path / "run")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "run/tensorboard")).Reload()
    assert [event.step for event in events.Scalars("training/loss")] == list(range(1, 13))


def test_without_accelerate_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(InputError, match=r"pip install 'unish\[train\]'"):
        run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps"),
        ({"micro_batches": 0}, "micro_batches"),
        ({"precision": "half"}, "bfloat16"),
    ],
)
def test_settings_that_make_no_sense(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FitConfig(**{"steps": 1, **change})


def test_the_last_checkpoint_is_written_once_and_the_one_before_is_older(tmp_path: Path) -> None:
    run(tmp_path / "run")
    steps = [
        torch.load(tmp_path / "run" / name)["counters"]["step"] for name in ("checkpoint.previous.pt", "checkpoint.pt")
    ]
    assert steps == [8, 12]


def test_a_resumed_run_keeps_its_number_of_micro_batches(tmp_path: Path) -> None:
    """It was the number of processes then, and the batches of every later step hang on it."""
    run(tmp_path / "run", config=replace(CONFIG, steps=4, micro_batches=3))
    asked: list[int] = []

    def batches(number: int) -> torch.Tensor:
        asked.append(number)
        return make_batch(number)

    run(tmp_path / "run", config=replace(CONFIG, steps=5), batches=batches, resume=True)
    assert asked == [12, 13, 14]


def test_another_model_is_not_resumed(tmp_path: Path) -> None:
    run(tmp_path / "run")
    with pytest.raises(InputError, match="another model"):
        fit(
            nn.Sequential(nn.Linear(3, 1)), compute_loss, make_batch, config=CONFIG, run_dir=tmp_path / "run",
            resume=True, progress=False,
        )  # fmt: skip
