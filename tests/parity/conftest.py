"""Fixtures of the parity tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from .seeded_weights import SeededWeights, relative_error


@pytest.fixture(scope="session")
def weights(parity_dir: Path) -> SeededWeights:
    return SeededWeights(parity_dir)


class Fixture:
    """The stored outputs of one module, compared within the accepted relative error."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            self.arrays = dict(file)

    def __getitem__(self, key: str) -> np.ndarray:
        return self.arrays[key]

    def check(self, key: str, actual: Tensor, limit: float = 1e-5) -> None:
        error = relative_error(actual, self.arrays[key])
        print(f"{key:24s} {error:.1e}")
        assert error <= limit, f"{key}: relative error {error:.2e} is above {limit:.0e}"


@pytest.fixture(scope="session")
def load_fixture(parity_dir: Path) -> Callable[[str], Fixture]:
    return lambda name: Fixture(parity_dir / "fixtures" / f"mod_{name}.npz")
