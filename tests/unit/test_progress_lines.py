"""Progress as JSON lines: what another program reads while a command works."""

from __future__ import annotations

import json

import pytest

from unish.cli import build_parser
from unish.cli.progress_lines import ProgressLines


def test_lines_tell_stage_done_and_total(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """First and last of a stage always, others ten times a second at most; nothing on standard output."""
    now = [0.0]
    monkeypatch.setattr("unish.cli.progress_lines.time.monotonic", lambda: now[0])
    lines = ProgressLines()
    for done in range(11):
        now[0] = 0.03 * done
        lines("network", done, 10 if done else None)
    lines("save", 0, None)
    lines("save", 1, 1)
    lines.close()
    written = capsys.readouterr()
    told = [json.loads(line) for line in written.err.splitlines()]
    assert written.out == ""
    assert {line["event"] for line in told} == {"progress"}
    assert [(line["stage"], line["done"]) for line in told] == [
        ("network", 0), ("network", 4), ("network", 8), ("network", 10), ("save", 0), ("save", 1)
    ]  # fmt: skip
    assert [line["total"] for line in told] == [None, 10, 10, 10, None, 1]


def test_a_run_goes_on_when_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        def write(self, text: str) -> None:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Closed())
    lines = ProgressLines()
    lines("network", 1, 2)
    lines("network", 2, 2)
    lines.close()


def test_the_form_of_progress_is_no_setting() -> None:
    parse = build_parser().parse_args
    assert parse(["reconstruct", "a.mp4", "--out", "b"]).progress == "bar"
    assert parse(["reconstruct", "a.mp4", "--out", "b", "--progress", "json"]).progress == "json"
