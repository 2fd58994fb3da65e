"""Several processes are one: what two of them train under torchrun is what one trains; what a killed one leaves is
enough to end with the same bits."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import trainer_runs
from torch import Tensor

from unish.errors import InputError
from unish.lab.training.trainer import load_run_weights
from unish.lab.training.trainer.reading import BatchShare

SCRIPT = Path(trainer_runs.__file__)
LIMIT_S = 500


def start_script(*arguments: str, launcher: tuple[str, ...] = ()) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launcher, str(SCRIPT), *arguments]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
    assert ended.returncode == 0, ended.stderr[-3000:]


def relative_difference(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> float:
    assert found.keys() == wanted.keys()
    off = sum(float((found[name] - value).square().sum()) for name, value in wanted.items())
    return (off / sum(float(value.square().sum()) for value in wanted.values())) ** 0.5


@pytest.mark.long
def test_two_processes_equal_one(tmp_path: Path) -> None:
    """Weights and averages after 20 steps in float64: with accumulation, dropout, clipping, a frozen layer, a layer
    that only some processes use in a step, a run that one process began and two ended ("resumed"), and a batch that is
    bad."""
    with pytest.raises(trainer_runs.BrokenOff), pytest.warns(UserWarning, match="clip 6"):
        trainer_runs.train(tmp_path / "two/resumed", trainer_runs.CONFIG, dtype=torch.float64, breaks_at=37)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    start_script("together", str(tmp_path / "two"), launcher=launcher)
    for name in trainer_runs.RUNS:
        with pytest.warns(UserWarning, match="clip 6"):
            trainer_runs.train(tmp_path / "one" / name, trainer_runs.CONFIG, dtype=torch.float64)
        starts = json.loads((tmp_path / "two" / name / "environment.json").read_text())
        assert [start["processes"] for start in starts] == ([1, 2] if name == "resumed" else [2])
        for averaged in (False, True):
            one, two = (load_run_weights(tmp_path / n / name, averaged=averaged) for n in ("one", "two"))
            start = dict(trainer_runs.make_net(torch.float64).state_dict())
            assert relative_difference(two, start) > 1e-2, "it did not learn"
            assert relative_difference(two, one) <= 1e-6, f"{name}, averaged={averaged}"


@pytest.mark.long
def test_killed_three_times_equals_uninterrupted(tmp_path: Path) -> None:
    """``kill -9`` in a random step, in the thread that reads, between the renames of a checkpoint: the same bits."""
    start_script("killed", str(tmp_path))
    with pytest.warns(UserWarning, match="clip 6"):
        whole = trainer_runs.train(tmp_path / "whole", trainer_runs.CONFIG, dtype=torch.float32)
    kills = (tmp_path / "kills.txt").read_text()
    for averaged in (False, True):
        found = load_run_weights(tmp_path / "run", averaged=averaged)
        for name, value in load_run_weights(tmp_path / "whole", averaged=averaged).items():
            assert torch.equal(found[name], value), f"{name} differs after kills in steps {kills}"
    assert torch.equal(whole.last.weight, load_run_weights(tmp_path / "run")["last.weight"])
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, trainer_runs.STEPS + 1))
    assert len(json.loads((tmp_path / "run/environment.json").read_text())) > 1


def test_processes_share_the_batches_of_every_step() -> None:
    for num_ranks in (1, 2, 3, 6):
        shares = [BatchShare(per_step=6, rank=rank, num_ranks=num_ranks) for rank in range(num_ranks)]
        numbers = [[number for step in (4, 5) for number in share.numbers(step)] for share in shares]
        assert sorted(number for part in numbers for number in part) == list(range(24, 36))
        for part in numbers:
            assert {b - a for a, b in pairwise(part)} <= {num_ranks}
    with pytest.raises(InputError, match="multiple of 4"):
        BatchShare(per_step=6, rank=0, num_ranks=4)
