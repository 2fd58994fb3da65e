"""Who may import whom, how long a file may be, and what it may be called."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60

# Longer than the limits when these tests were written. Entries may only go away: a test fails for one no longer needed.
LONG_MODULES: frozenset[str] = frozenset()
LONG_FUNCTIONS: frozenset[str] = frozenset()

VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
LIGHT_LAYERS = ("geometry", "body", "structs")
HEAVY_IMPORTS = {"av", "viser", "ai_edge_litert", "moderngl", "PIL", "huggingface_hub", "pygltflib"}


def _modules(repository: Path) -> list[Path]:
    return sorted((repository / "src" / "unish").rglob("*.py"))


def _code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring and decorators."""
    assert function.end_lineno is not None
    length = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        assert first.end_lineno is not None
        length -= first.end_lineno - first.lineno + 1
    return length


def test_layers_import_downwards_only(repository: Path) -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    if not linter.exists():
        pytest.skip("import-linter is not installed")
    found = subprocess.run([linter, "--no-cache"], cwd=repository, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-1000:]


def test_low_layers_stay_light(repository: Path) -> None:
    """Geometry, body and records import no viewer, IO or detector library."""
    for layer in LIGHT_LAYERS:
        for path in (repository / "src" / "unish" / layer).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                heavy = {name.split(".")[0] for name in names} & HEAVY_IMPORTS
                assert not heavy, f"{path.relative_to(repository)} imports {sorted(heavy)}"


def test_modules_and_functions_stay_short(repository: Path) -> None:
    long_modules, long_functions = set(), set()
    for path in _modules(repository):
        name, text = path.relative_to(repository / "src" / "unish").as_posix(), path.read_text()
        if len(text.splitlines()) > MAX_MODULE_LINES:
            long_modules.add(name)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _code_lines(node) > MAX_FUNCTION_LINES:
                long_functions.add(f"{name}:{node.name}")
    assert long_modules == LONG_MODULES, f"split a module above {MAX_MODULE_LINES} lines, or drop its exemption"
    assert long_functions == LONG_FUNCTIONS, f"split a function above {MAX_FUNCTION_LINES} lines, or drop its exemption"


def test_modules_are_called_what_they_are(repository: Path) -> None:
    vague = [path for path in _modules(repository) if path.stem in VAGUE_NAMES]
    assert not vague, f"name these after what they hold: {vague}"


def test_paths_outside_the_checkout_stand_in_conftest_only(repository: Path) -> None:
    """Defaults for folders beside the checkout have one home."""
    outside = "../" + "shared"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    for name in listed.stdout.split("\0"):
        path = repository / name
        if not name or name == "tests/conftest.py" or not path.is_file():
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        assert outside not in text, f"{name} names {outside}; use the fixtures of tests/conftest.py"


def test_no_archive_or_download_lies_in_the_checkout(repository: Path) -> None:
    """Wheels and the like come in by ``git add`` of a folder in which something was downloaded."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    endings = (".whl", ".zip", ".gz", ".tgz", ".tar", ".pth", ".pt", ".onnx", ".mp4", ".part")
    assert [name for name in listed.stdout.split("\0") if name.endswith(endings)] == []
