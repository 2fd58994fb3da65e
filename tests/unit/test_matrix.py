"""The tool that tries installations: what it asks pip for, what it says of a row, that nothing of a row stays."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def matrix(repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "tools"))
    module = __import__("matrix")
    monkeypatch.delitem(sys.modules, "matrix")
    source = tmp_path / "checkout"
    (source / "build").mkdir(parents=True)
    (source / "build" / "stale.py").touch()
    (source / "pyproject.toml").write_text(
        '[project]\ndependencies = ["torch>=2.6,<3", "av>=15,<20", "Some_Thing>=1.2"]\n'
        '[project.optional-dependencies]\nrender = ["moderngl>=5.12,<6"]\n'
    )
    monkeypatch.setattr(module, "ROOT", source)
    monkeypatch.setattr(module, "PROJECT", source / "pyproject.toml")
    return module


class FakePrograms:
    """Stands in for ``subprocess.run``: notes commands, and does what venv, uv and the package would."""

    def __init__(self, people: int = 1) -> None:
        self.people = people
        self.commands: list[list[str]] = []
        self.constraints: list[str] = []
        self.folders: set[Path] = set()
        self.fails: str | None = None

    def __call__(self, command: list[str], *, cwd: Path | None, **_: object) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        said = ""
        if self.fails is not None and self.fails in command:
            return subprocess.CompletedProcess(command, 1, "", "WARNING: slow\nERROR: no such | thing\nhint: none\n")
        if "venv" in command:
            self.folders.add(Path(command[-1]).parent)
        if "--constraint" in command:
            self.constraints.append(Path(command[command.index("--constraint") + 1]).read_text())
        if "compile" in command:
            said = "torch==2.6.0\nav==15.0.0\nidna==1.0\n"
        if "-c" in command:
            said = json.dumps({"python": "3.11.9", "av": "15.0.0", "torch": "2.6.0+cpu"})
        if "reconstruct" in command:
            out = Path(command[command.index("--out") + 1])
            out.mkdir()
            (out / "report.json").write_text(json.dumps({"people": [{}] * self.people}))
            (out / "reconstruction.npz").write_bytes(b"some")
            assert not (out.parent / "source" / "build").exists()
        return subprocess.CompletedProcess(command, 0, said, "")

    def installs(self) -> list[str]:
        return [command[-1] for command in self.commands if "install" in command and "--constraint" in command]


@pytest.fixture
def programs(matrix: ModuleType, monkeypatch: pytest.MonkeyPatch) -> FakePrograms:
    fake = FakePrograms()
    monkeypatch.setattr(matrix.subprocess, "run", fake)
    return fake


def run(matrix: ModuleType, tmp_path: Path, *options: str) -> tuple[int, list[dict[str, str]]]:
    arguments = ["--python", "python3.11", "--clip", "walk.mp4", "--table", str(tmp_path / "table.md"), *options]
    return matrix.main(arguments), matrix.read_table(tmp_path / "table.md")


def test_only_dependencies_with_both_ends_are_ranges(matrix: ModuleType) -> None:
    assert matrix.read_ranges() == {"torch": ("2.6", "3"), "av": ("15", "20"), "moderngl": ("5.12", "6")}


@pytest.mark.parametrize(
    ("torch", "held"),
    [("torch", "torch==2.6.0\nav==15.0.0\n"), ("torch==2.13.0", "av==15.0.0\n"), ("", "av==15.0.0\n")],
)
def test_lowest_holds_what_the_project_file_states(
    matrix: ModuleType, programs: FakePrograms, tmp_path: Path, torch: str, held: str
) -> None:
    assert run(matrix, tmp_path, "--ends", "lowest", "--torch", torch)[0] == 0
    assert set(programs.constraints) == {held}
    assert ("--system-site-packages" in programs.commands[0]) == (torch == "")
    assert (torch in programs.installs()) == (torch != "")


def test_highest_holds_nothing(matrix: ModuleType, programs: FakePrograms, tmp_path: Path) -> None:
    assert run(matrix, tmp_path, "--ends", "highest", "--torch", "torch")[0] == 0
    assert set(programs.constraints) == {""}


def test_a_row_says_versions_result_and_options_and_leaves_nothing(
    matrix: ModuleType, programs: FakePrograms, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, rows = run(matrix, tmp_path, "--ends", "lowest", "--torch", "torch==2.13.0", "--tests", "tests/e2e")
    (row,) = rows
    assert (row["python"], row["versions"], row["av"], row["torch"]) == ("3.11.9", "lowest", "15.0.0", "2.6.0+cpu")
    assert row["result"].startswith("works (1 people") and row["result"].endswith("passed: tests/e2e")
    assert row["command"] == "`--python python3.11 --ends lowest --torch torch==2.13.0`"
    assert any("pytest" in command and "tests/e2e" in command for command in programs.commands)
    assert programs.installs()[-1].endswith("source[dev]")
    assert row["result"] in capsys.readouterr().out
    assert programs.folders and not any(folder.exists() for folder in programs.folders)


def test_running_again_replaces_the_row_and_keeps_the_others(
    matrix: ModuleType, programs: FakePrograms, tmp_path: Path
) -> None:
    _, rows = run(matrix, tmp_path, "--torch", "torch")
    assert [row["versions"] for row in rows] == ["lowest", "highest"]
    programs.fails = "torch"
    code, rows = run(matrix, tmp_path, "--ends", "highest", "--torch", "torch")
    assert code == 1 and len(rows) == 2
    failed = next(row for row in rows if row["versions"] == "highest")
    assert failed["result"].startswith("fails: ") and failed["result"].endswith("ERROR: no such / thing")
    assert not any(folder.exists() for folder in programs.folders)


def test_a_clip_without_people_does_not_count(matrix: ModuleType, programs: FakePrograms, tmp_path: Path) -> None:
    programs.people = 0
    code, rows = run(matrix, tmp_path, "--ends", "highest")
    assert code == 1 and "nobody" in rows[0]["result"]
