"""docs/export.md runs: its commands on a made-up result, its Python on what they wrote."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from golden_readers_animation import BLENDER_PYTHON
from golden_scene import make_scene
from unish.body import load_body
from unish.cli import main
from unish.export.formats import FORMATS


def test_every_block_runs(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (repository / "docs" / "export.md").read_text()
    blocks = list(re.finditer(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    assert {block[1] for block in blocks} == {"bash", "python"} and len(blocks) >= 6
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out" / "dance").mkdir(parents=True)
    make_scene(load_body("free")).save("out/dance/reconstruction.npz")
    namespace: dict[str, object] = {}
    for block in blocks:
        line = text[: block.start()].count("\n") + 1
        if block[1] == "python":
            exec(compile("\n" * line + block[2], "docs/export.md", "exec"), namespace)
        else:
            for command in block[2].splitlines():
                run_command(shlex.split(command))


def run_command(words: list[str]) -> None:
    """A command of the page; those of Blender where there is one, in the background."""
    if words[:2] == ["unish", "export"]:
        missing = [kind for kind in FORMATS if kind in words and FORMATS[kind].module]
        for kind in missing:
            pytest.importorskip(FORMATS[kind].module, reason=f"{kind} needs the extra {FORMATS[kind].extra}")
        assert main(words[1:]) == 0
        return
    assert words[0] == "blender", words
    python = os.environ.get(BLENDER_PYTHON)
    if python:
        script = words[words.index("--python") + 1]
        rest = words[words.index("--") :] if "--" in words else []
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        done = subprocess.run([python, script, *rest], capture_output=True, text=True, timeout=300, env=environment)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        assert all(Path(word).is_file() for word in rest if word.endswith((".fbx", ".blend")))


def test_every_format_is_on_the_page(repository: Path) -> None:
    text = (repository / "docs" / "export.md").read_text()
    assert [kind for kind in FORMATS if f"`{kind}" not in text and f"--to {kind}" not in text] == []
