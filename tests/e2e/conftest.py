"""A good video and a network that is small and knows nothing, for the tests of inputs; a browser for the viewer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from input_place import Place

from small_record import make_figure
from unish.body import Body
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


@pytest.fixture(scope="module")
def body() -> Body:
    return make_figure()


@pytest.fixture(scope="module")
def viser() -> Any:
    return pytest.importorskip("viser4d", reason="the extra `view` is not installed")


@pytest.fixture(scope="module")
def browser(viser: Any) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium on the path")
    options = ["--no-sandbox", "--disable-background-networking", "--use-gl=angle", "--use-angle=swiftshader"]
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=program, args=[*options, "--enable-unsafe-swiftshader"])
        yield opened
        opened.close()
