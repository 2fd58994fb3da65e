"""Workers of a batch: loaded once, replaced when they are killed, ended when the batch is."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path

import pytest

import batch_work
from unish.batch import LocalEngine, Outcome, choose_workers
from unish.errors import InputError

pytestmark = pytest.mark.slow


def engine(**options: object) -> LocalEngine:
    return LocalEngine(function="batch_work:work", **options)  # type: ignore[arg-type]


def by_name(outcomes: list[Outcome]) -> dict[str, Outcome]:
    return {outcome.name: outcome for outcome in outcomes}


def test_a_worker_does_many_tasks_with_its_threads_and_gpu(tmp_path: Path) -> None:
    tasks = batch_work.make_tasks(tmp_path, ["slow1", "slow2", "slow3", "slow4"])
    found = list(engine(workers=2, threads=3, gpus=["5", "7"]).run(tasks))
    assert {outcome.status for outcome in found} == {"done"}
    told = {outcome.message for outcome in found}
    assert len(told) == 2, "one line for each process"
    assert {line.split()[1] for line in told} == {"3"} and {line.split()[2] for line in told} == {"5", "7"}


def test_the_task_of_a_killed_worker_is_begun_once_more(tmp_path: Path) -> None:
    tasks = batch_work.make_tasks(tmp_path, ["a", "killed", "b", "deadly", "c"])
    found = by_name(list(engine(workers=1).run(tasks)))
    assert {name: outcome.status for name, outcome in found.items()} == {
        "a": "done", "killed": "done", "b": "done", "deadly": "failed", "c": "done",
    }  # fmt: skip
    assert {name: outcome.attempts for name, outcome in found.items()} == {
        "a": 1, "killed": 2, "b": 1, "deadly": 2, "c": 1,
    }  # fmt: skip
    assert "SIGKILL" in found["deadly"].message and "\n" not in found["deadly"].message


def test_leaving_early_ends_the_workers(tmp_path: Path) -> None:
    tasks = batch_work.make_tasks(tmp_path, ["a", "slow1", "slow2", "slow3"])
    local = engine(workers=1)
    with closing(local.run(tasks)) as running:
        next(running)
        while not (tmp_path / "slow1-begun").exists():
            time.sleep(0.01)
    assert not local._running and not (tmp_path / "slow1").exists() and not (tmp_path / "slow2-begun").exists()


def test_a_function_that_is_not_there(tmp_path: Path) -> None:
    (found,) = LocalEngine(function="batch_work:none").run(batch_work.make_tasks(tmp_path, ["a"]))
    assert found.status == "failed" and "exit code 1" in found.message


def test_workers_and_threads_that_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unish.batch.local._visible_gpus", lambda: ["0", "1", "2"])
    monkeypatch.setattr(os, "sched_getaffinity", lambda who: set(range(8)), raising=False)
    monkeypatch.setattr("unish.batch.local._memory", lambda: 7 * 2**30)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert choose_workers(100, "auto", None, None) == (3, 2, ["0", "1", "2"])
    assert choose_workers(2, "cuda", None, None) == (2, 4, ["0", "1", "2"])
    assert choose_workers(100, "cpu", None, None) == (2, 4, []), "as many as the memory is there for"
    assert choose_workers(100, "cpu", 8, None) == (8, 1, [])
    assert choose_workers(100, "cpu", 16, 2) == (16, 2, [])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert choose_workers(100, "cpu", None, None) == (2, 1, [])


def test_ray_does_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="ray is not installed: pip install 'unish[cluster]'")
    from unish.batch import RayEngine

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    tasks = batch_work.make_tasks(tmp_path, ["a", "killed", "b", "deadly"])
    found = by_name(list(RayEngine(threads=1, at_once=2, function=batch_work.work).run(tasks)))
    assert {name: outcome.status for name, outcome in found.items()} == {
        "a": "done", "killed": "done", "b": "done", "deadly": "failed",
    }  # fmt: skip
    assert found["a"].message.split()[1] == "1" and "\n" not in found["deadly"].message


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unish.batch import RayEngine

    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'unish\[cluster\]'"):
        next(RayEngine().run(batch_work.make_tasks(tmp_path, ["a"])))
