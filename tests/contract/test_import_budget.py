"""What a start must not load: every one of these costs a tenth of a second or more, and is needed later or never."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "scipy", "numpy", "av", "PIL", "huggingface_hub", "ai_edge_litert", "pygltflib", "viser")
COMPILER = ("torch._dynamo", "torch._inductor", "sympy", "huggingface_hub", "ai_edge_litert", "viser", "unish.lab")


def _loaded(code: str) -> set[str]:
    """Modules that a new interpreter has loaded after some code."""
    told = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(chr(10), *sys.modules, sep=chr(10))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(told.stdout.split())


@pytest.mark.parametrize("words", [["--help"], ["reconstruct", "--help"]], ids=" ".join)
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    assert not _loaded(f"from unish.cli import main\nmain({words})") & set(HEAVY)


def test_a_wrong_name_is_told_before_anything_heavy_is_loaded() -> None:
    words = ["reconstruct", "no such film.mp4", "--out", "out"]
    assert not _loaded(f"from unish.cli import main\nassert main({words}) == 2") & (set(HEAVY) - {"numpy"})


def test_the_package_alone_loads_nothing_heavy() -> None:
    assert not _loaded("import unish") & set(HEAVY)


@pytest.mark.slow
def test_the_pipeline_does_not_load_a_compiler() -> None:
    assert not _loaded("import unish.pipeline") & set(COMPILER)


@pytest.mark.slow
def test_what_rests_on_the_compiler_still_works() -> None:
    code = """
import torch
from unish.geometry.rotation import nearest_rotation
import roma.mappings
apart = roma.mappings._procrustes_apply_eager if hasattr(roma.mappings, "_procrustes_apply_eager") else None
matrix = torch.eye(3, requires_grad=True)
nearest_rotation(matrix + 0.1).sum().backward()
assert torch.isfinite(matrix.grad).all()
compiled = torch.compile(nearest_rotation, backend="eager")(torch.eye(3))
assert torch.allclose(compiled, torch.eye(3)), compiled
assert torch._dynamo.disable.__module__.startswith("torch")
"""
    assert "torch._dynamo" in _loaded(code)
