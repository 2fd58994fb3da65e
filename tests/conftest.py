"""Shapes are enforced in tests that have the time; folders that a checkout may lack are fixtures that skip."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from jaxtyping import config as shape_config
from jaxtyping import install_import_hook

# Before anything imports unish: from here on a wrong shape or dtype at a public signature is an error. The second
# argument is the checker that jaxtyping wraps; tests/contract/test_shapes.py fails if it stops working.
install_import_hook("unish", "shape_checker.check")

import torch  # noqa: E402

from unish import assets  # noqa: E402

REPOSITORY = Path(__file__).resolve().parent.parent

# Two pytest workers with as many OpenMP threads as cores each are slower than one thread each.
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


DEFAULT_FOLDERS = {"UNISH_PARITY_DIR": "../shared/parity", "UNISH_MEDIA_DIR": "../shared/media"}


def _name_folder(variable: str) -> Path:
    return Path(os.environ.get(variable, REPOSITORY / DEFAULT_FOLDERS[variable]))


def _find_folder(variable: str) -> Path:
    folder = _name_folder(variable)
    if not folder.is_dir():
        pytest.skip(f"{variable} names no folder ({folder})")
    return folder


@pytest.fixture(scope="session")
def parity_dir() -> Path:
    """Seeded inputs and outputs of the published network: ``UNISH_PARITY_DIR``, by default beside the checkout."""
    return _find_folder("UNISH_PARITY_DIR")


@pytest.fixture(scope="session")
def media_dir() -> Path:
    """Real clips and labelled data: ``UNISH_MEDIA_DIR``, by default beside the checkout."""
    return _find_folder("UNISH_MEDIA_DIR")


@pytest.fixture(autouse=True)
def _no_shapes_in_slow_tests(request: pytest.FixtureRequest) -> Iterator[None]:
    """A quarter of their time would go into it, and fast tests check most of what they call.

    Long tests have the time, and of what they call much is called by them alone.
    """
    slow, long = (request.node.get_closest_marker(name) is not None for name in ("slow", "long"))
    shape_config.update("jaxtyping_disable", slow and not long)
    yield
    shape_config.update("jaxtyping_disable", False)


@pytest.fixture(autouse=True)
def _only_hard_cuts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a video downloads nothing in tests: the model of soft changes is there for those that ask for it."""
    if "soft_changes" not in request.fixturenames:
        monkeypatch.setattr("unish.video.read._open_model", lambda progress: (None, []))


@pytest.fixture(autouse=True)
def _one_landmark_model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does finding people: the second landmark model is there for tests that ask for it."""
    if "second_landmarks" not in request.fixturenames:
        monkeypatch.setattr("unish.people.find.default_keypoints", lambda config, progress=None: (None, ()))


@pytest.fixture
def second_landmarks() -> None:
    """What asks for it loads the second landmark model, or does not find it, as users do."""


@pytest.fixture
def soft_changes() -> Path:
    """The weights that soft changes are found with; what asks for them reads videos as users do."""
    if not assets.is_present("transnetv2"):
        pytest.skip("transnetv2 is not here: `unish assets fetch transnetv2`")
    return assets.fetch("transnetv2")


def pytest_addoption(parser: pytest.Parser) -> None:
    """A test that needs another one before it, or is hurt by it, shows in another order."""
    parser.addoption("--shuffle", type=int, metavar="SEED", help="run files, and the tests of each, in a random order")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``parity_case`` is the stem of every end-to-end file of the parity folder, whichever these are."""
    if "parity_case" in metafunc.fixturenames:
        files = (_name_folder("UNISH_PARITY_DIR") / "fixtures").glob("case_*.npz")
        metafunc.parametrize("parity_case", sorted(path.stem for path in files), scope="session")


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY


@pytest.fixture
def rng() -> torch.Generator:
    """The same random numbers in every run of a test."""
    return torch.Generator().manual_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a folder by the fixture it asks for, skip what needs a missing device; shuffle if asked to."""
    if (seed := config.getoption("--shuffle")) is not None:
        dice = random.Random(seed)
        of_file = {path: dice.random() for path in sorted({item.path for item in items})}
        items.sort(key=lambda item: (of_file[item.path], dice.random()))
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.slow)
        names = getattr(item, "fixturenames", ())
        if "media_dir" in names:
            item.add_marker(pytest.mark.media)
        if "parity_dir" in names:
            item.add_marker(pytest.mark.parity)
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
    # Files that take long first: the worker that got one last would work on it alone.
    heavy = {item.path for item in items if any(item.get_closest_marker(mark) for mark in ("slow", "media", "parity"))}
    items.sort(key=lambda item: item.path not in heavy)
