"""Many videos with what is loaded once: the results of single runs, from threads, too, and nothing else is changed."""

from __future__ import annotations

import threading
import warnings
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from input_place import Place

import unish
from unish import Reconstruction, Reconstructor
from unish.errors import InputError
from unish.network import UniSH
from unish.passes import models
from written_videos import numbered_pictures, write_video

CHOSEN = {"people": 0, "max_frames": 6}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("videos")
    pictures = numbered_pictures(40)
    return [write_video(folder / f"{first}.mp4", pictures[first : first + 12]) for first in (0, 12, 24)]


def assert_same(found: Reconstruction, wanted: Reconstruction) -> None:
    for one in fields(Reconstruction):
        if one.name != "extra":
            np.testing.assert_array_equal(getattr(found, one.name), getattr(wanted, one.name), err_msg=one.name)


def test_three_videos_load_once(place: Place, videos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    alone = [unish.reconstruct(video, model=str(place.model), **CHOSEN) for video in videos]
    loaded: list[str] = []
    network, body = UniSH.from_pretrained, models.load_body
    monkeypatch.setattr(
        UniSH, "from_pretrained", lambda name, **options: loaded.append(name) or network(name, **options)
    )
    monkeypatch.setattr(models, "load_body", lambda name: loaded.append(name) or body(name))
    reconstructor = Reconstructor(str(place.model))
    assert loaded == [str(place.model), "free"], "at once, so that a mistake shows before the first video"
    for video, wanted in zip(videos, alone, strict=True):
        found = reconstructor.run(video, **CHOSEN)
        assert_same(found, wanted)
        assert found.report is not None and [shot["verdict"] for shot in found.report["shots"]]
    assert loaded == [str(place.model), "free"]


def test_threads_give_what_single_runs_give(place: Place, videos: list[Path]) -> None:
    reconstructor = Reconstructor(str(place.model))
    alone = [reconstructor.run(video, **CHOSEN) for video in videos]
    found: dict[int, Reconstruction] = {}

    def work(number: int) -> None:
        found[number] = reconstructor.run(videos[number], **CHOSEN)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, wanted in enumerate(alone):
        assert_same(found[number], wanted)


def test_nothing_of_the_process_is_changed(
    place: Place, videos: list[Path], capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    torch.manual_seed(77)
    state, filters, threads = torch.get_rng_state(), list(warnings.filters), torch.get_num_threads()
    result = Reconstructor(str(place.model)).run(videos[0], **CHOSEN)
    assert torch.equal(torch.get_rng_state(), state) and warnings.filters == filters
    assert torch.get_num_threads() == threads and torch.is_grad_enabled()
    assert result.num_frames == 6 and not recwarn.list
    assert capfd.readouterr() == ("", "")


def test_settings_and_mistakes(place: Place, videos: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such"):
        Reconstructor(str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="device"):
        Reconstructor(str(place.model), device="abacus")
    reconstructor = Reconstructor(str(place.model), device="cpu")
    with pytest.raises(InputError, match="window"):
        reconstructor.run(videos[0], window=0)
    with pytest.raises(InputError, match="no such file"):
        reconstructor.run(tmp_path / "none.mp4")
    seen: list[str] = []
    reconstructor.run(videos[0], progress=lambda stage, done, total: seen.append(stage), **CHOSEN)
    assert {"read video", "network", "reconstruct"} <= set(seen)
