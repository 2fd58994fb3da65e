"""The tool that puts faults into the code: what it changes, which tests it runs, and that it sees what they notice."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest

SOURCE = dedent(
    '''
    """Half of 2 things."""

    import math

    __all__ = ["halve", "LIMIT"]
    LIMIT: "int 3" = 40


    def halve(value: float, other: float = 7) -> float:
        """Half of ``value`` + 1, never less than 0."""
        if value < 0:
            raise ValueError("less than 0 or 1")
        value = value + 1
        return max(value / 2, other) if value > LIMIT else value / 2


    def forget(values: list[int]) -> None:
        values.clear()
    '''
).lstrip()

TEST = dedent(
    """
    import pytest
    from unish.geometry.half import halve

    def test_halves():
        assert halve(5) == 3 and halve(0) == 0.5 and halve(99) == 50 and halve(39) == 20
        with pytest.raises(ValueError):
            halve(-1)

    def test_large():
        assert halve(41, 30) == 30 and halve(40) == 20.5
    """
)


@pytest.fixture
def tools(repository: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    monkeypatch.syspath_prepend(str(repository / "tools"))
    names = ("mutations", "mutation_tests", "mutation_runner", "mutate")
    found = {name: __import__(name) for name in names}
    for name in names:
        monkeypatch.delitem(sys.modules, name)
    return found


def test_faults_are_in_what_runs_and_nowhere_else(tools: dict[str, ModuleType]) -> None:
    mutants = tools["mutations"].list_mutants("half.py", SOURCE)
    changes = {mutant.changed_lines(SOURCE) for mutant in mutants}
    for before, after in (
        ("if value < 0:", "if (value <= 0):"),
        ("if value < 0:", "if (value >= 0):"),
        ("if value < 0:", "if value < 1:"),
        ("value = value + 1", "value = (value - 1)"),
        ("value = value + 1", "pass"),
        ("values.clear()", "pass"),
        ('raise ValueError("less than 0 or 1")', "pass"),
        ("def halve(value: float, other: float = 7) -> float:", "def halve(value: float, other: float = 14) -> float:"),
        ('LIMIT: "int 3" = 40', 'LIMIT: "int 3" = 20'),
    ):
        assert (before, after) in changes, (before, after)
    last = "return max(value / 2, other) if value > LIMIT else value / 2"
    assert {after for before, after in changes if before == last} >= {
        "return min(value / 2, other) if value > LIMIT else value / 2",
        "return (value / 2 if value > LIMIT else max(value / 2, other))",
        "return max((value * 2), other) if value > LIMIT else value / 2",
    }
    assert (last, "return max(other, value / 2) if value > LIMIT else value / 2") not in changes, "max is commutative"
    touched = {before for before, _ in changes}
    assert not any("__all__" in line or '"""' in line or "import" in line for line in touched)
    for mutant in mutants:
        compile(mutant.apply(SOURCE), "half.py", "exec")
        assert mutant.apply(SOURCE).count("less than 0 or 1") <= 1
        assert mutant.diff(SOURCE).count("\n+") == 2, "one line is changed"
    moved = tools["mutations"].list_mutants("half.py", "\n\n" + SOURCE)
    assert [mutant.key for mutant in moved] == [mutant.key for mutant in mutants], "keys do not depend on the place"
    assert len({mutant.key for mutant in mutants}) == len(mutants)


def test_the_sample_goes_by_lines_and_repeats(tools: dict[str, ModuleType]) -> None:
    sources = {"short.py": SOURCE, "long.py": SOURCE + "\n".join(f"X{i} = {i}" for i in range(60))}
    draw = tools["mutate"].draw
    first, again, other = (draw(sources, 30, seed) for seed in (0, 0, 1))
    assert first == again and first != other and len(set(first)) == 30
    share = sum(mutant.path == "short.py" for mutant in first) / 30
    assert share == pytest.approx(SOURCE.count("\n") / (2 * SOURCE.count("\n") + 60), abs=0.02)


def test_related_tests_run_through_the_statement_quick_and_near_ones_first(tools: dict[str, ModuleType]) -> None:
    seconds = {"a.py::slow": 3.0, "a.py::quick": 1.0, "b.py::far": 0.1, "c.py::none": 0.1}
    check, error, _, last = range(SOURCE[: SOURCE.index("if value < 0")].count("\n") + 1, SOURCE.count("\n"))[:4]
    places = {"a.py::slow": [check], "a.py::quick": [check, error], "b.py::far": [check], "c.py::none": [last]}
    tests = tools["mutation_tests"].TestMap(
        sources={},
        seconds=seconds,
        statements={name: frozenset(f"half.py:{line}" for line in lines) for name, lines in places.items()},
        imports={"a.py": frozenset(["half.py"])},
    )
    mutants = tools["mutations"].list_mutants("half.py", SOURCE)

    def related(before: str, budget_s: float = 99) -> tuple[str, ...]:
        mutant = next(mutant for mutant in mutants if mutant.changed_lines(SOURCE)[0].startswith(before))
        return tests.find_related(mutant, SOURCE, budget_s=budget_s).tests

    assert related("if value < 0") == ("a.py::quick", "a.py::slow", "b.py::far")
    assert related("if value < 0", budget_s=2) == ("a.py::quick", "b.py::far")
    assert related("raise") == ("a.py::quick",)
    assert related("LIMIT") == ("c.py::none",), "where the name is read"


@pytest.mark.slow
def test_what_the_tests_notice_is_killed_and_the_rest_is_told(repository: Path, tmp_path: Path) -> None:
    """On a package of one source, in a process of its own."""
    shutil.copytree(repository / "tools", tmp_path / "tools", ignore=shutil.ignore_patterns("__pycache__", "*.txt"))
    for name, text in (
        ("src/unish/__init__.py", ""), ("src/unish/geometry/__init__.py", ""), ("src/unish/geometry/half.py", SOURCE),
        ("tests/unit/test_half.py", TEST),
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    command = (
        "import sys; sys.path.insert(0, 'tools'); import mutation_runner; mutation_runner.PACKAGES = (); import mutate;"
        "mutate.AREAS = ('geometry',); sys.exit(mutate.main(sys.argv[1:]))"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-c", command, "--areas", "geometry", *arguments]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    done = run("--sample", "16", "--jobs", "2", "--at-least", "0.5")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in (tmp_path / "build/mutation/results.jsonl").read_text().splitlines()]
    assert len(rows) == 16
    survived = {row["before"] for row in rows if row["verdict"] == "survived"}
    assert "values.clear()" in survived and "value = value + 1" not in survived
    by = {row["by"] for row in rows if row["verdict"] == "killed"}
    assert by <= {f"tests/unit/test_half.py::test_{name}" for name in ("halves", "large")}
    assert (tmp_path / "src/unish/geometry/half.py").read_text() == SOURCE, "the working tree stays as it is"

    lines = [line for line in done.stdout.splitlines() if line.startswith(("- values", "+ pass"))]
    assert lines == ["- values.clear()", "+ pass"]
    (tmp_path / "tools/equivalent_mutants.txt").write_text(
        "# why\n\nsrc/unish/geometry/half.py\n- values.clear()\n+ pass\nnobody calls it\n"
    )
    again = run("--sample", "16")
    assert "killed geometry" not in again.stdout, again.stderr + "all results are there"
    last = next(line for line in again.stdout.splitlines() if line.startswith("all"))
    assert last.split()[4] == "1" and "too many to be believed" in again.stdout, again.stdout
    assert run("--sample", "16", "--at-least", "1").returncode == 1
    assert run("--survivors", "build/mutation/results.jsonl").returncode == 0
