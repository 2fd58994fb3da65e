"""A good video and a network that is small and knows nothing, shared by the tests of inputs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from input_place import Place

from unish.network import UniSH
from unish.network.config import tiny_config
from written_videos import numbered_pictures, write_video


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("shared")
    torch.manual_seed(0)
    UniSH(tiny_config()).save_pretrained(folder / "tiny")
    return write_video(folder / "good.mp4", numbered_pictures(12)), folder / "tiny"


@pytest.fixture
def place(tmp_path: Path, shared: tuple[Path, Path]) -> Place:
    return Place(folder=tmp_path, video=shared[0], model=shared[1])
