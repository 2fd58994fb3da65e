"""What several parts of the package must agree on stands in one place, and the others take it from there."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

NAMES = {
    "CONFIDENT": "structs/prediction.py",
    "RELIABLE": "structs/reconstruction.py",
    "NUM_LANDMARKS": "structs/people.py",
    "NUM_JOINTS": "body/joints.py",
    "NUM_BETAS": "body/joints.py",
    "JOINT_LANDMARKS": "body/joints.py",
    "MIRRORED_JOINTS": "body/joints.py",
    "MIRRORED_LANDMARKS": "body/joints.py",
    "PARENTS": "body/joints.py",
    "RULER_LANDMARKS": "reconstruction/anchor.py",
    "JOINT_PAIRS": "reconstruction/report.py",
    "NECK": "reconstruction/ground.py",
    "UPRIGHT": "reconstruction/ground.py",
    "STORE": "structs/reconstruction.py",
    "WORK_FOLDER": "io/work_folder.py",
}
"""Constants, and the module that defines each."""


def assigned(path: Path) -> set[str]:
    """Names that a module gives a value of its own, leading underscores left out."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            parts = target.elts if isinstance(target, ast.Tuple) else [target]
            names.update(part.id.lstrip("_") for part in parts if isinstance(part, ast.Name))
    return names


@pytest.fixture(scope="module")
def homes(repository: Path) -> dict[str, list[str]]:
    root, found = repository / "src" / "unish", defaultdict[str, list[str]](list)
    for path in sorted(root.rglob("*.py")):
        for name in assigned(path):
            found[name].append(path.relative_to(root).as_posix())
    return found


@pytest.mark.parametrize(("name", "home"), NAMES.items())
def test_each_shared_fact_is_defined_once(name: str, home: str, homes: dict[str, list[str]]) -> None:
    assert homes[name] == [home]


def long_literals(path: Path) -> list[tuple[object, ...]]:
    """Tuples and lists of at least six whole numbers that are not one after the other, and dicts of such."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Tuple | ast.List | ast.Dict):
            try:
                value = ast.literal_eval(node)
            except ValueError:
                continue
            flat = tuple(value.items()) if isinstance(value, dict) else tuple(value)
            numbers = all(isinstance(one, int) and not isinstance(one, bool) for one in flat)
            if numbers and len(flat) >= 6 and len(set(flat)) >= 6:
                found.append(flat)
    return found


def test_no_table_of_numbers_is_written_twice(repository: Path) -> None:
    """Of joints, landmarks, parents, mirrors: whichever they are."""
    places = defaultdict[tuple[object, ...], set[str]](set)
    for path in sorted((repository / "src" / "unish").rglob("*.py")):
        for table in long_literals(path):
            places[tuple(sorted(map(str, table)))].add(path.name)
    twice = {table: names for table, names in places.items() if len(names) > 1}
    assert not twice
