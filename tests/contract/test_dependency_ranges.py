"""Both ends of a range in pyproject.toml were run, as docs/research (installs.md, extras.md) or constraints.txt say."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def matrix(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "tools"))
    module = __import__("matrix")
    monkeypatch.delitem(sys.modules, "matrix")
    return module


def release(version: str) -> tuple[int, ...]:
    """Numbers of a version, without zeros at the end: 1.26 is 1.26.0."""
    numbers = [int(part) for part in version.split("+")[0].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def test_every_core_dependency_has_a_range(matrix: ModuleType) -> None:
    names = {line.split(">")[0] for line in matrix.read_core_requirements()}
    assert names <= set(matrix.read_ranges())


def test_both_ends_of_every_range_were_run(matrix: ModuleType, repository: Path) -> None:
    rows = matrix.read_table(repository / "docs" / "research" / "installs.md")
    of_extras = {row["package"]: row for row in matrix.read_table(repository / "docs" / "research" / "extras.md")}
    works = [row for row in rows if row["result"].startswith("works")]
    constraints = (repository / "constraints.txt").read_text().splitlines()
    # The set that `make test` uses is run more than any other.
    tested = dict(line.split("==") for line in constraints if "==" in line)
    for name, (low, below) in matrix.read_ranges().items():
        if extra := of_extras.get(name):
            run = [release(extra["lowest"]), release(extra["highest"])]
        else:
            run = sorted(release(row[name]) for row in works if row[name])
        assert run and run[0] == release(low), f"{name}: the range begins at {low}, run were {run}"
        newest = max(run[-1], release(tested[name]))
        # The next major version is the first that may break things; versions before 1 may at 1.
        assert release(below) == (newest[0] + 1,), f"{name}: the range ends at {below}, the highest run was {newest}"
