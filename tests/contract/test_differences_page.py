"""docs/differences-from-the-paper.md names a test for every difference, and the tests exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest


@pytest.fixture
def rows(repository: Path) -> list[str]:
    page = (repository / "docs" / "differences-from-the-paper.md").read_text()
    return [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| published")]


def test_every_difference_has_a_test(rows: list[str], repository: Path) -> None:
    assert len(rows) >= 10
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert named, f"no test is named in: {row}"
        for path, test in named:
            tree = ast.parse((repository / path).read_text())
            functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            assert test in functions, f"{path} has no {test}"
