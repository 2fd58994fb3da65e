"""Every name that a function reads is there: types of arrays have names of sides that linters take for undefined ones,
so that these leave undefined names alone."""

from __future__ import annotations

import builtins
import dis
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import pytest

import unish

ROOT = Path(unish.__file__).parent
MODULES = sorted(
    ".".join(("unish", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
    if path.stem != "__main__"
)


def read_globals(code: CodeType) -> Iterator[str]:
    """Names that functions look for in their module."""
    yield from (one.argval for one in dis.get_instructions(code) if one.opname == "LOAD_GLOBAL")
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from read_globals(inner)


def find_undefined(source: str, known: set[str]) -> set[str]:
    return set(read_globals(compile(source, "module", "exec", dont_inherit=True))) - known - set(dir(builtins))


@pytest.mark.parametrize("package", sorted({".".join(name.split(".")[:2]) for name in MODULES}))
def test_all_names_are_defined(package: str) -> None:
    undefined = {}
    for name in MODULES:
        if name != package and not name.startswith(f"{package}."):
            continue
        try:
            module = importlib.import_module(name)
        except ImportError:  # an extra that is not installed
            continue
        assert module.__file__ is not None
        if missing := find_undefined(Path(module.__file__).read_text(encoding="utf-8"), set(vars(module))):
            undefined[name] = missing
    assert not undefined


def test_an_undefined_name_is_found() -> None:
    source = (
        "from __future__ import annotations\ndef one(x: Float[Tensor, 'P']) -> int:\n    return [two(y) for y in x]\n"
    )
    assert find_undefined(source, {"one"}) == {"two"}
