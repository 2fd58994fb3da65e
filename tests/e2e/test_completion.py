"""Completion scripts: a shell that reads one offers what the command line takes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from unish.cli import SUBCOMMANDS, main

SHELLS = ("bash", "zsh", "fish")


@pytest.fixture
def write_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A function that writes the script of a shell and returns its place."""
    pytest.importorskip("shtab", reason="needs the extra `completion`")

    def write(shell: str) -> Path:
        assert main(["completion", shell]) == 0
        path = tmp_path / f"unish.{shell}"
        path.write_text(capsys.readouterr().out)
        return path

    return write


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_its_options_are_in_the_script(shell: str, write_script) -> None:
    text = write_script(shell).read_text()
    assert [module.NAME for module in SUBCOMMANDS if module.NAME not in text] == []
    assert "max-frames" in text and "known-distance" in text


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_takes_the_script(shell: str, write_script) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n", write_script(shell)], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr


def offers(script: Path, words: list[str], folder: Path) -> list[str]:
    """What bash offers for the last of ``words``."""
    program = (
        f'source "{script}"; COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}; '
        "spec=$(complete -p unish); spec=${spec##*-F }; "
        '${spec%% *} unish "${COMP_WORDS[COMP_CWORD]}" ""; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "--norc", "-c", program], capture_output=True, text=True, cwd=folder)
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_offers_commands_options_choices_and_files(write_script, tmp_path: Path) -> None:
    script = write_script("bash")
    (tmp_path / "walk.mp4").touch()
    assert offers(script, ["unish", "rec"], tmp_path) == ["reconstruct"]
    assert "--person-height" in offers(script, ["unish", "reconstruct", "--per"], tmp_path)
    assert offers(script, ["unish", "reconstruct", "--device", "cu"], tmp_path) == ["cuda"]
    assert "walk.mp4" in offers(script, ["unish", "reconstruct", "wa"], tmp_path)
    assert offers(script, ["unish", "assets", "fe"], tmp_path) == ["fetch"]


def test_without_the_package_one_sentence_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "pip install 'unish[completion]'" in capsys.readouterr().err


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "csh"]) == 2
    assert "bash" in capsys.readouterr().err
