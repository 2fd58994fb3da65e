"""The tool that looks for wheels: what it asks pip for, and what it makes of the answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def wheels(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "tools"))
    module = __import__("wheels")
    for name in ("wheels", "matrix"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(module, "read_core_requirements", lambda: ["torch>=2.6,<3", "pygltflib>=1.16,<2", "av>=15,<20"])
    return module


@pytest.mark.parametrize(("absent", "code"), [("macosx_11_0_x86_64", 0), ("win_amd64", 1)])
def test_what_is_missing_is_named_and_only_intel_macs_are_forgiven(
    wheels: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], absent: str, code: int
) -> None:
    def answer(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert "--dry-run" in command and not any("pygltflib" in part for part in command)
        fails = absent in command and "3.13" in command and "torch>=2.6,<3" in command
        return subprocess.CompletedProcess(command, int(fails), "", "")

    monkeypatch.setattr(wheels.subprocess, "run", answer)
    assert wheels.main(["--python", "3.12", "3.13"]) == code
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(wheels.PLATFORMS)
    assert [line for line in lines if "no " in line] == [
        f"| {'macOS Intel' if code == 0 else 'Windows x86-64'} | all | no torch>=2.6,<3 |"
    ]
