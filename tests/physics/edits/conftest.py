"""The world that all edits start from, and its result: made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from edited_worlds import Settle, camera, cut_in_two, leave_out_quality, observe
from oracle_world import World, make_world
from unish import refinement
from unish.body import load_body
from unish.edits import Edit
from unish.pipeline import Result


@pytest.fixture(scope="session")
def world() -> World:
    return make_world(load_body(), camera(), betas=torch.zeros(2, 10))


@pytest.fixture(scope="session")
def first(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("first")
    return out, observe(world, out, all_files=True)


@pytest.fixture
def settle(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settle]:
    """``refine_into`` that leaves the folder as it is."""
    leave_out_quality(monkeypatch)
    monkeypatch.setattr(refinement, "write_files", lambda *args, **options: [])
    monkeypatch.setattr(refinement.Films, "put_beside", lambda films, work, film, wanted, names: names)

    def settled(out: Path, *edits: Edit) -> Result:
        return refinement.refine_into(out, edits)[0]

    yield settled


@pytest.fixture(scope="session")
def broken(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result in which the second person has two ids."""
    out = tmp_path_factory.mktemp("broken")
    assert observe(cut_in_two(world), out).reconstruction.person_ids.tolist() == [4, 9, 12]
    return out
