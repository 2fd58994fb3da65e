"""The command line's manners: exit codes, one line per failure, help with examples, silence off a terminal."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from unish import cli
from unish.cli import doctor, main, reconstruct
from unish.cli.progress import make_progress
from unish.structs.progress import announce_in

COMMANDS = [module.NAME for module in cli.SUBCOMMANDS]


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The single line on stderr of a failed command."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("unish: error: ")
    return lines[0]


def make_run_raise(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(args: object) -> None:
        raise error

    monkeypatch.setattr(reconstruct, "run", fail)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS), ["assets", "list"], ["assets", "fetch"]])
def test_help_has_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    shown = capsys.readouterr()
    assert "example:\n  unish " in shown.out and not shown.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    import unish

    assert main(["--version"]) == 0
    assert unish.__version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["reconstruct"],
        ["reconstruct", "a.mp4"],
        ["reconstruct", "a.mp4", "--out"],
        ["reconstruct", "a.mp4", "--out", "o", "--nonsense"],
        ["reconstruct", "a.mp4", "b.mp4", "--out", "o"],
        ["reconstruct", "a.mp4", "--out", "o", "--dev", "cpu"],
        ["reconstruct", "a.mp4", "--out", "o", "--cameras", "missing"],
        ["reconstruct", "a.mp4", "--out", "o", "--refine-cameras"],
        ["export", "."],
        ["export", ".", "--to", "docx"],
        ["synth", "--out", "o", "--clips", "0"],
        ["synth", "--out", "o", "--clips", "many"],
        ["assets"],
        ["assets", "fetch", "nothing-of-this-name"],
        ["evaluate", "--benchmark", "x"],
        ["train"],
    ],
)
def test_usage_errors(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    one_line(capsys)
    assert list(tmp_path.iterdir()) == []


def test_internal_failure_keeps_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("UNISH_CACHE", str(tmp_path))
    make_run_raise(monkeypatch, ZeroDivisionError("a bug"))
    assert main(["reconstruct", "a.mp4", "--out", "o"]) == 1
    log = next((tmp_path / "logs").iterdir())
    assert str(log) in one_line(capsys)
    assert "ZeroDivisionError: a bug" in log.read_text() and "Traceback" in log.read_text()


def test_internal_failure_without_a_writable_cache(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("UNISH_CACHE", str(tmp_path / "file"))
    make_run_raise(monkeypatch, RuntimeError("a bug"))
    assert main(["reconstruct", "a.mp4", "--out", "o"]) == 1
    assert Path(one_line(capsys).rsplit(" ", 1)[1]).is_file()


def test_interruption(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    make_run_raise(monkeypatch, KeyboardInterrupt())
    assert main(["reconstruct", "a.mp4", "--out", "o"]) == 130
    one_line(capsys)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_trouble_of_the_machine(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run_raise(monkeypatch, OSError(number, os.strerror(number), "/somewhere/file"))
    assert main(["reconstruct", "a.mp4", "--out", "o"]) == 2
    assert "/somewhere/file" in one_line(capsys)


def test_out_of_memory(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    make_run_raise(monkeypatch, MemoryError())
    assert main(["reconstruct", "a.mp4", "--out", "o"]) == 2
    assert "--size" in one_line(capsys)


def test_progress_is_silent_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    progress = make_progress()
    progress("read video", 1, 2)
    progress("read video", 2, 2)
    progress.close()
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    progress = make_progress()
    for stage, done, total in [("load", 0, None), ("load", 1, 1), ("read", 0, None), ("read", 1, 4), ("read", 1, 1)]:
        progress(stage, done, total)
    progress.close()
    shown = capsys.readouterr().err
    assert "load" in shown and "4/4" in shown and "left" in shown
    assert "it/s" not in shown, "nobody wants the rate of a stage that counts nothing"
    quiet = make_progress(quiet=True)
    quiet("load", 1, 2)
    assert capsys.readouterr().err == ""


def test_a_sentence_stands_above_the_one_bar_of_a_stage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    progress = make_progress()
    progress("find people", 0, None)
    announce_in(progress)("fetching a model: 23 MB, MIT")
    for done in (4, 8):
        progress("find people", done, 8)
    progress("find people", 1, 1)
    progress.close()
    lines = [line for line in capsys.readouterr().err.split("\n") if line.strip()]
    assert len(lines) == 2 and lines[0].endswith("fetching a model: 23 MB, MIT") and "8/8" in lines[1]


def test_doctor_and_assets_list(capsys: pytest.CaptureFixture[str]) -> None:
    from unish.assets import ASSETS

    assert main(["assets", "list"]) == 0
    listed = capsys.readouterr().out
    for asset in ASSETS.values():
        assert asset.name in listed and asset.sha256 in listed and asset.licence in listed
    assert main(["doctor"]) == 0
    assert "torch" in capsys.readouterr().out


def test_doctor_ends_with_what_to_do_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNISH_CACHE", str(tmp_path))
    monkeypatch.delenv("UNISH_ASSETS", raising=False)
    assert main(["doctor"]) == 0
    before = capsys.readouterr().out.split("What to do next:")[1]
    assert "unish assets fetch transnetv2 yolov4-tiny" in before and "MB" in before and "--dry-run" in before
    monkeypatch.setattr("unish.assets.is_present", lambda name: True)
    assert main(["doctor"]) == 0
    assert "assets fetch" not in capsys.readouterr().out.split("What to do next:")[1]
    monkeypatch.setattr(doctor, "_installed", lambda name: "missing" if name == "roma" else "1.0")
    assert main(["doctor"]) == 0
    after = capsys.readouterr().out.split("What to do next:")[1].strip()
    assert after.startswith("pip install roma:") and "\n" not in after


@pytest.mark.slow
def test_as_a_process(tmp_path: Path) -> None:
    """Through the interpreter's own entry: native libraries included, one line on stderr and nothing on stdout."""
    command = [sys.executable, "-m", "unish", "reconstruct", "missing.mp4", "--out", "o"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert "missing.mp4" in done.stderr and list(tmp_path.iterdir()) == []


def test_native_chatter_goes_to_the_log(tmp_path: Path) -> None:
    script = (
        "import os, sys; from unish import cli; from unish.cli import reconstruct\n"
        "def run(args): os.write(2, b'chatter of a library'); raise RuntimeError('a bug')\n"
        "reconstruct.run = run; sys.exit(cli.main(['reconstruct', 'a.mp4', '--out', 'o']))"
    )
    environment = os.environ | {"UNISH_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "of a library" not in done.stderr
    assert "chatter of a library" in next((tmp_path / "logs").iterdir()).read_text()


def test_help_states_the_defaults_of_the_pipeline(capsys: pytest.CaptureFixture[str]) -> None:
    from unish.pipeline import Settings

    main(["reconstruct", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    settings = Settings()
    for text in (f"default {settings.fps:g}", f"default {settings.model}"):
        assert text in shown
