"""Which tests are related to a fault: the map from tests to the statements that they run through."""

from __future__ import annotations

import ast
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from mutations import Mutant


@dataclass(frozen=True, kw_only=True)
class RelatedTests:
    """Tests to run for a fault, in order, and how long they computed without it."""

    tests: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class TestMap:
    """What every test ran through.

    Attributes:
        sources: hash of each mapped source, by path relative to the repository.
        seconds: of computation of each test, by its node id.
        statements: of each test, as ``path:line``. What a fixture that several tests share ran through counts for all
            tests of the file.
        imports: sources that each test file imports by itself.
    """

    sources: dict[str, str]
    seconds: dict[str, float]
    statements: dict[str, frozenset[str]]
    imports: dict[str, frozenset[str]]

    def find_related(self, mutant: Mutant, source: str, *, budget_s: float) -> RelatedTests:
        """Tests through the changed statement, or, outside of functions, through any that reads the changed name.

        Test files that import the source come first, then quick ones; tests of one file stay together.
        """
        hits = self._find_hits(mutant, source)
        files: dict[str, list[str]] = {}
        for test in hits:
            files.setdefault(test.split("::")[0], []).append(test)
        cost = {file: sum(self.seconds[test] for test in tests) for file, tests in files.items()}
        chosen, total = [], 0.0
        for file in sorted(files, key=lambda file: (mutant.path not in self.imports.get(file, ()), cost[file])):
            for test in sorted(files[file], key=lambda test: self.seconds[test]):
                if chosen and total + self.seconds[test] > budget_s:
                    continue
                chosen.append(test)
                total += self.seconds[test]
        return RelatedTests(tests=tuple(chosen), seconds=total)

    def _find_hits(self, mutant: Mutant, source: str) -> list[str]:
        lines = {mutant.statement} if mutant.statement is not None else set[int]()
        if not lines and mutant.name:
            lines = _lines_that_read(source, mutant.name)
        if lines:
            places = {f"{mutant.path}:{line}" for line in lines}
            return [test for test, statements in self.statements.items() if not places.isdisjoint(statements)]
        # A field or a constant that only others read: what runs through this source, or is in a file that imports it.
        importing = {file for file, sources in self.imports.items() if mutant.path in sources}
        through = f"{mutant.path}:"
        return [
            test
            for test, statements in self.statements.items()
            if test.split("::")[0] in importing or any(place.startswith(through) for place in statements)
        ]


def _lines_that_read(source: str, name: str) -> set[int]:
    """Lines of statements in functions that mention a name."""
    found = set()
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef):
            for statement in ast.walk(function):
                if isinstance(statement, ast.stmt) and any(
                    name in (getattr(node, "id", None), getattr(node, "attr", None)) for node in ast.walk(statement)
                ):
                    found.add(statement.lineno)
    return found


def hash_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def load_map(path: Path) -> TestMap:
    data = json.loads(path.read_text())
    files = data["files"]
    return TestMap(
        sources=data["sources"],
        seconds={test: seconds for entry in files.values() for test, seconds in entry["seconds"].items()},
        statements={
            test: frozenset(places) for entry in files.values() for test, places in entry["statements"].items()
        },
        imports={file: frozenset(entry["imports"]) for file, entry in files.items()},
    )


def find_imports(path: Path, repository: Path) -> list[str]:
    """Sources of the package that a test file imports, relative to the repository."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    places = (repository / "src" / Path(*name.split(".")) for name in names if name.split(".")[0] == "unish")
    found = [place.with_suffix(".py") if place.with_suffix(".py").is_file() else place / "__init__.py"
             for place in places]  # fmt: skip
    direct = {place for place in found if place.is_file()}
    for place in list(direct):
        if place.name == "__init__.py":  # what a package hands on counts as imported from where it is made
            direct |= {repository / name for name in _handed_on(place, repository)}
    return sorted(place.relative_to(repository).as_posix() for place in direct)


def _handed_on(package: Path, repository: Path) -> list[str]:
    nodes = [node for node in ast.parse(package.read_text()).body if isinstance(node, ast.ImportFrom) and node.module]
    places = [(repository / "src" / Path(*node.module.split("."))).with_suffix(".py") for node in nodes if node.module]
    return [place.relative_to(repository).as_posix() for place in places if place.is_file()]
