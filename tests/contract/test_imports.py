"""Every module imports with its shapes enforced."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import unish

SOURCES = Path(unish.__file__).parent
MODULES = sorted(
    ".".join(("unish", *path.relative_to(SOURCES).with_suffix("").parts)).removesuffix(".__init__")
    for path in SOURCES.rglob("*.py")
    if path.stem != "__main__"
)


@pytest.mark.parametrize("name", MODULES)
def test_module_imports(name: str) -> None:
    """A public signature that the shape checker cannot read (an unmarked Protocol, a bad shape string) fails here."""
    importlib.import_module(name)
