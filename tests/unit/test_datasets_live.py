"""Clips rendered while training runs: those of the disk, from any number of processes, which end when they should."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clip_checks import assert_keeps_its_promises
from unish.errors import InputError
from unish.lab.datasets import ClipStream, LiveClips, MixedSource, ShardClips
from unish.lab.synthetic import HELD_BACK_SEED, SynthConfig
from unish.lab.synthetic.shards import ShardConfig, write_shards
from unish.lab.training.data import BatchWorkers, SceneBatches, SceneDataConfig

SHARDS = ShardConfig(
    sizes=((48, 64), (64, 48)), clips_per_shard=2, clip=SynthConfig(num_frames=3, max_people=1, samples=1)
)
CONFIG = SceneDataConfig(num_clips=2, num_frames=2, long_sides=(64,))


@pytest.mark.long
def test_live_clips_are_those_that_shards_hold(tmp_path: Path) -> None:
    write_shards(tmp_path, num_shards=2, seed=3, config=SHARDS)
    stored, live = ShardClips(tmp_path), LiveClips(SHARDS, seed=3)
    assert isinstance(live, ClipStream) and not isinstance(stored, ClipStream)
    for index in range(4):
        assert live.size(index) == stored.size(index)
        clip = live.load(index, np.random.default_rng(0), num_frames=2)
        expected = stored.load(index, np.random.default_rng(0), num_frames=2)
        assert clip.keys() == expected.keys()
        for name, values in clip.items():
            np.testing.assert_array_equal(values, expected[name], err_msg=name)
    assert_keeps_its_promises(live, 2, index=1)


def test_a_window_is_used_for_its_steps_and_never_for_validation() -> None:
    live = LiveClips(SHARDS, seed=3, steps_per_window=3)
    trained: set[int] = set()
    for step in range(3 * 19 * 4):
        window = live.window(step, first=0, last=19)
        assert window == live.window(step - step % 3, first=0, last=19) and len(window) == 2
        trained |= set(window)
    assert len(trained) == 19 * 4 * 2  # a new window each time
    held_back = [live.window(step, first=19, last=20) for step in range(0, 3 * 4, 3)]
    assert not trained & {clip for window in held_back for clip in window}
    assert {live.size(window[0]) for window in held_back} == set(SHARDS.sizes)
    with pytest.raises(InputError, match="beyond"):
        LiveClips(SHARDS, seed=3, num_clips=40).window(10_000, first=0, last=19)


def test_what_a_stream_refuses() -> None:
    with pytest.raises(InputError, match="held back"):
        LiveClips(SHARDS, seed=HELD_BACK_SEED)
    with pytest.raises(InputError, match="1 or more"):
        LiveClips(SHARDS, seed=1, steps_per_window=0)
    with pytest.raises(InputError, match="1 or more"):
        BatchWorkers(SceneBatches(LiveClips(SHARDS, seed=1), CONFIG), workers=0)


@pytest.mark.long
def test_batches_are_the_same_from_any_number_of_processes(tmp_path: Path) -> None:
    write_shards(tmp_path, num_shards=2, seed=3, config=SHARDS)
    mixture = MixedSource([LiveClips(SHARDS, seed=3, steps_per_window=2), ShardClips(tmp_path)], [2, 1])
    batches = SceneBatches(mixture, CONFIG, seed=1)
    assert batches.steps_per_window == 2
    alone = {step: batches(step) for step in range(1, 5)}
    with BatchWorkers(batches, workers=2, ahead=2) as made:
        processes = []
        for start in (2, 1):  # in order from there; another start begins anew
            for step in range(start, start + 3):
                assert_same(made(step), alone[step])
            processes += made._processes
    assert len(processes) == 4 and not any(process.is_alive() for process in processes)


def assert_same(first: object, second: object) -> None:
    for name, values in vars(first).items():
        torch.testing.assert_close(values, getattr(second, name), rtol=0, atol=0)


@pytest.mark.long
def test_trouble_in_a_process_reaches_the_training() -> None:
    short = SceneBatches(LiveClips(SHARDS, seed=3), replace(CONFIG, num_frames=5))
    with BatchWorkers(short, workers=1) as made:
        for step in range(2):  # a bad batch does not end the process
            with pytest.raises(InputError, match="3 frames"):
                made(step)
        assert made._processes[0].is_alive()
    batches = SceneBatches(LiveClips(SHARDS, seed=3, steps_per_window=1), CONFIG)
    with BatchWorkers(batches, workers=1, ahead=1) as made:
        made(0)
        made._processes[0].kill()
        with pytest.raises(RuntimeError, match="ended with code -9"):
            for step in range(1, 5):
                made(step)


@pytest.mark.long
def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        textwrap.dedent("""
        import os
        from unish.lab.datasets import LiveClips
        from unish.lab.synthetic import SynthConfig
        from unish.lab.synthetic.shards import ShardConfig
        from unish.lab.training.data import BatchWorkers, SceneBatches, SceneDataConfig

        if __name__ == "__main__":
            clip = SynthConfig(num_frames=2, max_people=0, samples=1)
            live = LiveClips(ShardConfig(sizes=((32, 48),), clips_per_shard=1, clip=clip), seed=1)
            made = BatchWorkers(SceneBatches(live, SceneDataConfig(num_clips=1, num_frames=2)), workers=1, ahead=1)
            made(0)
            print(made._processes[0].pid, flush=True)
            os._exit(1)  # as if killed: nothing is tidied up
        """)
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    worker = int(done.stdout)
    for _ in range(100):
        if not is_running(worker):
            return
        time.sleep(0.1)
    raise AssertionError("the worker outlived its parent")


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # A dead child whose new parent has not asked for it yet is no longer running.
    state = Path(f"/proc/{process}/stat")
    return not (state.is_file() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z")
